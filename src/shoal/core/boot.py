"""Boot text: what a VM runs at birth, the same bytes for a whole batch.

It lays the boot document down where only the VM's user can read it, and becomes the agent.
"""

from __future__ import annotations

import msgspec

from shoal.errors import ServerFault
from shoal.wire.boot import BootDocument

MAX_BYTES = 12_000  # below every cloud's limit (16 KB on AWS), with room for cloud-init's own
_END = "SHOAL_BOOT_DOCUMENT"


def boot_text(document: BootDocument) -> str:
    body = msgspec.json.encode(document).decode()
    text = (
        "#!/bin/sh\n"
        "# Starts Shoal's agent. The document holds secrets: only its owner may read it.\n"
        "set -eu\n"
        "umask 077\n"
        f"cat > \"$SHOAL_VM_DIR/boot.json\" <<'{_END}'\n{body}\n{_END}\n"
        'exec "$SHOAL_AGENT_PYTHON" -I -m shoal.agent "$SHOAL_VM_DIR/boot.json"\n'
    )
    if len(text.encode()) > MAX_BYTES:
        raise ServerFault(f"The boot text has {len(text.encode())} bytes, more than {MAX_BYTES}.")
    return text
