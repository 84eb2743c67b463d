"""What README and docs show is run: every command, and every block by its language."""

import doctest
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
UNRUN = {"./check": "this test is a part of it"}
ALIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_FENCE = re.compile(r"^```(\w*)[ \w]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INVOKE = "from engine.cli.main import cli; cli(prog_name='leadledger')"


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    text: str


class Call(NamedTuple):
    """A command as a page shows it, and what it says that this prints."""

    command: str
    output: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for fence in _FENCE.finditer(text):
        yield Block(text.count("\n", 0, fence.start()) + 1, fence[1], fence[2])


def calls(console: str) -> Iterator[Call]:
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = f"{command[:-1]}{more.strip()}"
        yield Call(command.strip(), output)


@pytest.fixture
def desk(tmp_path):
    """A folder to run commands in, as they stand on the page, away from anybody's data."""
    for name in ("rules", "schemas", "mappings"):
        (tmp_path / name).symlink_to(ROOT / name)
    invoke = f'#!/bin/sh\nexec "{sys.executable}" -c "{_INVOKE}"'
    for name, script in {
        "bin/leadledger": f'{invoke} "$@"\n',
        ".venv/bin/leadledger": f'{invoke} "$@"\n',
        "demo": f'{invoke} demo "$@"\n',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def environment(desk: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "LEADLEDGER" not in name}
    path = f"{desk / 'bin'}:{kept['PATH']}"
    home = {"HOME": str(desk), "XDG_DATA_HOME": str(desk / "data"), "PYTHONPATH": str(ROOT)}
    return kept | home | {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def run(call: Call, desk: Path) -> None:
    outcome = subprocess.run(
        ["sh", "-c", call.command],
        cwd=desk,
        env=environment(desk),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    printed = "".join(f"{line.rstrip()}\n" for line in outcome.stdout.splitlines())
    assert outcome.returncode == 0, f"{call.command}\n{printed}"
    if call.output:
        alike = doctest.OutputChecker().check_output(call.output, printed, ALIKE)
        assert alike, f"{call.command} prints\n{printed}and not\n{call.output}"


def check_rules(text: str, desk: Path) -> None:
    """TOML is well formed; a whole rule set is a right one."""
    document = tomllib.loads(text)
    if {"name", "track"} <= document.keys():
        (desk / "mine.toml").write_text(text)
        run(Call("leadledger rules check mine.toml", ""), desk)


def test_a_page_is_read_as_a_person_reads_it():
    page = "$ leadledger head\n7\n$ leadledger leads \\\n    --json\n{...}\n"
    assert list(calls(page)) == [
        Call("leadledger head", "7\n"),
        Call("leadledger leads --json", "{...}\n"),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_page_shows_is_so(page, desk):
    for block in blocks(page):
        match block.language:
            case "console":
                for call in calls(block.text):
                    if call.command not in UNRUN:
                        run(call, desk)
            case "toml":
                check_rules(block.text, desk)
            case "json":
                json.loads(block.text)
            case "python":
                exec(compile(block.text, f"{page.name}:{block.line}", "exec"), {})
            case "text":
                pass  # a drawing, or a table of words
            case "sh" | "docker":
                pass  # needs servers: tests/test_operations.py runs or checks it
            case language:
                pytest.fail(f"{page.name}:{block.line}: nothing runs a block of {language!r}")


def test_the_readme_opens_with_the_two_commands():
    first, second = (
        call.command
        for block in blocks(ROOT / "README.md")
        for call in calls(block.text)
        if call.command.startswith("./")
    )
    assert (first, second) == ("./demo", "./check")
