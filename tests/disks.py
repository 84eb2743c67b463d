"""A disk so small that it is soon full."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.wanted import NotHere, or_skip


@dataclass(frozen=True)
class Disk:
    """A disk that is mounted at a folder."""

    folder: Path

    def grow(self, megabytes: int) -> None:
        options = f"remount,size={megabytes}m"
        subprocess.run(["mount", "-o", options, self.folder], check=True)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte, which only its owner may look into."""
    disk = or_skip(lambda: _mounted(tmp_path / "disk"))
    yield disk
    subprocess.run(["umount", "-l", disk.folder], check=True)


def _mounted(folder: Path) -> Disk:
    """A small disk at a new folder.

    Raises:
        NotHere: Nobody may mount one.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        raise NotHere("no small disk for the tests: run them as root, who may mount one")
    return Disk(folder)
