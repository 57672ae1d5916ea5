"""`python -m anomalens` is the command line."""

from anomalens.cli.main import main

main()
