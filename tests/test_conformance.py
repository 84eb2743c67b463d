"""Every conformance case that needs no more than the spine, through the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.cli.main import cli

pytestmark = pytest.mark.uncompiled

CASES = Path(__file__).with_name("conformance") / "cases"
KEY = bytes(range(32)).hex()
HANDLED = {"identity"}  # what a case may need beyond the spine


def handled(path):
    return set(json.loads(path.read_text())["needs"]) <= HANDLED


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLEDGER_IDENTIFIER_KEY", KEY)
    monkeypatch.setenv("LEADLEDGER_WORKSPACE_KEY", KEY[::-1])
    monkeypatch.setenv("LEADLEDGER_DATABASE_URL", str(tmp_path / "case.db"))

    def command(*words: str, expect: int | None = 0) -> Result:
        result = CliRunner().invoke(cli, words)
        assert expect is None or result.exit_code == expect, result.output
        return result

    return command


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def without_lead(documents):
    return [{key: value for key, value in d.items() if key != "lead"} for d in documents]


@pytest.mark.parametrize(
    "path", [p for p in sorted(CASES.glob("*.json")) if handled(p)], ids=lambda p: p.stem
)
def test_a_conformance_case_folds_to_exactly_what_it_says(path, run, tmp_path):
    case = json.loads(path.read_text())
    rules, file = tmp_path / "rules.toml", tmp_path / "touchpoints.jsonl"
    rules.write_text(case["book"][0]["rules"])
    file.write_text("".join(json.dumps(touchpoint) + "\n" for touchpoint in case["touchpoints"]))

    run("import", str(file), expect=None)

    aside = [
        {"line": item["line"], "reason": item["reason"]}
        for item in lines(run("aside", "list", "--json"))
    ]
    assert aside == case["aside"]
    for read in case["reads"]:
        where = ("--as-of", read["as_of"], "--rules", str(rules))
        assert without_lead(lines(run("export", "states", *where))) == read["states"]
        for name, expected in read["funnels"].items():
            assert lines(run("export", "funnel", name, *where)) == expected


def test_the_cases_are_all_here():
    assert len(list(CASES.glob("*.json"))) == 115
