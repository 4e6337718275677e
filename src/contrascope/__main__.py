"""``python -m contrascope``: the command line of the Python that runs it."""

from contrascope.cli import main

main()
