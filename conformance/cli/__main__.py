"""``python -m conformance.cli``: the command where it is not installed."""

from conformance.cli.main import main

main()
