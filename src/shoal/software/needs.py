"""What a package needs to run, out of what is installed: the closure of its requirements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.parser import HeaderParser

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from shoal.software.scan import Distribution


def needed_by(names: Iterable[str], distributions: Iterable[Distribution]) -> frozenset[str]:
    """Canonical names: these, and what they need here. Unknown ones stand for themselves."""
    installed = {it.name: it for it in distributions}
    wanted: list[tuple[str, str]] = [(canonicalize_name(name), "") for name in names]
    seen: set[tuple[str, str]] = set()
    while wanted:
        step = wanted.pop()
        if step not in seen:
            seen.add(step)
            name, extra = step
            if name in installed:
                wanted += _next(installed[name], extra)
    return frozenset(name for name, _ in seen)


def _next(distribution: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    for text in _requirements(distribution):
        try:
            needed = Requirement(text)
        except InvalidRequirement:  # of a package older than PEP 508
            continue
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            for further in ("", *needed.extras):
                yield canonicalize_name(needed.name), further


def _requirements(distribution: Distribution) -> list[str]:
    file = distribution.metadata / (
        "METADATA" if distribution.metadata.suffix == ".dist-info" else "PKG-INFO"
    )
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return HeaderParser().parsestr(text, headersonly=True).get_all("Requires-Dist") or []
