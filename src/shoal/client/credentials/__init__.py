"""The cloud identities of this session, forwarded to its cluster for as long as it lives.

    found        what is read of a login, and how little of it may be shown
    evidence     whether there is a login at all, without asking anybody
    aws, gcp, azure   read it, each by its cloud's own SDK if that is installed here
    renewal      when to read it again
    forwarding   reads, sends to the scheduler, renews

A long-lived key never leaves this machine: what travels expires by itself. The other end is
shoal.plugins.credentials.
"""
