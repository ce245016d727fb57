"""On each VM: prepares the environment, runs Dask as its child, and ends the VM by itself.

    python -I -m shoal.agent boot.json

    vm              what the VM is told about itself by its process environment
    head, worker    the two kinds of agent, put together
    asked           what is to be running here, as the head or the server asks it
    next_step       what to do next, given what is asked and what is: pure
    tender          does it: environment, child, restarts
    dask_child      one child process and the pipes to it
    messages        what agent and child tell each other
    restarts        whether a child that ended is started again: pure
    standing        where this VM stands, as it is reported
    memory          limits and what the kernel did about them
    log_lines       the lines of every process, bounded
    report_book     at the head: what changed since a reader's cursor
    head_desk       at the head: orders, workers, the scheduler's state
    head_routes     at the head: the HTTPS API
    head_line       at a worker: its conversation with the head
    stop_rules      when a cluster ends without being told: pure
    processes       children that outlive their parents

Knows nothing of clouds or of the database, and imports no Dask: it must answer when the user's
environment is broken. Nothing is imported here; a VM's start is something people wait for.
"""
