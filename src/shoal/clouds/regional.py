"""Settings of an account that differ by region: networks, and their subnets.

VALUE                                    one; for which regions, the cloud's own adapter knows
REGION=VALUE,REGION=VALUE                one for each; a region that is not named has none
"""

from __future__ import annotations

from shoal.errors import InvalidRequest


def by_region(setting: str) -> dict[str, str]:
    """Empty where it is one value. Raises InvalidRequest where it is neither."""
    if "=" not in setting:
        return {}
    found = {}
    for part in setting.split(","):
        region, equals, value = (it.strip() for it in part.partition("="))
        if not region or not equals or not value or "=" in value or region in found:
            raise InvalidRequest(
                f"{part!r} names nothing of one region.",
                hint="As in NAME=VALUE, or NAME=REGION=VALUE,REGION=VALUE with each region once.",
            )
        found[region] = value
    return found


def of(setting: str, region: str, *, home: str) -> str:
    """What is named for the region; one value is for `home` alone. Empty: nothing."""
    named = by_region(setting) or {home: setting}
    return named.get(region, "")
