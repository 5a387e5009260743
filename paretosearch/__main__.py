"""Runs the command line as ``python -m paretosearch``."""

from paretosearch.cli import main

main()
