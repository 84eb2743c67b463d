"""A server as a process group of its own, known by its folder to all processes of a test run."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_S = 60
_RECORD = "process.json"
_PORTS = range(20_000, 32_000)  # below those that systems give to clients: none gets a server's
_WORKERS = 12
_STEP_S = 0.02
_started: list[subprocess.Popen[bytes]] = []  # ours to reap; others only ever look at the record


class NeverServed(Exception):
    """A server ended, or took too long, before it served."""


def running(folder: Path) -> psutil.Process | None:
    """The process that serves out of a folder, if it lives."""
    try:
        record = json.loads((folder / _RECORD).read_text())
        process = psutil.Process(record["pid"])
        born, status = process.create_time(), process.status()
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    same = abs(born - record["born"]) < 2  # a system's clock may have been put right since
    return process if same and status != psutil.STATUS_ZOMBIE else None


def end(folder: Path) -> None:
    """End what serves out of a folder, in the way that leaves nothing behind."""
    if process := running(folder):
        tell(process, json.loads((folder / _RECORD).read_text())["end"])
        if not wait_until(lambda: not running(folder), seconds=5):
            tell(process, signal.SIGKILL)


def tell(process: psutil.Process, number: int) -> None:
    """Send a signal to a process group, frozen or not, unless it is gone by now."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        os.killpg(process.pid, signal.SIGCONT)


def wait_until(holds: Callable[[], object], seconds: float = PATIENCE_S) -> bool:
    """Whether something held before the time was up."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(_STEP_S)
    return True


def free_port() -> int:
    """A port of this machine that nobody listens on; workers draw from ranges of their own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        port = random.choice(_PORTS[worker::_WORKERS])
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


class Service(ABC):
    """A server that can be stopped, killed, frozen and started again, with what it has stored.

    A kind of server says by `command` how it is started and by `serving` how its log tells
    that it serves. Two handles on one folder are the same server.
    """

    serving = ""
    stop_signal = signal.SIGTERM
    crash_signal = signal.SIGKILL
    user: str | None = None  # None: whoever runs the tests

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        folder.mkdir(exist_ok=True)

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """What to run; the process that it becomes is the server."""

    @property
    def pid(self) -> int | None:
        """The process, or None while the server is down."""
        for started in _started:
            started.poll()  # whoever has ended must not stay as a zombie
        process = running(self.folder)
        return process.pid if process else None

    def start(self) -> None:
        """Start it where it is down, thaw it where it is frozen; return when it serves."""
        if self.pid is None:
            self.launch()
            self.wait_until_it_serves()
        else:
            self.thaw()

    def launch(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self._before = log.tell()
            process = subprocess.Popen(
                [str(word) for word in self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                **as_user(self.user),
            )
        _started.append(process)
        born = psutil.Process(process.pid).create_time()
        record = {"pid": process.pid, "born": born, "end": self.crash_signal}
        (self.folder / _RECORD).write_text(json.dumps(record))

    def wait_until_it_serves(self) -> None:
        """Return when the log says so.

        Raises:
            NeverServed: It ended instead, or did not get there in time.
        """
        wait_until(lambda: self._serves() or self.pid is None)
        if not self._serves():
            said = self.log.read_text(errors="replace").splitlines()[-40:]
            self.kill()
            raise NeverServed("\n".join([f"{self.folder.name} never served; it said:", *said]))

    def stop(self) -> None:
        """Let it end in order; return when it has."""
        if process := running(self.folder):
            tell(process, self.stop_signal)
            if not wait_until(lambda: self.pid is None):
                self.kill()

    def kill(self) -> None:
        """Let it crash, at once; return when it is gone."""
        end(self.folder)
        wait_until(lambda: self.pid is None)

    def freeze(self) -> None:
        """Let it stand still, connections open, until it is thawed."""
        self._tell_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._tell_all(signal.SIGCONT)

    def _tell_all(self, number: int) -> None:
        if process := running(self.folder):
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    one.send_signal(number)

    def _serves(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._before)
            return self.serving.encode() in log.read()


def as_user(name: str | None) -> dict[str, object]:
    """Arguments to `subprocess` that make a process another user's."""
    return {} if name is None else {"user": name, "group": "nogroup", "extra_groups": []}
