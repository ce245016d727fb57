"""Programs that make what the package carries; no part of it."""
