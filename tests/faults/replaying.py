"""`leadledger replay …` for a warm parent: few leads at once, so that there are many chunks."""

import os
import shlex

from engine.book import Book
from engine.cli.main import cli
from engine.folding import fold
from engine.projections import shadow
from engine.rulefile import load, shipped
from engine.warm import NOW, histories

COMMAND = "REPLAY"  # what is to be done

# Arrays only: no threads, no connections.
fold(histories(5), Book.always(load(shipped()["default"])), NOW)


def main() -> int:
    """Do it; the exit code."""
    shadow.CHUNK = 3
    try:
        cli.main(args=["replay", *shlex.split(os.environ[COMMAND])], prog_name="leadledger")
    except SystemExit as end:
        return int(end.code or 0)
    return 0
