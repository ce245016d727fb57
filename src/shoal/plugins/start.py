"""`python -P …/shoal/plugins/start.py scheduler_process`: one of Dask's processes, run by path.

The problem: `import shoal` would find the user's own Shoal here, of any version, or none. So this
directory is made importable as `_shoal_plugins`, whatever else is installed. `-P` keeps the
directory itself off `sys.path`, where its modules would hide others of the same names.
"""

import gc
import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "_shoal_plugins"


def main() -> None:
    gc.disable()  # until Dask is imported: a tenth of that time; the processes switch it on again
    directory = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        NAME, directory / "__init__.py", submodule_search_locations=[str(directory)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    importlib.import_module(f"{NAME}.{sys.argv[1]}").main()


if __name__ == "__main__":
    main()
