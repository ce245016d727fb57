"""Metadata that is read like a directory, as Google's and Amazon's are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Tree: TypeAlias = "Mapping[str, Tree | str]"


def find(tree: Tree, path: str) -> Tree | str | None:
    here: Tree | str = tree
    for part in filter(None, path.split("/")):
        if isinstance(here, str) or part not in here:
            return None
        here = here[part]
    return here


def listing(tree: Tree) -> list[str]:
    return [name if isinstance(under, str) else f"{name}/" for name, under in tree.items()]
