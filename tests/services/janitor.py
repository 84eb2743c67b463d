"""Ends the servers of a test run when the run has ended, be it by `kill -9`: PID FOLDER.

Workers come and go within a run, so none of them can be the one that the servers hang on.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.services.process import end

ROOT = Path(__file__).parents[2]
LOOK_EVERY_S = 0.2
SWEEPS = 5  # a worker may outlive its run by a moment, and be starting something in it


def watched_folder(pid: int) -> Path:
    """A new folder; servers in it end when a process has ended, and it is removed with them."""
    folder = Path(tempfile.mkdtemp(prefix="leadledger-"))
    folder.chmod(0o711)  # the user that stands in for root passes through
    subprocess.Popen(
        [sys.executable, "-m", "tests.services.janitor", str(pid), folder],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return folder


def main(watched: int, folder: Path) -> None:
    """Wait for a process to end, then end every server below a folder, and remove it."""
    while _lives(watched):
        time.sleep(LOOK_EVERY_S)
    for _ in range(SWEEPS):
        for record in folder.rglob("process.json"):
            end(record.parent)
        time.sleep(LOOK_EVERY_S)
    shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
