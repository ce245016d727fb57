"""What the name of a machine type tells of its processor, before any cloud is asked.

AWS: the family's letters after the generation hold a `g` (m7g, c6gn, x2gd), or the family is a1.
GCP: the families t2a, c4a, n4a and a4x. Azure: the small letters after the size hold a `p`
(D4ps_v5).
A name of no known form has no known processor; the server knows the catalog and checks again.
(Vendors' naming pages, read 2026-11.)
"""

from __future__ import annotations

import re

from shoal.wire.specs import Cloud

_AWS = re.compile(r"(?P<family>[a-z]+)(?P<generation>\d+)(?P<traits>[a-z\-0-9]*)\.[a-z0-9-]+")
_GCP_ARM = re.compile(r"(t2a|c4a|n4a|a4x)-")
_GCP = re.compile(r"[a-z]+\d+[a-z]*-[a-z0-9-]+(\+\d+x[a-z0-9]+)?")  # with GPUs attached
_AZURE = re.compile(r"(?:Standard_)?[A-Z]+\d+(?:-\d+)?(?P<traits>[a-z]*)(?:_\w+)*")


def is_arm(cloud: Cloud, name: str) -> bool | None:
    """None: the name does not tell."""
    match cloud:
        case Cloud.AWS:
            return _aws(name)
        case Cloud.GCP:
            return bool(_GCP_ARM.match(name)) if _GCP.fullmatch(name) else None
        case Cloud.AZURE:
            found = _AZURE.fullmatch(name)
            return "p" in found["traits"] if found else None
        case Cloud.LOCAL | Cloud.SIM | Cloud.WATCHED:
            return None


def _aws(name: str) -> bool | None:
    found = _AWS.fullmatch(name)
    if found is None:
        return None
    return found["family"] + found["generation"] == "a1" or "g" in found["traits"]
