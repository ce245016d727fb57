"""`python -m shoal.cli`: the command, where its script is not on the path."""

from shoal.cli.main import main

main()
