"""The command line: parse, call, print."""

from paretosearch.cli.main import main

__all__ = ["main"]
