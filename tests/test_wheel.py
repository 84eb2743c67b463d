"""The wheel holds the engine and the data that it reads."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("leadledger-*.whl")
    return zipfile.ZipFile(wheel).namelist()


@pytest.mark.parametrize("folder", ["rules", "schemas", "mappings"])
def test_data_lies_inside_the_engine(names, folder):
    beside = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
    inside = {name.removeprefix("engine/_data/") for name in names if "_data/" in name}
    assert beside == {name for name in inside if name.startswith(f"{folder}/")}


def test_every_module_is_there_and_nothing_of_development(names):
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "engine").rglob("*.py")}
    assert modules <= set(names)
    assert {name.partition("/")[0] for name in names} == {"engine", "leadledger-0.1.0.dist-info"}
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]
