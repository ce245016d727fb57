"""Boot text: what a VM runs at birth, the same bytes for a whole batch.

It lays the boot document down where only the VM's user can read it, and becomes the agent: at once
where the agent is there already (the local cloud), else by the bootstrap program, which travels in
the text (shoal/agent/bootstrap.py).
"""

from __future__ import annotations

import base64
import zlib

import msgspec

from shoal.errors import ServerFault
from shoal.wire.boot import BootDocument

MAX_BYTES = 12_000  # below every cloud's limit (16 KB on AWS), with room for cloud-init's own
_END = "SHOAL_END"
_MARGIN_S = 120.0  # the agent's own rule comes first
HOME = "/var/lib/shoal"  # on a VM of a cloud


# An agent that crashed is started again; one that does not stay takes its VM with it.
_LIVE = f"""\
end() {{
  [ "$SHOAL_VM_END" = exit ] && exit 1
  echo "shoal: $1, and so this VM ends"
  systemctl poweroff || poweroff -f || kill -TERM 1
}}
live() {{
  for pause in 1 2 4 8 16; do
    python3 -I -u {HOME}/bootstrap.py {HOME}/boot.json {HOME} && exit 0
    sleep $pause
  done
  end 'its agent does not stay'
}}
"""


def _ended_by(lifetime_s: float) -> str:
    """The last of the dead men: it holds when the agent hangs."""
    timer = f"(sleep {lifetime_s + _MARGIN_S:.0f}; end 'its time is over') &\n"
    return f"{timer if lifetime_s else ''}live\n"


def boot_text(document: BootDocument) -> str:
    """For a VM whose process environment tells where its agent is."""
    return _checked(
        "#!/bin/sh\n"
        "# Starts Shoal's agent. The document holds secrets: only its owner may read it.\n"
        "set -eu\n"
        "umask 077\n"
        f"{_laid_down(document, '$SHOAL_VM_DIR/boot.json')}"
        'exec "$SHOAL_AGENT_PYTHON" -I -m shoal.agent "$SHOAL_VM_DIR/boot.json"\n'
    )


def bare_boot_text(document: BootDocument, program: bytes) -> str:
    """For a VM that has Python and nothing of ours. `program`: the bootstrap's source. It runs on
    when the image's own start, which runs this text, has ended."""
    packed = base64.b64encode(zlib.compress(program, 9)).decode()
    return _checked(
        "#!/bin/sh\n"
        "# Brings Shoal's agent to this VM. The document holds secrets: only root may read it.\n"
        "set -eu\n"
        "umask 077\n"
        f"mkdir -p {HOME}\n"
        f"{_laid_down(document, f'{HOME}/boot.json')}"
        f"cat > {HOME}/bootstrap.b64 <<'{_END}'\n{packed}\n{_END}\n"
        f"cat > {HOME}/bootstrap.py <<'{_END}'\n"
        "import base64, sys, zlib\n"
        f'packed = open("{HOME}/bootstrap.b64").read()\n'
        "exec(zlib.decompress(base64.b64decode(packed)))\n"
        f"{_END}\n"
        f"cat > {HOME}/live.sh <<'{_END}'\n{_LIVE}{_ended_by(document.lifetime_s)}{_END}\n"
        f"run='/bin/sh {HOME}/live.sh'\n"
        "if [ -d /run/systemd/system ]; then\n"
        "  systemd-run --unit shoal --quiet --property KillMode=mixed $run\n"
        "else\n"
        f"  setsid $run </dev/null >>{HOME}/console.log 2>&1 &\n"
        "fi\n"
    )


def _laid_down(document: BootDocument, path: str) -> str:
    body = msgspec.json.encode(document).decode()
    return f"cat > \"{path}\" <<'{_END}'\n{body}\n{_END}\n"


def _checked(text: str) -> str:
    if len(text.encode()) > MAX_BYTES:
        raise ServerFault(f"The boot text has {len(text.encode())} bytes, more than {MAX_BYTES}.")
    return text
