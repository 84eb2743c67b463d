"""Commands say the same over SQLite and over PostgreSQL."""

import json

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.sample import touchpoints
from engine.settings import IDENTIFIER_KEY, WORKSPACE_KEY

pytestmark = pytest.mark.services

NOW = 1_790_000_000_000_000
AS_OF = ("--as-of", "2026-09-01T00:00:00Z")
BY_CHANNEL = ("--by", "channel", "--by", "owner")
BAD = (
    '{"source": "web", "event_id": "bad", "type": "teleported", '
    '"occurred_at": "2026-03-01T08:00:00Z", "identifiers": [{"kind": "user_id", "value": "u"}]}\n'
)


@pytest.fixture(scope="module")
def urls(tmp_path_factory, postgres):
    """A small sample with a bad line, imported into a database of each kind."""
    folder = tmp_path_factory.mktemp("databases")
    file = folder / "touchpoints.jsonl"
    told = touchpoints(now=NOW, leads=40)
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in told]
    file.write_text("".join([*lines, BAD]))
    server = postgres.new_database()
    with pytest.MonkeyPatch.context() as patch:
        for number, name in enumerate((IDENTIFIER_KEY, WORKSPACE_KEY), 1):
            patch.setenv(name, f"{number}" * 64)
        both = [str(folder / "leads.db"), server]
        said = [call(url, "import", str(file), "--json") for url in both]
        assert said[0] == said[1]
        assert (said[0][0], json.loads(said[0][1])["set_aside"]) == (3, {"unknown_type": 1})
        yield both
    postgres.drop_database(server)


def call(url, *words):
    done = CliRunner().invoke(cli, [*words, "--db", url])
    return done.exit_code, done.stdout, done.stderr


def both_say(urls, *words):
    """What a command says over each database; the same."""
    first, second = (call(url, *words) for url in urls)
    assert second == first
    return first


@pytest.mark.parametrize(
    "words",
    [
        ("head",),
        ("pipeline", "--json", *AS_OF),
        ("pipeline", *AS_OF),
        ("pipeline", "--json", *BY_CHANNEL, *AS_OF),
        ("pipeline", "--rules", "aida", "--json", *AS_OF),
        ("funnel", "--json", *AS_OF),
        ("funnel", "first_touch_to_won", *AS_OF),
        ("funnel", "first_touch_to_won", "--json", *BY_CHANNEL, *AS_OF),
        ("funnel", "first_touch_to_won", "--leads", "2", "--json", *AS_OF),
        ("leads", "--limit", "1000", "--json", *AS_OF),
        ("leads", "--segment", "hot_and_idle", *AS_OF),
        ("export", "states", *AS_OF),
        ("export", "funnel", "first_touch_to_won", *AS_OF),
    ],
    ids=" ".join,
)
def test_an_answer_is_the_same(urls, words):
    code, said, _ = both_say(urls, *words)
    assert (code, bool(said)) == (0, True)


def test_what_is_asked_of_now_is_answered_from_tables_alike(urls):
    first, second = (json.loads(call(url, "leads", "--limit", "999", "--json")[1]) for url in urls)
    assert len(first["leads"]) == len(second["leads"]) == 40
    for there, here in zip(first["leads"], second["leads"], strict=True):
        assert there["lead"] == here["lead"]
        assert there["touchpoints"] == here["touchpoints"]


def told(url, lead):
    """A lead's history, but for when it was recorded."""
    lines = json.loads(call(url, "lead", "history", lead, "--json")[1])
    for told in (*lines, *(line["retracted_by"] for line in lines if line.get("retracted_by"))):
        told.pop("recorded_at", None)
    return lines


def test_a_lead_is_shown_and_told_alike(urls):
    states = both_say(urls, "export", "states", *AS_OF)[1].splitlines()
    for line in states[:3]:
        lead = json.loads(line)["lead"]
        assert both_say(urls, "lead", "show", lead, "--json", *AS_OF)[0] == 0
        assert told(urls[0], lead) == told(urls[1], lead)
        assert both_say(urls, "lead", "show", lead[:6], "--json", *AS_OF)[0] == 0
    assert both_say(urls, "lead", "show", "0" * 32)[0] == 4
    assert both_say(urls, "lead", "show", "email:nobody@example.com")[0] == 4


def test_what_was_set_aside_is_listed_and_tried_again_alike(urls):
    for words in (("aside", "list"), ("aside", "retry"), ("aside", "retry"), ("aside", "list")):
        first, second = (call(url, *words) for url in urls)
        assert first[0] == second[0]
        assert ("teleported" in first[1] + first[2]) == ("teleported" in second[1] + second[2])


def test_a_look_at_personal_data_is_kept_alike(urls):
    lead = json.loads(both_say(urls, "export", "states", *AS_OF)[1].splitlines()[0])["lead"]
    shown = both_say(urls, "lead", "show", lead, "--reveal", "--reason", "called back", *AS_OF)
    assert shown[0] == 0
    looks = [json.loads(call(url, "lead", "accesses", "--json")[1]) for url in urls]
    assert [[look["reason"] for look in some] for some in looks] == [["called back"]] * 2


def test_rebuilding_changes_no_figure(urls):
    before = both_say(urls, "pipeline", "--json", *AS_OF)
    assert both_say(urls, "rebuild")[1].endswith("40 leads derived\n")
    assert both_say(urls, "pipeline", "--json", *AS_OF) == before


def test_read_models_are_brought_up_to_date_once(urls):
    for url in urls:
        code, said, _ = call(url, "project", "--once")
        assert code == 0
        assert said.startswith(f"position {int(call(url, 'head')[1]):,}, as of 20")


def test_importing_again_records_nothing(urls, tmp_path):
    again = tmp_path / "again.jsonl"
    told = [*touchpoints(now=NOW, leads=40)][:50]
    again.write_text("".join(json.dumps(one) + "\n" for one in told))
    code, said, _ = both_say(urls, "import", str(again), "--json")
    assert (code, json.loads(said)["recorded"]) == (0, 0)


def test_a_server_that_is_away_is_said_so_without_the_password(urls):
    code, _, said = call("postgresql://somebody:secret@127.0.0.1:1/leads", "pipeline")
    assert (code, "secret" in said) == (7, False)
    assert "postgresql://somebody@127.0.0.1:1/leads cannot be used for now" in said
