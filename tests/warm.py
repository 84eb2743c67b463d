"""A process that has everything imported, and forks others off: they start in no time.

It reads a JSON line for each process to start, and answers with lines of what became of
which: {"pid": ...} as it starts, {"pid": ..., "code": ...} once it has ended.
"""

import importlib
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Queue
from typing import Any

ROOT = Path(__file__).parents[1]
LOOK_EVERY_S = 0.02


class Warm:
    """The side of who starts processes."""

    def __init__(self, *modules: str) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", *modules],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started: Queue[int] = Queue()
        self.codes: dict[int, int] = {}  # of those that have ended
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, module: str, environ: Mapping[str, str], log: Path) -> int:
        """Run `main()` of a module in a process of its own; its pid."""
        order = {"module": module, "environ": dict(environ), "log": str(log)}
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        return self._started.get(timeout=60)

    def close(self) -> None:
        self._parent.stdin.close()
        self._parent.wait()

    def _listen(self) -> None:
        for line in self._parent.stdout:
            told = json.loads(line)
            if "code" in told:
                self.codes[told["pid"]] = told["code"]
            else:
                self._started.put(told["pid"])


def serve(modules: Sequence[str]) -> None:
    """Fork off what is asked for, until nobody asks any more."""
    for module in modules:
        importlib.import_module(module)
    warm_up()
    orders = b""
    while True:
        if select.select([0], [], [], LOOK_EVERY_S)[0]:
            got = os.read(0, 1 << 16)
            if not got:
                return
            *lines, orders = (orders + got).split(b"\n")
            for line in lines:
                tell(pid=fork(json.loads(line)))
        while ended := reap():
            tell(pid=ended[0], code=os.waitstatus_to_exitcode(ended[1]))


def warm_up() -> None:
    """Load the machine code that looking over a message needs."""
    from consumers.decode import Decoder

    class Nothing:
        offset, timestamp, key, value, headers = 0, -1, None, b"\xc3\x01", ()

    Decoder().arrivals("nowhere", {0: [Nothing()]})


def reap() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def tell(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def fork(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for here, there in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(here, there)
        os.environ.update(order["environ"])
        from engine import crash

        crash.arm(os.environ)
        code = importlib.import_module(order["module"]).main()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1:])
