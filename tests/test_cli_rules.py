"""`rules publish`, `log`, `diff` and `show`: what they say, and what they say no to."""

import json

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.rulefile import load, parse, shipped
from tests.test_publishing import ASKING, MORE, A, B

ENV = {"LEADLEDGER_IDENTIFIER_KEY": "11" * 32, "LEADLEDGER_WORKSPACE_KEY": "22" * 32}
DEFAULT = load(shipped()["default"]).id[:12]
ID_A, ID_B = parse(A).id, parse(B).id
BANGKOK = 'zone = "Asia/Bangkok"\n'


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command over one database, in a folder with rule files."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("a", A), ("b", B), ("more", MORE), ("asking", ASKING), ("th", BANGKOK + A)):
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "faulty.toml").write_text('nmae = "x"')

    def command(*words):
        return CliRunner().invoke(cli, [*words, "--db", str(tmp_path / "x.db")], env=ENV)

    return command


def printed(done, code=0):
    assert done.exit_code == code, done.output
    return done.stdout.splitlines()


def document(done, code=0):
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


# publish


def test_what_was_published_since_when_and_what_that_ends_is_told(run):
    assert printed(run("rules", "publish", "a.toml", "--retroactive")) == [
        f"published a {ID_A[:12]} from the beginning",
        f"out of force is default {DEFAULT} from the beginning",
        "folding changes: touchpoints are judged by other rules",
    ]
    planned = run("rules", "publish", "b.toml", "--from", "2030-01-01T00:00:00+01:00")
    assert printed(planned)[0] == f"published b {ID_B[:12]} from 2029-12-31 23:00:00 UTC"
    asking = printed(run("rules", "publish", "asking.toml"))
    assert asking[1] == f"out of force is b {ID_B[:12]} from 2029-12-31 23:00:00 UTC"
    assert asking[2].startswith("folding changes")  # b does not judge any more


def test_that_only_questions_change_is_told(run):
    run("rules", "publish", "a.toml", "--retroactive")
    assert printed(run("rules", "publish", "asking.toml"))[1:] == [
        "folding stays as it is: only what is asked changes, as funnels and segments"
    ]


def test_what_is_in_force_already_is_said_to_be(run):
    run("rules", "publish", "a.toml", "--retroactive")
    (said,) = printed(run("rules", "publish", "a.toml", "--from", "2026-03-01"))
    now = "from 2026-03-01 00:00:00 UTC"
    assert said == f"in force already: a {ID_A[:12]} {now}; nothing was published"
    assert run("head").stdout == "1\n"


def test_a_date_is_where_that_day_begins_in_the_zone_of_what_is_published(run):
    run("rules", "publish", "a.toml", "--retroactive")
    done = document(run("rules", "publish", "th.toml", "--from", "2026-03-01", "--json"))
    assert done == {
        "name": "a",
        "id": parse(BANGKOK + A).id,
        "effective_at": "2026-02-28T17:00:00.000000Z",
        "published": True,
        "out_of_force": [],
        "changes": "questions",
    }


def test_a_published_set_is_published_again_by_its_id(run):
    run("rules", "publish", "a.toml", "--retroactive")
    run("rules", "publish", "b.toml", "--retroactive")
    back = document(run("rules", "publish", ID_A[:6], "--retroactive", "--json"))
    assert (back["name"], back["published"]) == ("a", True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("a.toml",), 2, "lacks 18 of its names; add these, or publish it with --retroactive"),
        (("a.toml", "--from", "2026-03-01"), 2, "\n  stage sales.negotiating\n"),
        (("a.toml", "--from", "2026-03-01", "--retroactive"), 2, "give one of them"),
        (("a.toml", "--from", "soon"), 2, "or a date like 2026-03-01"),
        (("faulty.toml", "--retroactive"), 2, "did you mean name?"),
        (("none.toml", "--retroactive"), 4, "cannot read the rules none.toml"),
    ],
)
def test_what_cannot_be_published_is_told_and_nothing_is(run, words, code, said):
    done = run("rules", "publish", *words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    log = run("rules", "log", "--json")
    assert log.exit_code == 7 or len(document(log)) == 1  # no database, or the default alone


# log


def test_the_log_lists_every_publication_and_the_default_before_them(run):
    run("rules", "publish", "a.toml", "--retroactive")
    run("rules", "publish", "more.toml", "--from", "2030-01-01")
    run("rules", "publish", "b.toml", "--from", "2029-01-01")
    title, _, heading, _, *rows = printed(run("rules", "log"))
    assert title == "The rule book · times in UTC"
    assert heading.split() == "number published at rules id in force from until".split()
    cells = [[cell for cell in row.split("  ") if cell] for row in rows if row]
    assert [[cell.strip() for cell in row[:1] + row[2:]] for row in cells] == [
        ["–", "–", "default", DEFAULT, "the beginning", "out of force by 1"],
        ["1", "#1", "a", ID_A[:12], "the beginning", "2029-01-01 00:00:00"],
        ["2", "#2", "more", parse(MORE).id[:12], "2030-01-01 00:00:00", "out of force by 3"],
        ["3", "#3", "b", ID_B[:12], "2029-01-01 00:00:00", "–"],
    ]


def test_the_log_known_at_a_position_has_what_was_published_by_then(run):
    run("rules", "publish", "a.toml", "--retroactive")
    run("rules", "publish", "b.toml", "--from", "2029-01-01")
    (default, first) = document(run("rules", "log", "--known-at", "#1", "--json"))
    assert (default["number"], first["name"]) == (None, "a")
    assert first["in_force"] == {"from": None, "until": None}
    (default,) = document(run("rules", "log", "--known-at", "2020-01-01", "--json"))
    assert default["in_force"] == {"from": None, "until": None}


def test_where_there_is_no_database_nothing_was_logged(run):
    assert run("rules", "log").exit_code == 7


# diff and show


def test_what_differs_is_listed_and_said_by_the_exit_code(run):
    done = run("rules", "diff", "a.toml", "b.toml")
    assert printed(done, code=5) == [
        "name a → b",
        "score heat, earning rule 1 (looked): points 5 → 6",
        "folding changes: touchpoints are judged by other rules",
    ]
    assert printed(run("rules", "diff", "a.toml", "a.toml")) == [
        f"no difference: both are a {ID_A[:12]}"
    ]


def test_differences_as_json_have_key_words_and_both_values(run):
    found = document(run("rules", "diff", "a.toml", "b.toml", "--json"), code=5)
    assert list(found) == ["a", "b", "changes", "differences"]
    assert found["b"] == {"name": "b", "id": ID_B, "fold_id": parse(B).fold_id}
    assert found["changes"] == "folding"
    assert found["differences"][1] == {
        "key": "score.heat.earn.1.points",
        "words": "score heat, earning rule 1 (looked): points 5 → 6",
        "before": 5,
        "after": 6,
    }
    same = document(run("rules", "diff", "default", "default", "--json"))
    assert (same["changes"], same["differences"]) == ("nothing", [])


def test_states_are_judged_by_a_published_set_by_the_beginning_of_its_id(run):
    run("rules", "publish", "a.toml", "--retroactive")
    run("rules", "publish", "b.toml")
    asked = "pipeline", "--as-of", "2026-03-01T00:00:00Z", "--json", "--rules"
    assert document(run(*asked, ID_A[:6])) == document(run(*asked, "a.toml"))


def test_published_sets_are_compared_by_id_and_the_one_in_force_as_live(run):
    run("rules", "publish", "b.toml", "--retroactive")
    run("rules", "publish", "a.toml", "--retroactive")
    assert printed(run("rules", "diff", ID_B[:6], "live"), code=5)[0] == "name b → a"
    assert printed(run("rules", "diff", "live", ID_A[:6])) != []
    assert run("rules", "show", ID_B[:6]).stdout == B
    assert document(run("rules", "show", "live", "--json"))["id"] == ID_A


def test_files_are_compared_where_there_is_no_database(run):
    assert run("rules", "diff", "default", "aida").exit_code == 5
    assert run("rules", "diff", "default", "live").exit_code == 7


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("diff", "a.toml", "faulty.toml"), 2, "faulty.toml has"),
        (("diff", "a.toml", "aidda"), 4, "did you mean aida"),
        (("show", "0" * 64), 4, "`leadledger rules log`"),
        (("publish", "abcdef", "--retroactive"), 4, "no rule set with id abcdef"),
    ],
)
def test_what_is_no_rule_set_is_told(run, words, code, said):
    run("rules", "publish", "a.toml", "--retroactive")
    done = run("rules", *words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
