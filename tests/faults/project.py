"""`leadledger project` for a warm parent: all is imported before processes are forked off."""

from engine.book import Book
from engine.cli.main import cli
from engine.folding import fold
from engine.rulefile import load, shipped
from engine.warm import NOW, histories

# Arrays only: no threads, no connections.
fold(histories(5), Book.always(load(shipped()["default"])), NOW)


def main() -> int:
    """Follow until stopped; the exit code."""
    try:
        cli.main(args=["project"], prog_name="leadledger")
    except SystemExit as end:
        return int(end.code or 0)
    return 0
