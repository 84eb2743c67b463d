"""A disk so small that it is soon full."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


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
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs a small disk, which nobody may mount here")
    yield Disk(folder)
    subprocess.run(["umount", "-l", folder], check=True)
