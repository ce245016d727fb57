"""What runs in the user's own process: `Cluster`, and a thin typed client of the API.

    arguments      keyword arguments -> ClusterSpec, every check of the reference (pure)
    configuration  dask.config keys under `shoal.`, and their defaults
    connection     which server to speak with, and the token for it
    login          the file that `shoal login` writes
    embedded       find or start the server of this machine
    api            calls, by the endpoint table
    environment    the local environment, registered at the server
    creation       from arguments to a cluster whose scheduler answers
    following      what happens to a cluster for as long as a session holds it
    syncing        until every worker runs the environment that was asked for
    together       which error of several is told
    progress       what is shown meanwhile: one source of values, three renderings
    adaptivity     what `Cluster.adapt` gives back
    details        one cluster at a glance: signals, computations, exceptions, cost
    live           the same, fresh for as long as a notebook shows it
    dask_info      what Dask's widgets show, with links that lead somewhere
    code_frames    which lines of code ask for a computation
    watching       `shoal.watch`: the record of a cluster that Shoal did not start
    cluster        `shoal.Cluster`

Runs in the user's environment, so it needs little beyond Dask.
"""
