"""Whose process is at the other end of a connection on this machine.

Google's metadata protocol has no secret: whoever can connect is answered. Linux knows the user of
each socket (proc_pid_net(5), /proc/net/tcp), so that others on this machine can be refused.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]

_MAPPED = "0000000000000000FFFF0000" if sys.byteorder == "little" else "00000000000000000000FFFF"


def same_user(peer: Address, own: Address) -> bool | None:
    """Of this process, or root; None where the system does not tell."""
    user = user_of(peer, own)
    if user is None:
        return None
    return user in (0, os.getuid()) if hasattr(os, "getuid") else None


def user_of(peer: Address, own: Address, directory: Path = Path("/proc/self/net")) -> int | None:
    here, there = _hex(peer), _hex(own)
    for name, prefix in (("tcp", ""), ("tcp6", _MAPPED)):
        try:
            lines = (directory / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[1] == prefix + here and fields[2] == prefix + there:
                return int(fields[7])
    return None


def _hex(address: Address) -> str:
    host, port = address
    number = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    return f"{number:08X}:{port:04X}"
