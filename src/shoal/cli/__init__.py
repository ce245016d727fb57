"""The `shoal` command: one file a noun.

Data goes to stdout and everything else to stderr; `--json` prints the API's own views. Heavy
imports are inside the commands that need them, so that help and completion are quick.
"""
