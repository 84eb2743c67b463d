"""Places at which a process can be told to die or freeze, so that tests can let it do so there.

`LEADLEDGER_CRASH_AT=NAME` ends the process by SIGKILL where it first gets to the place of
that name, `NAME:3` where it gets there for the third time, and `NAME:3:stop` only stops it
there (SIGSTOP), to be gone on with later. Without it a place costs a comparison.
"""

import os
import signal
from collections.abc import Mapping

CRASH_AT = "LEADLEDGER_CRASH_AT"
_name, _passes_left, _signal = "", 0, signal.SIGKILL


def arm(environ: Mapping[str, str]) -> None:
    """Take in where to die; where nothing is said, nowhere."""
    global _name, _passes_left, _signal
    _name, times, how = (*environ.get(CRASH_AT, "").split(":"), "", "")[:3]
    _passes_left = int(times) if times.isdigit() else 1
    _signal = signal.SIGSTOP if how == "stop" else signal.SIGKILL


def reached(name: str) -> None:
    """Die here, if this is the place."""
    global _passes_left
    if name == _name:
        _passes_left -= 1
        if _passes_left == 0:
            os.kill(os.getpid(), _signal)


arm(os.environ)
