"""Touchpoints taken back by hand: they count nowhere from then on, and did before."""

import getpass
import json

import pytest
from click.testing import CliRunner

from engine.admission import admit
from engine.by_hand import Hand
from engine.cli.main import cli
from engine.codec import decode
from engine.errors import NoSuchTouchpoint, Refused, RetractedAlready, RetractionStands
from engine.merging import merge
from engine.retracting import retract
from engine.touchpoint import Actor
from tests import storeless
from tests.storing import NOW, WORKSPACE_KEY, retraction, store, told, touch, who
from tests.test_merging import two

HAND = Hand("lan", "a test of ours", storeless.KEY, WORKSPACE_KEY)
ANN, BOB = "email:ann", "email:bob"


def events(facts, known_at=None):
    """The events of each lead that count."""
    found = told(facts.histories(known_at=known_at)).values()
    return sorted([event for _, _, event in rows] for rows in found)


def lead(name):
    (identifier,) = who(name)
    return identifier.digest[:32]


# Taken back


def test_what_is_retracted_counts_nowhere_and_did_before(facts):
    store(facts, touch("a", ANN), touch("b", ANN, occurred_at=7), touch("c", BOB))

    retract(facts, ("web", "b"), HAND)

    assert events(facts) == [["a"], ["c"]]
    assert events(facts, known_at=3) == [["a", "b"], ["c"]]


def test_what_is_void_now_is_told_with_its_lead_and_by_what(facts, clock):
    store(facts, touch("a", ANN), touch("b", ANN, occurred_at=7, type="form_submitted"))
    clock.now = NOW + 5

    done = retract(facts, ("web", "b"), HAND)

    assert done["retracted"] == {
        "source": "web",
        "event_id": "b",
        "type": "form_submitted",
        "occurred_at": "1970-01-01T00:00:00.000007Z",
        "recorded_at": "2026-03-02T00:00:00.000000Z",
        "position": 2,
    }
    assert done["lead"] == lead(ANN)
    assert done["by"] == {
        "source": "leadledger",
        "event_id": done["by"]["event_id"],
        "type": "touchpoint_retracted",
        "occurred_at": "2026-03-02T00:00:00.000005Z",
        "recorded_at": "2026-03-02T00:00:00.000005Z",
        "position": 3,
    }


def test_the_retraction_says_who_says_so_when_and_why_and_names_nobody(facts):
    store(facts, touch("a", ANN))

    done = retract(facts, ("web", "a"), HAND)

    with facts.snapshot() as connection:
        state = "SELECT state FROM stored_events WHERE stored_events.rowid = 2"
        said = decode(connection.execute(state).fetchone()[0])
    admit(said)
    assert said.event_id == done["by"]["event_id"]
    assert (said.identifiers, said.actor) == ((), Actor("rep", "lan"))
    assert said.attributes == {"source": "web", "event_id": "a", "reason": "a test of ours"}
    assert said.stream == retraction("r", "a").stream
    assert facts.intake()["touchpoint retract"].recorded == 1


def test_the_lead_of_a_page_on_a_shared_computer_is_who_sat_there_then(facts):
    for at, name in ((0, ANN), (10, BOB)):
        store(facts, touch(name, name, "anonymous_id:pc", occurred_at=at))
    store(facts, touch("early", "anonymous_id:pc", occurred_at=5))
    store(facts, touch("late", "anonymous_id:pc", occurred_at=15))
    assert retract(facts, ("web", "early"), HAND)["lead"] == lead(ANN)
    assert retract(facts, ("web", "late"), HAND)["lead"] == lead(BOB)


def test_a_touchpoint_of_a_merged_lead_is_of_the_one_lead(facts):
    store(facts, touch("a", ANN), touch("b", BOB))
    merge(facts, two(facts, ANN, BOB), HAND)
    assert retract(facts, ("web", "b"), HAND)["lead"] == lead(ANN)


def test_a_retracted_link_joins_nobody_and_is_of_no_lead(facts):
    store(facts, touch("a", ANN), touch("b", BOB))
    link = merge(facts, two(facts, ANN, BOB), HAND)["linked"]
    assert events(facts) == [["a", "b"]]

    done = retract(facts, ("leadledger", link["event_id"]), HAND)

    assert (done["retracted"]["type"], done["lead"]) == ("identity_linked", None)
    assert events(facts) == [["a"], ["b"]]


# Said no to


def test_what_is_not_known_is_not_retracted_unless_it_is_to_be_void_as_it_comes(facts):
    with pytest.raises(NoSuchTouchpoint, match=r"web a .*--anyway"):
        retract(facts, ("web", "a"), HAND)
    assert facts.head() == 0

    done = retract(facts, ("web", "a"), HAND, anyway=True)

    unknown = dict.fromkeys(("type", "occurred_at", "recorded_at", "position"))
    assert done["retracted"] == {"source": "web", "event_id": "a", **unknown}
    assert done["lead"] is None
    store(facts, touch("a", ANN), touch("b", ANN))
    assert events(facts) == [["b"]]


@pytest.mark.parametrize("anyway", [False, True])
def test_what_is_retracted_already_is_not_retracted_again_and_who_did_is_told(facts, anyway):
    store(facts, touch("a", ANN))
    retract(facts, ("web", "a"), HAND)
    said = r"web a was retracted at 2026-03-02T.* by lan \(a test of ours\)"
    with pytest.raises(RetractedAlready, match=said):
        retract(facts, ("web", "a"), HAND, anyway=anyway)
    assert facts.head() == 2


def test_what_a_tool_retracted_before_it_came_is_not_retracted_again(facts):
    store(facts, retraction("r", "a"))
    with pytest.raises(RetractedAlready, match=r"web a was retracted at [^ ]* and counts nowhere"):
        retract(facts, ("web", "a"), HAND, anyway=True)


def test_a_retraction_is_not_retracted_for_that_has_no_effect(facts):
    store(facts, touch("a", ANN))
    by = retract(facts, ("web", "a"), HAND)["by"]
    with pytest.raises(RetractionStands, match=r"no effect; for web a to count again"):
        retract(facts, (by["source"], by["event_id"]), HAND)
    assert facts.head() == 2


@pytest.mark.parametrize("key", [("", "a"), ("web", ""), ("w" * 65, "a"), ("web", "\udcff")])
def test_what_no_touchpoint_can_be_called_is_refused(facts, key):
    with pytest.raises(Refused, match=r"source|event_id"):
        retract(facts, key, HAND, anyway=True)
    assert facts.head() == 0


def test_a_name_is_read_however_its_letters_are_composed(facts):
    store(facts, touch("\u00e9", ANN))
    assert retract(facts, ("web", "e\u0301"), HAND)["lead"] == lead(ANN)


# At the command line

ENV = {"LEADLEDGER_IDENTIFIER_KEY": "11" * 32, "LEADLEDGER_WORKSPACE_KEY": "22" * 32}
WHY = ("--reason", "a test of ours")


def line(event_id, **more):
    said = {"source": "crm", "event_id": event_id, "type": "form_submitted"}
    who_and_when = {
        "occurred_at": f"2026-03-0{event_id}T08:00:00+07:00",
        "identifiers": [{"kind": "email", "value": "an@example.vn"}],
    }
    return json.dumps({**said, **who_and_when, **more}) + "\n"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "in.jsonl").write_text(line("1") + line("2"))

    def command(*words):
        return CliRunner().invoke(cli, [*words, "--db", str(tmp_path / "x.db")], env=ENV)

    assert command("import", str(tmp_path / "in.jsonl")).exit_code == 0
    return command


def test_what_is_retracted_is_said_and_what_still_shows_it(run):
    (state,) = states(run)
    done = run("touchpoint", "retract", "crm", "2", *WHY)
    assert (done.exit_code, done.stdout) == (
        0,
        "retracted form_submitted crm 2 of 2026-03-02 08:00 Asia/Ho_Chi_Minh, "
        f"of the lead {state['lead']}\n",
    )
    assert done.stderr == "known at #2 and before, it still counts\n"


def test_in_the_history_stands_who_retracted_what_and_why_and_what_makes_somebody_known_now(run):
    assert run("touchpoint", "retract", "crm", "1", *WHY).exit_code == 0
    lines = json.loads(run("lead", "history", "email:an@example.vn", "--json").stdout)
    void, known_by, named = (line for line in lines if "event_id" in line)
    by = void["retracted_by"]
    assert (void["event_id"], by["reason"], by["actor"]["id"]) == ("1", WHY[1], getpass.getuser())
    assert (known_by["event_id"], named["identifier"]["kind"], named["event_id"]) == (
        "2",
        "email",
        "2",
    )
    shown = run("lead", "history", "email:an@example.vn").stdout
    assert f"(retracted by {getpass.getuser()} at #3, " in shown
    assert f": {WHY[1]})" in shown


def states(run, *words):
    done = run("export", "states", "--as-of", "2026-04-01T00:00:00Z", *words)
    assert done.exit_code == 0, done.output
    return [json.loads(one) for one in done.stdout.splitlines()]


def test_every_figure_known_before_is_as_it_was(run):
    before = states(run)
    funnel = ("funnel", "first_touch_to_won", "--json", "--as-of", "2026-04-01T00:00:00Z")
    figures = run(*funnel).stdout

    assert run("touchpoint", "retract", "crm", "1", *WHY).exit_code == 0
    assert run("touchpoint", "retract", "crm", "2", *WHY).exit_code == 0

    assert states(run, "--known-at", "#2") == before
    assert run(*funnel, "--known-at", "#2").stdout == figures
    assert [one["touchpoints"] for one in states(run, "--known-at", "#3")] == [1]
    assert states(run) == []


def test_a_retraction_as_json_names_what_is_void_the_lead_and_itself(run):
    done = run("touchpoint", "retract", "crm", "2", *WHY, "--json")
    found = json.loads(done.stdout)
    assert (list(found), done.stderr) == (["retracted", "lead", "by"], "")
    assert [found[key]["position"] for key in ("retracted", "by")] == [2, 3]


def test_what_has_yet_to_come_is_retracted_if_that_is_asked(run):
    done = run("touchpoint", "retract", "crm", "9", *WHY)
    assert (done.exit_code, done.stdout) == (4, "")
    assert "--anyway" in done.stderr
    done = run("touchpoint", "retract", "crm", "9", *WHY, "--anyway")
    said = "crm 9 is not recorded yet; it will be void when it comes\n"
    assert (done.exit_code, done.stdout, done.stderr) == (0, said, "")


def test_a_second_retraction_is_refused_and_says_who_made_the_first(run):
    run("touchpoint", "retract", "crm", "2", *WHY)
    done = run("touchpoint", "retract", "crm", "2", *WHY)
    assert (done.exit_code, done.stdout) == (3, "")
    assert f" by {getpass.getuser()} (a test of ours)" in done.stderr


@pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", " \t")])
def test_whoever_retracts_says_why(run, reason):
    done = run("touchpoint", "retract", "crm", "2", *reason)
    assert done.exit_code == 2
    assert "--reason" in done.stderr
    assert run("head").stdout == "2\n"
