"""Floor 6: the command line. It holds no logic: flags in, calls to the floors below."""

from tfav.cli.commands import COMMANDS, main

__all__ = ["COMMANDS", "main"]
