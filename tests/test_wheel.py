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


@pytest.mark.parametrize("folder", ["rules", "schemas", "mappings", "migrations"])
def test_data_lies_inside_the_engine(names, folder):
    there = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    beside = {str(path.relative_to(ROOT)) for path in there if path.suffix != ".pyc"}
    inside = {name.removeprefix("engine/_data/") for name in names if "_data/" in name}
    assert beside == {name for name in inside if name.startswith(f"{folder}/")}


def test_every_module_is_there_and_nothing_of_development(names):
    packages = {"consumers", "engine"}
    found = (path for package in packages for path in (ROOT / package).rglob("*.py"))
    modules = {str(path.relative_to(ROOT)) for path in found}
    assert modules <= set(names)
    there = {name.partition("/")[0] for name in names}
    assert there == {*packages, "leadledger-0.1.0.dist-info"}
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]
