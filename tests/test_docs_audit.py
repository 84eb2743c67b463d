"""The page on audits says what is: checks, figures, causes and columns are those of the engine.

Its commands are run as they stand there by tests/test_readme.py.
"""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli.audit import audit_command
from engine.cli.main import cli
from engine.compare import compare, figures, told
from engine.verify import announcements, models, scope, verify
from tests.pages import DOCS, quoted, shown, starting

PAGE = DOCS / "audit.md"
TEXT = PAGE.read_text()
VERIFY = Path(verify.__file__).parent
ENV = {"LEADLEDGER_IDENTIFIER_KEY": bytes(32).hex(), "LEADLEDGER_WORKSPACE_KEY": bytes(32).hex()}


@pytest.fixture
def run(tmp_path):
    """A function that runs a command over a store with the first two recordings of the page."""
    env = {**ENV, "LEADLEDGER_DATABASE_URL": str(tmp_path / "facts.db")}
    told_of = [json.loads(line) for line in re.findall(r"^    '(\{.*\})'", TEXT, re.MULTILINE)]
    assert len(told_of) == 2
    (tmp_path / "known.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in told_of))

    def command(*words):
        return CliRunner().invoke(cli, words, env=env)

    assert command("import", str(tmp_path / "known.jsonl")).exit_code == 0
    return command


def first_cells(*heading):
    """What stands between backticks in the first column of the table with this heading."""
    (table,) = starting(PAGE, *heading)
    return [word for row in table.rows for word in quoted(row[0])]


def test_every_check_is_on_the_page_with_what_to_do():
    sources = "".join(file.read_text() for file in VERIFY.glob("*.py"))
    checks = {*re.findall(r'Difference\(\s*"([a-z ]+)"', sources)}
    assert {*first_cells("check", "a difference means")} == checks
    fixes = [scope.BACKUP, announcements.KEPT, models.REBUILD, verify.JOURNAL]
    (table,) = starting(PAGE, "check", "a difference means")
    for row in table.rows:
        assert any(fix.startswith(row[2]) for fix in fixes), row


def test_a_difference_ends_with_the_exit_code_of_the_page(run, tmp_path):
    assert run("audit", "verify").exit_code == 0
    with closing(sqlite3.connect(tmp_path / "facts.db")) as connection, connection:
        connection.execute("UPDATE stored_events SET state = x'00' WHERE rowid = 2")
    done = run("audit", "verify")
    (code,) = re.findall(r"Exit code 0: nothing differs; (\d):", TEXT)
    assert (done.exit_code, "→ put back a backup" in done.stdout) == (int(code), True)


def test_the_columns_of_a_ledger_are_on_the_page(run):
    done = run("lead", "why", "email:an@example.vn", "score", "--as-of", "2026-03-05")
    heading = next(line for line in done.stdout.splitlines() if "touchpoint" in line)
    columns = re.split(r"\s{2,}", heading.strip())
    assert [one for one in columns if one in first_cells("column", "what")] == columns[4:]


def test_every_option_of_the_page_is_one_of_every_command_that_reads_states(run):
    for command in (("lead", "show"), ("lead", "history"), ("lead", "why"), ("pipeline",)):
        help_ = run(*command, "--help").stdout
        assert all(option in help_ for option in first_cells("option", "what it leaves out"))


def test_every_figure_is_on_the_page(run):
    listed = {name.partition(".")[0] for name in first_cells("figure", "of")}
    document = json.loads(run("audit", "compare", "0", "2", "--json").stdout)
    found = {one["figure"] for one in document["figures"]}
    found |= {one["figure"] for lead in document["leads"] for one in lead["changes"]}
    prefixes = {figures.STAGE, figures.VISITS, figures.OUTCOME}
    prefixes |= {figures.SCORE, figures.CLOCK, figures.FUNNEL}
    named = {"leads", "pipeline", "anomalies", figures.MADE_OF, *figures.AS_THEY_ARE}
    assert {name.partition(".")[0] for name in found} <= listed
    assert listed == named | {prefix.rstrip(".") for prefix in prefixes}


def test_every_kind_of_cause_is_on_the_page():
    kinds = {told.LATE, told.TOUCHPOINT, told.JOIN, told.PARTING, told.RULES}
    assert {*first_cells("cause", "what")} == kinds | {*told.BY_TYPE.values()}


def test_limits_are_those_of_the_page():
    most = re.findall(r"For one figure of one lead (\d+) sets of causes are tried", TEXT)
    rows = re.findall(r"have more than (\d+) touchpoints, and (\d+) at least", TEXT)
    assert most == [str(compare.TRIES)]
    assert rows == [(str(compare.ROWS_TRIED // compare.TRIES), str(compare.FEWEST_TRIES))]


def test_the_keys_of_a_comparison_are_in_the_order_of_the_page(run):
    document = json.loads(run("audit", "compare", "1", "2", "--json").stdout)
    (line,) = re.findall(r'^\{"as_of".*$', "\n".join(shown(PAGE, "console")), re.MULTILINE)
    assert list(document) == re.findall(r'"(\w+)":', line)
    inner = [*document["figures"], *document["leads"], *document["causes"]]
    inner += [change for lead in document["leads"] for change in lead["changes"]]
    assert inner
    (paragraph,) = re.findall(r"^As JSON a figure has.*$", TEXT, re.MULTILINE)
    assert {key for one in inner for key in one} <= {*quoted(paragraph)}


def test_the_help_of_audit_names_the_page():
    assert "docs/audit.md" in audit_command.help
    assert PAGE.is_file()
