"""What was known once is what a store says that was told no more."""

import json
from random import Random

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from tests.naive.random_people import random_people
from tests.naive.random_rules import random_rules

KEY = bytes(range(32)).hex()
AS_OF = ("--as-of", "2027-01-01T00:00:00Z")


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Two stores: one was told all of a history, the other its first half."""
    monkeypatch.setenv("LEADLEDGER_IDENTIFIER_KEY", KEY)
    monkeypatch.setenv("LEADLEDGER_WORKSPACE_KEY", KEY[::-1])
    random = Random(5)
    rules = random_rules(random)
    (tmp_path / "rules.toml").write_text(rules)
    history = random_people(random, rules, 120)
    files = []
    for name, part in (("a", history[: len(history) // 2]), ("b", history[len(history) // 2 :])):
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(one) + "\n" for one in part))
    half, all_ = (("--db", str(tmp_path / name)) for name in ("half.db", "all.db"))
    run("import", str(files[0]), *half)
    run("import", str(files[0]), *all_)
    known = ("--known-at", f"#{run('head', *all_).strip()}")
    run("import", str(files[1]), *all_)
    return half, (*all_, *known), ("--rules", str(tmp_path / "rules.toml"), *AS_OF)


def run(*words):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code in (0, 3), result.output
    return result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("pipeline", "--json"),
        ("pipeline", "--by", "channel", "--json"),
        ("leads", "--limit", "1000", "--json"),
        ("export", "states"),
    ],
    ids=" ".join,
)
def test_a_command_known_at_a_position_answers_as_it_did_then(command, told):
    half, known, where = told
    then = run(*command, *half, *where)
    assert run(*command, *known, *where) == then
    assert run(*command, *known[:2], *where) != then


def test_every_funnel_known_at_a_position_is_what_it_was_then(told):
    half, known, where = told
    names = json.loads(run("funnel", "--json", *half, *where))
    assert names
    for name in names:
        for command in (("funnel", name, "--json"), ("export", "funnel", name)):
            assert run(*command, *known, *where) == run(*command, *half, *where)


def test_every_lead_known_at_a_position_is_what_it_was_then(told):
    half, known, where = told
    leads = json.loads(run("leads", "--limit", "1000", "--json", *half, *where))["leads"]
    assert len(leads) > 3
    for lead in leads:
        show = ("lead", "show", lead["lead"], "--json")
        assert run(*show, *known, *where) == run(*show, *half, *where)


def test_a_position_that_is_not_reached_yet_is_told_and_means_the_last(told):
    half, _, where = told
    asked = ("pipeline", "--json", "--known-at", "#99999", *half, *where)
    done = CliRunner().invoke(cli, asked)
    last = run("head", *half).strip()
    assert f"#99999 is not reached yet: the last position is #{last}" in done.stderr
    assert done.stdout == run("pipeline", "--json", *half, *where)
