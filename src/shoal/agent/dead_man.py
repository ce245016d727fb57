"""The dead man's rule: a VM that nobody leads ends itself, whatever else goes wrong. Pure.

Kept by every agent for its own VM, with what its boot document says, so that it holds when head,
server and cloud are all out of reach.
"""

from __future__ import annotations

from shoal.wire.boot import BootDocument


def verdict(boot: BootDocument, *, age_s: float, silent_s: float) -> str:
    """Why this VM ends now; empty: it goes on."""
    if boot.lifetime_s and age_s >= boot.lifetime_s:
        return f"this VM's lifetime of {boot.lifetime_s:.0f} seconds is over"
    if boot.silence_s and silent_s >= boot.silence_s:
        return f"nobody has led this VM for {silent_s:.0f} seconds"
    return ""
