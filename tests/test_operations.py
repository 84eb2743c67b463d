"""docs/operations.md: what needs servers is run on servers, what needs containers is checked."""

import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
from urllib.parse import urlsplit

import click
import psutil
import pytest

from engine.cli.main import cli
from engine.kafka.settings import ASIDE
from tests.deployed import ROOT, compose, known_settings
from tests.services.postgres import programs
from tests.services.process import free_port, wait_until
from tests.test_readme import blocks, calls, environment

PAGE = ROOT / "docs/operations.md"
WITH_OUR_COMMAND = {"leadledger"}
# Of commands that read, which explain them themselves; and of the tests of what a crash leaves.
OF_OTHERS = {"LEADLEDGER_RULES", "LEADLEDGER_LANG", "LEADLEDGER_CRASH_AT"}


def commands(language):
    """Every command of the page's blocks in a language, in order."""
    return [
        call.command
        for block in blocks(PAGE)
        if block.language == language
        for call in calls(block.text)
    ]


def taken(words):
    """Whether the product takes a command line; raises click's error where it does not."""
    command, context = cli, click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, words[0]
        command, context, words = found, click.Context(found, parent=context), words[1:]
    command.make_context(command.name, list(words), parent=context.parent)


@pytest.mark.parametrize("command", commands("docker"))
def test_docker_compose_is_asked_for_what_there_is(command):
    docker, _, *words = shlex.split(command.partition(">")[0])
    assert (docker, words[0]) == ("docker", words[0])
    services = compose()["services"]
    named = [word for word in words[1:] if not word.startswith("-")]
    for scaled in (word for word in named if "=" in word):
        assert scaled.partition("=")[0] in services
    named = [word for word in named if "=" not in word]
    match words[0]:
        case "build" | "up":
            assert not named
        case "stop":
            assert set(named) <= set(services)
        case "run" | "exec":
            assert named[0] in services
            if named[0] in WITH_OUR_COMMAND:
                taken(named[1:])
        case other:
            pytest.fail(f"nothing checks docker compose {other}")


class Shell:
    """A shell that stays, as the reader's does, with what runs in its background."""

    def __init__(self, folder, environ):
        self.log = folder / "log"
        self._process = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
            start_new_session=True,
        )

    def run(self, command):
        """Run a command; what it printed, and its exit code."""
        mark = uuid.uuid4().hex
        self._process.stdin.write(f"{command}\nprintf '\\n%s %s\\n' {mark} $?\n")
        self._process.stdin.flush()
        printed = []
        for line in self._process.stdout:
            if line.startswith(mark):
                return "".join(printed).rstrip("\n"), int(line.split()[1])
            printed.append(line)
        raise AssertionError(f"the shell ended: {self.log.read_text()}")

    def close(self):
        """End it, and with it all that runs in its background, in order."""
        behind = psutil.Process(self._process.pid).children(recursive=True)
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.communicate(timeout=60)
        _, left = psutil.wait_procs(behind, timeout=60)
        assert not left


@pytest.fixture
def shell(tmp_path, kafka, database):
    """A shell as the page has it, where the servers are those of the tests."""
    (tmp_path / "bin").mkdir()
    invoke = "from engine.cli.main import cli; cli(prog_name='leadledger')"
    script = tmp_path / "bin/leadledger"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{invoke}" "$@"\n')
    script.chmod(0o755)
    topic = f"test-{uuid.uuid4().hex[:12]}"
    environ = environment(tmp_path)
    environ["PATH"] = f"{programs()}:{environ['PATH']}"
    opened = Shell(tmp_path, environ | {"LEADLEDGER_TOPIC": topic})
    yield opened
    opened.close()
    with kafka.admin() as admin:
        admin.delete_topics([topic, topic + ASIDE], raise_errors=False)


@pytest.fixture
def here(kafka, postgres, database):
    """What the page's addresses are in the tests; a database besides, for a restore."""
    restored = f"restored_{uuid.uuid4().hex[:12]}"
    at = urlsplit(database)
    yield {
        "postgresql://leadledger@localhost:5432/leadledger": database,
        "postgresql://leadledger@localhost:5432/restored": at._replace(
            path=f"/{restored}"
        ).geturl(),
        '"$LEADLEDGER_DATABASE_URL" restored': f'"$LEADLEDGER_DATABASE_URL" {restored}',
        "localhost:9092": kafka.servers,
        "9464": str(free_port()),
        "9465": str(free_port()),
    }
    postgres.drop_database(at._replace(path=f"/{restored}").geturl())


@pytest.mark.services
def test_what_the_page_shows_is_so_on_servers(shell, here):
    """From an empty database to a touchpoint that is seen, then to an equal one restored."""
    for command in commands("sh"):
        if command.startswith("leadledger head"):  # it takes a moment to be recorded
            assert wait_until(lambda: shell.run("leadledger head")[0] == "1", seconds=60), log(
                shell
            )
        for shown, meant in here.items():
            command = command.replace(shown, meant)
        printed, code = shell.run(command)
        assert code == 0, f"{command}\n{printed}\n{log(shell)}"


def log(shell):
    return shell.log.read_text()[-4_000:]


def test_every_setting_that_the_page_explains_is_one_of_the_product():
    text = PAGE.read_text()
    known = known_settings()
    explained = set(re.findall(r"\bLEADLEDGER_[A-Z_]+", text))
    explained |= {f"LEADLEDGER_KAFKA{rest}" for rest in re.findall(r"`…(_[A-Z_]+)`", text)}
    assert explained <= known
    assert known - OF_OTHERS <= explained
