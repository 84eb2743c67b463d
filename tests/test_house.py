"""The house rules that no tool of its own checks: sizes, locks, and what must not be in a file."""

import ast
import os
import re
import subprocess
import tomllib
from importlib.metadata import metadata
from pathlib import Path
from statistics import median

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PRODUCT = ("consumers", "engine", "tools")
SCRIPTS = ("demo", "check", ".ci/run")

# What is longer than the house allows, and why it has to be.
LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
MANY_ARGUMENTS: dict[str, str] = {}

GPL_OR_LGPL = re.compile(r"\b[AL]?GPL|GNU ")
GPL = re.compile(r"\bA?GPL|GNU (General|Affero)")
# Under the LGPL, which spreads no further than the library: used unchanged, and exchangeable.
EXCHANGEABLE = {"crc32c", "psycopg", "psycopg-binary", "psycopg-pool"}

FORBIDDEN = {
    "a path of one machine": re.compile(r"/wor[k]/|/far[m]/|/roo[t]/|bash[_]jobs"),
    "a host of a package registry": re.compile(
        r"pyp[i]\.o|pythonhoste[d]|npmj[s]\.|repo[1]\.|mave[n]\.org|crate[s]\.io|de[b]\.debian"
    ),
}


def tree(suffix=""):
    """The project's own files: all that .gitignore does not name."""
    ignored = {".git", *ROOT.joinpath(".gitignore").read_text().replace("/\n", "\n").split()}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in ignored]
        for name in names:
            if name.endswith(suffix) and not name.endswith((".pyc", ".nbi", ".nbc")):
                yield Path(folder, name)


def modules(*folders):
    return [path for path in tree(".py") if path.relative_to(ROOT).parts[0] in folders]


def functions(*folders):
    """Name and syntax tree of every function."""
    for path in modules(*folders):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.name}", node


def lines(node):
    return node.end_lineno - node.lineno + 1


def argument_count(node):
    given = node.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return len([one for one in named if one.arg not in ("self", "cls")])


def length(path):
    return len(path.read_text().splitlines())


def test_no_module_is_longer_than_400_lines():
    long = {str(path.relative_to(ROOT)) for path in tree(".py") if length(path) > 400}
    assert long == set(LONG_MODULES)


def test_half_of_the_modules_have_at_most_150_lines():
    assert median(length(path) for path in modules(*PRODUCT)) <= 150


def test_no_function_is_longer_than_60_lines():
    long = {name for name, node in functions(*PRODUCT, "tests") if lines(node) > 60}
    assert long == set(LONG_FUNCTIONS)


def test_half_of_the_functions_have_at_most_12_lines():
    assert median(lines(node) for _, node in functions(*PRODUCT)) <= 12


def test_no_function_takes_more_than_six_arguments():
    many = {name for name, node in functions(*PRODUCT) if argument_count(node) > 6}
    assert many == set(MANY_ARGUMENTS)


def test_every_module_has_its_place_among_the_rows_of_the_house():
    there = {path.relative_to(ROOT / "engine").parts[0] for path in modules("engine")}
    there = {name.removesuffix(".py") for name in there} - {"__init__"}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    rows = [re.findall(r"\w+", row) for row in contracts["contracts"][0]["layers"]]
    page = (ROOT / "docs/architecture.md").read_text().split("## The rows")[1]
    told = [
        [Path(name).name for name in re.findall(r"`([^`]+)`", line.split("|")[2])]
        for line in page.splitlines()
        if re.match(r"\| \d ", line)
    ]
    assert [sorted(row) for row in rows] == [sorted(row) for row in told]
    assert there == {name for row in rows for name in row}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what):
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tree()
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert not found


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_can_be_run_by_a_plain_shell(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", ROOT / script], check=True)


def pins(lock):
    """Each requirement of a lock file with its hashes, as one text."""
    logical = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    return {one.partition("==")[0]: one for one in logical if one and not one.startswith("#")}


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_package_has_hashes_and_no_address(lock):
    for name, pin in pins(lock).items():
        assert "--hash=sha256:" in pin, name
        assert "://" not in pin, name
        assert "@" not in pin, name


def test_what_running_needs_is_locked_alike_for_development():
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


def test_the_lock_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    locked = pins("requirements-dev.txt")
    extras = project["project"]["optional-dependencies"].values()
    asked = [*project["project"]["dependencies"], *groups["build"], *groups["dev"]]
    asked += [one for extra in extras for one in extra]
    for wanted in (Requirement(one) for one in asked if isinstance(one, str)):
        version = locked[wanted.name].partition("==")[2].split()[0]
        assert wanted.specifier.contains(version), wanted.name


def test_nothing_that_runs_is_under_a_licence_that_spreads():
    for name in pins("requirements.txt"):
        if name == "colorama":  # on Windows alone
            continue
        spreads = GPL if name in EXCHANGEABLE else GPL_OR_LGPL
        about = metadata(name)
        said = [about[key] or "" for key in ("License", "License-Expression")]
        said += about.get_all("Classifier") or []
        assert not any(spreads.search(text) for text in said), name
