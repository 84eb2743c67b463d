"""A sound database for the tests of the doctor, and what it says of it."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path

from click.testing import CliRunner

from engine import doctor
from engine.cli.main import cli
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.rulefile import parse
from engine.settings import Settings
from engine.store.facts import Facts
from engine.store.rulebook import WrittenRules
from tests.read_side import RULES

SHIPPED = doctor.PROGRAM["shipped"]
SHIPPED_ONCE = cache(SHIPPED)  # what ships is the same in all tests, and takes long to read
COMMAND = str(Path(sys.executable).with_name("leadledger"))
DAY_US = 86_400_000_000


def touchpoint(number, **more):
    said = {
        "source": "web", "event_id": f"e-{number}", "type": "page_viewed",
        "occurred_at": "2026-03-01T08:00:00Z", "personal": {"name": f"Lead {number}"},
        "identifiers": [{"kind": "email", "value": f"lead{number}@example.vn"}], **more,
    }  # fmt: skip
    return json.dumps(said) + "\n"


class Workspace:
    """A database in a folder, and the commands that are run on it."""

    def __init__(self, folder):
        self.folder = folder
        self.db = folder / "leads.db"
        self.models = folder / "leads.models.db"
        self.keys = folder / "leads.db.keys"

    def run(self, *command, **environ):
        """A command in this process."""
        clean = dict.fromkeys(name for name in os.environ if name.startswith("LEADLEDGER_"))
        at = ("--db", str(self.db))
        return CliRunner(env={**clean, **environ}).invoke(cli, [*command, *at])

    def examine(self, **environ):
        """What the doctor finds, by check; no key is ever in it."""
        ran = self.run("doctor", "--json", **environ)
        return told(ran.exit_code, ran.output)

    def bring(self, name, *lines, code=0):
        (self.folder / name).write_text("".join(lines))
        assert self.run("import", str(self.folder / name)).exit_code == code

    def facts(self, **more):
        return Facts.open(self.db, create=False, **more)

    def publish(self, toml):
        with self.facts() as facts:
            rules = parse(toml)
            facts.publish(WrittenRules(rules.id, rules.name, toml))

    def change(self, *statements, file=None):
        with closing(sqlite3.connect(file or self.db)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def state(self):
        """Every file and all that is in it."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def told(code, output):
    findings = {finding["check"]: finding for finding in json.loads(output)}
    assert code == (0 if all(one["ok"] for one in findings.values()) else 1), output
    assert all(one["ok"] or one["fix"] for one in findings.values()), output
    return findings


def wrong(findings):
    return {name for name, finding in findings.items() if not finding["ok"]}


def fix(finding):
    """Run the command that a finding ends with."""
    subprocess.run(shlex.split(finding["fix"].removeprefix("run ")), check=True)


def sound_workspace(folder):
    """Leads, one delivery set aside, rules of its own, derived read models."""
    made = Workspace(folder)
    made.bring("first", *map(touchpoint, range(5)), "no touchpoint\n", code=3)
    with made.facts() as facts:
        keys = Settings.load({}, str(made.db))
        facts.check_keys(IdentifierKey(keys.identifier_key), WorkspaceKey(keys.workspace_key))
    made.publish(RULES)
    assert made.run("pipeline").exit_code == 0
    return made
