"""The session's cloud identity, on its way to the code that tasks run.

    session --TLS--> Desk (scheduler) --TLS--> Box (each worker) --loopback HTTP--> the clouds' SDKs

    held         credentials in memory, and how little of them may be shown
    standing     who sent what, and which of it counts
    desk         in the scheduler: takes from sessions, hands to workers, forgets in time
    box          in a worker: what counts now, for its endpoint
    endpoint     HTTP on 127.0.0.1, for processes of this user
    aws, gce, azure   what each cloud's own protocol answers
    variables    by which SDKs find the endpoint
    peers        whose process it is that asks
    passing_on   to the VM's own metadata service, which the endpoint would hide

Nothing of it is written anywhere, and no handler tells a value to who asks: values only ever go on
to workers.
"""
