"""Package sync: the environment of a Python session, made again on another machine.

scan → classify → build → lock, put together by sync, on the client; realise on the VM; runtime for
Shoal's own environments. docs/concepts/environments.md tells why.
"""
