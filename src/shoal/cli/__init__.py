"""The `shoal` command: one file per noun."""
