"""`python -m benchmarks [NAME …]`: run them, and print what docs/reference/performance.md shows."""

from __future__ import annotations

import importlib
import sys

from benchmarks.table import markdown

NAMES = (
    "start",
    "environment",
    "changed",
    "reconciler",
    "server",
    "telemetry",
    "pages",
    "throughput",
    "clouds",
    "calls",
    "cloudprovider",
)


def main() -> int:
    names = sys.argv[1:] or NAMES
    if unknown := set(names) - set(NAMES):
        print(f"No benchmark {', '.join(unknown)}. There are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    rows = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"benchmarks.{name}").measure()
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
