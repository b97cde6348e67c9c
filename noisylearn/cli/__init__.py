"""The command `noisylearn`. Importing it imports no torch: help, lists and name errors come at once."""

from noisylearn.cli.command import main

__all__ = ["main"]
