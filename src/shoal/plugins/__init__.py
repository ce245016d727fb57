"""Runs inside Dask's scheduler and worker processes, in the user's environment.

There another Shoal may be installed, or none. So these files are started by path out of the
agent's own installation, under a package name of their own, and import the standard library, dask
and distributed only. Everything that Dask does not promise to keep is used here and nowhere else.

    start              puts the package in place and runs one of the two
    pipe               the child's end of the conversation with its agent
    scheduler_process  a Dask scheduler, its reports, and the retirement of workers
    retirement         which workers may leave now, and which must wait
    worker_process     a Dask worker
    telemetry          what is recorded in a scheduler: its hooks, and batches of what is new
    watched            the same in a scheduler that Shoal did not start
    computations       which computations and task groups changed, and where time went
    failures           what tasks raised, by kind
    shuffles           P2P shuffles
    samples            the scheduler, the cluster and its workers over time
    beside             what may fail without harming the scheduler
    credentials        the session's cloud identity, for the code that tasks run
    guarded_pages      Dask's HTTP pages, for holders of the cluster's certificates alone
"""
