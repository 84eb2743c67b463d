"""The page on scaling: its commands run, and its arithmetic comes out."""

import json
import math
import re
import shlex
import sys

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.errors.bulk import ClusterMissing
from engine.journal.making import PER_BUCKET
from tests.pages import DOCS, quoted, shown, starting

PAGE = DOCS / "scaling.md"
ROOT = DOCS.parent
COMMANDS = [line for block in shown(PAGE, "sh") for line in block.splitlines()]
ENV = {"LEADLEDGER_IDENTIFIER_KEY": bytes(32).hex(), "LEADLEDGER_WORKSPACE_KEY": bytes(32).hex()}
CORES = (2, 16, 128)
LINE = {
    "source": "web",
    "event_id": "1",
    "type": "form_submitted",
    "occurred_at": "2026-03-01T08:00:00+07:00",
    "identifiers": [{"kind": "user_id", "value": "an"}],
}


def figures():
    (table,) = starting(PAGE, "what", "figure")
    return [float(row[1].replace(",", "")) for row in table.rows]


def close(told, reckoned):
    """Whether a figure is told to its first two digits."""
    return math.isclose(float(told.replace(",", "")), reckoned, rel_tol=0.05)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a command where a lead was imported, and mine.toml earns it more."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)  # else it keeps one at home
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env={**ENV, "LEADLEDGER_DATABASE_URL": str(tmp_path / "facts.db")})
    (tmp_path / "lines.jsonl").write_text(json.dumps(LINE) + "\n")
    assert runner.invoke(cli, ["import", "lines.jsonl"]).exit_code == 0
    text = runner.invoke(cli, ["rules", "show", "default"]).stdout
    (tmp_path / "mine.toml").write_text(text.replace("points = 30", "points = 40"))
    return lambda command: runner.invoke(cli, shlex.split(command)[1:])


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(line, marks=pytest.mark.services) if line.endswith("ray") else line
        for line in COMMANDS
    ],
)
def test_the_commands_run(run, command):
    result = run(command)
    assert (result.exit_code, result.stdout.split("\n")[0]) == (5, "1 of 1 leads differ")


def test_without_ray_a_cluster_is_missing(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("leadledger replay diff mine.toml --on ray")
    assert result.exit_code == ClusterMissing.exit_code
    assert "pip install 'leadledger[cluster]'" in result.stderr


def test_every_place_to_fold_is_on_the_page():
    (places,) = starting(PAGE, "`--on`", "who works")
    told = [row[0].strip("`") for row in places.rows]
    help_ = CliRunner().invoke(cli, ["replay", "diff", "--help"]).output
    assert "|".join(told) in re.sub(r"\s", "", help_)


def test_every_figure_is_a_line_of_what_measures_it():
    (table,) = starting(PAGE, "what", "figure")
    for _, _, told_by, line in table.rows:
        name = told_by.strip("`")
        source = name if name.endswith(".py") else name.replace(".", "/") + ".py"
        said = (ROOT / source).read_text().replace("\n", " ")
        assert all(words in said for words in quoted(line)), line


def test_what_follows_is_what_the_measured_figures_come_to():
    per_lead, in_bucket, stored, making, folding, reporting, back, more, _ = figures()
    assert in_bucket == PER_BUCKET
    (table,) = starting(PAGE, "touchpoints", "leads", "buckets")
    for row in table.rows:
        touchpoints = float(row[0].replace(",", ""))
        leads = touchpoints / per_lead
        seconds = touchpoints / 1e6 * folding
        reckoned = [
            *(leads, math.ceil(touchpoints / in_bucket), touchpoints * stored / 1e9, seconds),
            *(seconds / cores for cores in CORES),
            leads * (back + more) / 1e9,
        ]
        assert all(map(close, row[1:], reckoned)), row[0]
    text = PAGE.read_text()
    last = 10**10
    rate = last * stored / 1e9 / (last / 1e6 * folding / CORES[-1])
    assert f"{rate:.1f} GB a second" in text
    assert f"takes {last * stored / 1e9 / 2:.0f} seconds" in text
    assert f"{1e7 / making:.0f} seconds for ten million" in text
    assert f"{last / making / 3600:.1f} hours" in text
    assert f"{1000 * reporting / 2:.0f} seconds for a thousand million" in text
