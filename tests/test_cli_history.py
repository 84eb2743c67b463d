"""`lead history`, `lead why` and `lead show`: what happened, what was known, and why."""

import hmac
import json
import re

import pytest
from click.testing import CliRunner

from engine import audit
from engine.announcements import Announcer
from engine.book import Book
from engine.cli.main import cli
from engine.instants import format_instant
from engine.reading import View
from engine.rulefile import parse
from tests.storing import NOW, retraction, store, touch

KEY = bytes(range(32))
ENV = {"LEADLEDGER_IDENTIFIER_KEY": KEY.hex(), "LEADLEDGER_WORKSPACE_KEY": bytes(32).hex()}
AN, PHONE, PC = "email:an@x.io", "phone:+84901234567", "anonymous_id:pc"
BINH, CHI = "user_id:binh", "anonymous_id:chi"

LIFE = """
name = "life"
zone = "Asia/Bangkok"
[[signal]]
name = "viewed"
type = "page_viewed"
[[signal]]
name = "asked"
type = "form_submitted"
[[signal]]
name = "called"
type = "call_connected"
[[score]]
name = "interest"
cap = 30
[[score.earn]]
signal = "viewed"
points = 8
at_most = 1
[[score.earn]]
signal = "asked"
points = 12.5
[[track]]
name = "life"
[[track.stage]]
name = "new"
[[track.stage]]
name = "hot"
[[track.stage]]
name = "cold"
kind = "parked"
[[track.move]]
to = "hot"
when = { score = "interest", at_least = 25, seen = ["called"] }
[[track.move]]
to = "new"
when = { signal = "asked" }
[[track.move]]
to = "cold"
from = ["new"]
after_silence = "10d"
[[clock]]
name = "answer"
start = { enters = "life.new" }
stop = { signal = "called" }
cancel = { enters = "life.cold" }
within = "1h"
"""
ALWAYS = Book.always(parse(LIFE))
STRICT = LIFE.replace('"life"\nzone', '"strict"\nzone').replace("points = 12.5", "points = 5")


def digest(name):
    kind, value = name.split(":")
    return hmac.digest(KEY, f"{kind}\x1f\x1f{value}".encode(), "sha256").hex()


def told(event_id, type, at, *who, **more):
    identifiers = [dict(zip(("kind", "value"), one.split(":"), strict=True)) for one in who]
    known = {"source": "web", "event_id": event_id, "type": type, "occurred_at": f"{at}+07:00"}
    return json.dumps({**known, "identifiers": identifiers, **more}) + "\n"


FIRST = [
    told("e1", "page_viewed", "2026-03-01T09:00:00", PC),
    told("e2", "form_submitted", "2026-03-01T10:00:00", AN, PC, channel="email"),
    told("e3", "call_connected", "2026-03-01T12:30:00", AN, actor={"kind": "rep", "id": "lan"}),
    told("e4", "form_submitted", "2026-03-02T10:00:00", AN),
    told("e5", "form_submitted", "2026-03-05T10:00:00", PHONE),
    told("f1", "form_submitted", "2026-03-01T08:00:00", BINH),
    told("f2", "call_connected", "2026-03-01T09:00:00", BINH),
    told("g1", "form_submitted", "2026-03-01T08:00:00", CHI, "click_id:g"),
]
THEN = [
    told(
        "e6",
        "touchpoint_retracted",
        "2026-03-06T09:00:00",
        attributes={"source": "web", "event_id": "e4", "reason": "a test"},
    ),
    told("e7", "identity_linked", "2026-03-07T09:00:00", AN, PHONE),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two people, of whom it was learnt later that they are one, under rules that changed."""
    folder = tmp_path_factory.mktemp("history")

    def command(*words):
        return CliRunner().invoke(cli, [*words, "--db", str(folder / "x.db")], env=ENV)

    for name, text in (("life.toml", LIFE), ("strict.toml", STRICT)):
        (folder / name).write_text(text)
    assert command("rules", "publish", str(folder / "life.toml"), "--retroactive").exit_code == 0
    for number, lines in enumerate((FIRST, THEN)):
        (folder / f"{number}.jsonl").write_text("".join(lines))
        assert command("import", str(folder / f"{number}.jsonl")).exit_code == 0
    since = ("--from", "2026-03-04T00:00:00+07:00")
    assert command("rules", "publish", str(folder / "strict.toml"), *since).exit_code == 0
    return command


def document(done):
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def history(run, *words, lead=AN):
    return document(run("lead", "history", lead, "--json", *words))


def brief(line):
    """The least that tells what a line says."""
    at = line["at"][5:16]
    if line["what"] == "touchpoint":
        return at, line["event_id"], line["void"] or "counts"
    if line["what"] == "identifier":
        to = line["to"] and line["to"]["kind"]
        return at, line["event_id"], f"+ {line['identifier']['kind']}", to
    if line["what"] == "stage":
        return at, line["stage"], line["cause"].get("event_id") or line["cause"]["timer"]
    if line["what"] == "clock":
        return at, line["clock"], line["happened"]
    return at, line["what"], line["rules"]["name"]


LATER = ("--as-of", "2026-04-01T00:00:00Z")


def test_all_that_happened_is_in_line_with_what_it_led_to_and_how_it_came_to_belong(run):
    assert [brief(line) for line in history(run, *LATER)] == [
        ("03-01T02:00", "e1", "counts"),
        ("03-01T03:00", "e2", "counts"),
        ("03-01T03:00", "e2", "+ email", None),
        ("03-01T03:00", "e2", "+ anonymous_id", None),
        ("03-01T03:00", "new", "e2"),
        ("03-01T03:00", "answer", "started"),
        ("03-01T04:00", "answer", "breached"),
        ("03-01T05:30", "e3", "counts"),
        ("03-01T05:30", "answer", "late"),
        ("03-02T03:00", "e4", "retracted"),
        ("03-03T17:00", "boundary", "strict"),
        ("03-05T03:00", "e5", "counts"),
        ("03-05T03:00", "hot", "e5"),
        ("03-07T02:00", "e7", "never folded"),
        ("03-07T02:00", "e7", "+ phone", "email"),
    ]


def test_a_touchpoint_is_told_with_both_times_who_did_it_and_whose_stream_holds_it(run):
    (call,) = [line for line in history(run) if line.get("event_id") == "e3"]
    assert call["at"] == "2026-03-01T05:30:00.000000Z"
    assert call["recorded_at"] > call["at"]
    assert call["position"] == 4  # the first position is that of the rules
    assert call["actor"] == {"kind": "rep", "id": "lan"}
    assert call["stream"] == {"kind": "email", "digest": digest(AN)}


def test_what_was_retracted_says_by_what_and_since_when_that_is_known(run):
    (void,) = [line for line in history(run) if line.get("void") == "retracted"]
    by = void["retracted_by"]
    assert (by["event_id"], by["position"], void["counts"]) == ("e6", 10, False)
    assert (by["actor"], by["reason"]) == (None, "a test")
    assert by["recorded_at"] > void["recorded_at"]


def test_before_it_was_known_nothing_was_retracted_joined_or_judged_otherwise(run):
    assert [brief(line) for line in history(run, *LATER, "--known-at", "#9")][7:] == [
        ("03-01T05:30", "e3", "counts"),
        ("03-01T05:30", "answer", "late"),
        ("03-02T03:00", "e4", "counts"),
        ("03-02T03:00", "hot", "e4"),
    ]


def test_as_of_an_instant_there_is_what_had_happened_by_then_and_who_it_is(run):
    early = [brief(line) for line in history(run, "--as-of", "2026-03-01T10:30:00+07:00")]
    assert early[-3:] == [
        ("03-01T03:00", "new", "e2"),
        ("03-01T03:00", "answer", "started"),
        ("03-07T02:00", "e7", "+ phone", "email"),
    ]


def test_a_timed_move_comes_at_its_instant_and_a_call_in_time_is_met(run):
    """The hour is over at nine; ten days after the call nothing was heard."""
    lines = history(run, *LATER, lead=BINH)
    assert [brief(line) for line in lines] == [
        ("03-01T01:00", "f1", "counts"),
        ("03-01T01:00", "f1", "+ user_id", None),
        ("03-01T01:00", "new", "f1"),
        ("03-01T01:00", "answer", "started"),
        ("03-01T02:00", "f2", "counts"),
        ("03-01T02:00", "answer", "met"),
        ("03-03T17:00", "boundary", "strict"),
        ("03-11T02:00", "cold", "after_silence"),
    ]
    rules = [line["rules"]["id"] for line in lines if line["what"] == "stage"]
    assert rules == [parse(LIFE).id, parse(STRICT).id]


def test_what_an_anonymous_lead_is_known_by_and_what_was_cancelled_too_late(run):
    lines = history(run, *LATER, lead=CHI)
    assert [brief(line) for line in lines] == [
        ("03-01T01:00", "g1", "counts"),
        ("03-01T01:00", "g1", "+ anonymous_id", None),
        ("03-01T01:00", "g1", "+ click_id", None),
        ("03-01T01:00", "new", "g1"),
        ("03-01T01:00", "answer", "started"),
        ("03-01T02:00", "answer", "breached"),
        ("03-03T17:00", "boundary", "strict"),
        ("03-11T01:00", "cold", "after_silence"),
        ("03-11T01:00", "answer", "cancelled"),
    ]


def rows(done):
    """The lines of tables, each a list of its cells that are not empty."""
    assert done.exit_code == 0, done.output
    return [re.split(r"\s{3,}", line.strip()) for line in done.stdout.splitlines()]


def test_people_read_it_on_clocks_of_the_zone_of_the_rules(run):
    lines = rows(run("lead", "history", AN, *LATER))
    by_strict = f"by strict {parse(STRICT).id[:12]}"
    assert lines[0] == ["History as of 2026-04-01 07:00 Asia/Bangkok"]
    assert ["2026-03-05 10:00:00", f"→ life.hot ({by_strict})"] in lines
    assert ["2026-03-01 10:00:00", "answer started, due 2026-03-01 11:00:00"] in lines
    assert ["2026-03-04 00:00:00", f"rules: strict {parse(STRICT).id[:12]}"] in lines
    (void,) = [line for line in lines if "web e4" in line]
    assert void[3].startswith("form_submitted (retracted by web e6 at #10, ")
    assert void[3].endswith(": a test)")
    (joined,) = [line for line in lines if line[-1].startswith("+ phone")]
    assert joined[-1] == f"+ phone {digest(PHONE)[:8]}, joined with email {digest(AN)[:8]}"


def test_people_read_of_rules_and_causes_only_where_there_are_several(run):
    lines = rows(run("lead", "history", BINH, "--as-of", "2026-03-03", "--known-at", "#9"))
    assert lines[0] == ["History as of 2026-03-03 00:00 Asia/Bangkok, as known at #9"]
    assert ["2026-03-01 08:00:00", "→ life.new"] in lines
    by = f"after_silence, move 3, by strict {parse(STRICT).id[:12]}"
    assert ["2026-03-11 09:00:00", f"→ life.cold ({by})"] in rows(
        run("lead", "history", BINH, *LATER)
    )


def test_what_was_announced_stands_in_line_and_so_does_what_corrects_it(facts, facts_url, clock):
    """That the lead bought is told at the second position, and taken back at the third."""
    announcer = Announcer(facts)
    announcer.begin()
    store(facts, touch("1", type="form_submitted"), touch("2", type="won", occurred_at=5))
    announcer.step()
    clock.now += 60_000_000
    store(facts, retraction("3", "2"))
    announcer.step()
    lead = facts.lead_ids(facts.lead_numbers())[0]

    def announced(*words):
        done = CliRunner().invoke(
            cli, ["lead", "history", lead, "--json", "--db", facts_url, *words], env=ENV
        )
        return [line for line in document(done) if line["what"] == "announcement"]

    told = {line["id"]: line for line in announced("--known-at", "#2")}
    (bought,) = [line for line in told.values() if line["name"] == "lifecycle.customer"]
    assert (bought["at"], bought["position"]) == ("1970-01-01T00:00:00.000005Z", 2)
    assert bought["announced_at"] == format_instant(NOW)
    corrected = [line for line in announced() if line["id"] not in told]
    assert bought["id"] in {line["corrects"] for line in corrected}
    assert {line["announced_at"] for line in corrected} == {format_instant(clock.now)}
    table = CliRunner().invoke(cli, ["lead", "history", lead, "--db", facts_url], env=ENV)
    assert f"announced {bought['id'][:8]}: stage_entered, lifecycle.customer" in table.stdout
    assert f"corrected of {bought['id'][:8]}, lifecycle.customer" in table.stdout


def test_a_touchpoint_of_a_cookie_that_was_taken_back_is_still_told(facts):
    """One by each of two cookies, of which another lead has the second as well."""
    store(
        facts,
        touch("1", "email:ann", "anonymous_id:own", "anonymous_id:shared"),
        touch("2", "email:bob", "anonymous_id:shared"),
        touch("3", "anonymous_id:own"),
        touch("4", "anonymous_id:shared"),
        retraction("5", "3"),
        retraction("6", "4"),
    )
    lines = audit.history(facts, int(facts.lead_numbers()[0]), View(ALWAYS, 0, None))
    told = {line["event_id"]: line["void"] for line in lines if line["what"] == "touchpoint"}
    assert told == {"1": None, "3": "retracted"}


# Shown


def test_a_name_means_the_lead_that_it_meant_then(run):
    then = document(run("lead", "show", PHONE, "--json", *LATER, "--known-at", "#9"))
    now = document(run("lead", "show", PHONE, "--json", *LATER))
    assert (then["lead"], then["touchpoints"]) == (digest(PHONE)[:32], 1)
    assert (now["lead"], now["touchpoints"]) == (digest(AN)[:32], 4)
    assert run("lead", "show", PHONE, "--known-at", "#5").exit_code == 4


def test_a_day_to_know_by_is_said_once(run):
    done = run("lead", "show", AN, "--known-at", "2100-01-01", "--json")
    assert done.stderr.count("where 2100-01-01 begins") == 1


# Why


def test_a_score_is_a_ledger_whose_columns_add_up(run):
    """8 and 12.5 points, and 5 more under rules that give 5 for asking."""
    lines = rows(run("lead", "why", AN, "score", "interest", *LATER))
    asked, viewed = ("asked", "score.interest.earn[2]"), ("viewed", "score.interest.earn[1]")
    assert lines[0] == ["interest 25.5 as of 2026-04-01 07:00 Asia/Bangkok"]
    assert lines[4:10] == [
        ["2026-03-01 09:00:00", "page_viewed web e1", *viewed, "8.0", "0", "0", "0", "8.0"],
        ["2026-03-01 10:00:00", "form_submitted web e2", *asked, "12.5", "0", "0", "0", "20.5"],
        ["2026-03-04 00:00:00", f"rules: strict {parse(STRICT).id[:12]}", *"0000", "20.5"],
        ["2026-03-05 10:00:00", "form_submitted web e5", *asked, "5.0", "0", "0", "0", "25.5"],
        ["2026-04-01 07:00:00", "since then", *"0000", "25.5"],
        ["sum", "25.5", "0", "0", "0", "25.5"],
    ]


def test_why_a_lead_is_in_a_stage_and_what_is_missing_for_the_next_is_told_in_words(run):
    lines = rows(run("lead", "why", AN, "stage", "--as-of", "2026-03-01T11:00:00+07:00"))
    assert lines[0] == ["life: new since 2026-03-01 10:00:00, as of 2026-03-01 11:00 Asia/Bangkok"]
    by = ["form_submitted web e2: asked", "track.life.move[2]"]
    assert ["new", "2026-03-01 10:00:00", "–", *by] in lines
    missing = "called not seen; interest 20.5 of 25"
    waits = "10 d without a touchpoint since 2026-03-01 10:00:00 (web e2)"
    assert ["hot", "track.life.move[1]", missing] in lines
    assert ["cold", "track.life.move[3]", "due 2026-03-11 10:00:00", waits] in lines


def test_where_rules_changed_a_move_says_of_which(run):
    held = "form_submitted web e5: called seen; interest 25.5 of 25"
    by = f"track.life.move[1] of strict {parse(STRICT).id[:12]}"
    lines = rows(run("lead", "why", AN, "stage", "life", *LATER))
    assert ["hot", "2026-03-05 10:00:00", "–", held, by] in lines


def test_why_without_more_is_both_and_in_json_is_one_document(run):
    found = document(run("lead", "why", AN, "--json", *LATER))
    assert list(found) == ["lead", "as_of", "known_at", "rules", "scores", "stages"]
    assert found["scores"][0]["sums"]["base"] == found["scores"][0]["points"] == 25_500_000
    titles = [line[0] for line in rows(run("lead", "why", AN, *LATER)) if "as of" in line[0]]
    assert [title.split()[0] for title in titles] == ["interest", "life:"]


def test_what_was_known_then_explains_the_score_of_then(run):
    then = document(run("lead", "why", AN, "score", "--json", *LATER, "--known-at", "#9"))
    assert then["known_at"] == 9
    assert then["scores"][0]["points"] == 30_000_000  # e4 brings it to 33, and the cap is 30
    assert then["scores"][0]["sums"]["clamp"] == 3_000_000


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("why", AN, "score", "intrest"), 4, "did you mean interest?"),
        (("why", AN, "stage", "lief"), 4, "did you mean life?"),
        (("why", AN, "clock"), 2, "'score', 'stage'"),
        (("why", AN, "--as-of", "2026-02-01"), 4, "nothing of this lead had happened by"),
        (("history", AN, "--as-of", "2026-02-01"), 4, "nothing of this lead had happened by"),
        (("history", AN, "--known-at", "#2"), 4, "was known at #2"),
        (("show", AN, "--known-at", "-1"), 2, "is no position"),
        (("why", "email:nobody@x.io"), 4, "there is no lead by this email"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_sentence(run, words, code, said):
    done = run("lead", *words)
    assert done.exit_code == code
    assert said in done.stderr
