"""Every conformance case, through the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.cli.main import cli

pytestmark = pytest.mark.uncompiled

CASES = Path(__file__).with_name("conformance") / "cases"
KEY = bytes(range(32)).hex()
PATHS = sorted(CASES.glob("*.json"))


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


def published(case, run, folder):
    """Publish the rule sets, or name the one there is with each read; how reads name it."""
    book = [folder / f"rules{number}.toml" for number in range(len(case["book"]))]
    for file, entry in zip(book, case["book"], strict=True):
        file.write_text(entry["rules"])
    if "rule_book" not in case["needs"]:
        return ("--rules", str(book[0])), 0
    for file, entry in zip(book, case["book"], strict=True):
        since = entry["effective_at"]
        run("rules", "publish", str(file), *(("--from", since) if since else ("--retroactive",)))
    return (), int(run("head").stdout)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_conformance_case_folds_to_exactly_what_it_says(path, run, tmp_path):
    case, file = json.loads(path.read_text()), tmp_path / "touchpoints.jsonl"
    file.write_text("".join(json.dumps(touchpoint) + "\n" for touchpoint in case["touchpoints"]))
    rules, positions = published(case, run, tmp_path)

    run("import", str(file), expect=None)

    aside = [
        {"line": item["line"], "reason": item["reason"]}
        for item in lines(run("aside", "list", "--json"))
    ]
    assert aside == case["aside"]
    for read in case["reads"]:
        where = ("--as-of", read["as_of"], *rules)
        if read["known"] is not None:
            where += ("--known-at", f"#{positions + read['known']}")
        assert without_lead(lines(run("export", "states", *where))) == read["states"]
        for name, expected in read["funnels"].items():
            assert lines(run("export", "funnel", name, *where)) == expected


def test_the_cases_are_all_here():
    assert len(list(CASES.glob("*.json"))) == 115
