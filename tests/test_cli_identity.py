"""`lead merge`, `lead unmerge` and `lead identity`: what they say, and what they say no to."""

import getpass
import hmac
import json
import re
import shlex

import pytest
from click.testing import CliRunner

from engine.cli import merging
from engine.cli.main import cli
from tests.pages import DOCS, quoted, starting

KEY = bytes(range(32))
ENV = {"LEADLEDGER_IDENTIFIER_KEY": KEY.hex(), "LEADLEDGER_WORKSPACE_KEY": bytes(32).hex()}
WHY = ("--reason", "same voice")
AN, BINH, CARD, PHONE = "email:an@x.io", "email:binh@x.io", "user_id:u-1", "phone:+84901234567"


def digest(name):
    kind, value = name.split(":")
    return hmac.digest(KEY, f"{kind}\x1f\x1f{value}".encode(), "sha256").hex()


def brief(name):
    return f"{name.split(':')[0]} {digest(name)[:8]}"


def told(event_id, *who, **more):
    identifiers = [dict(zip(("kind", "value"), one.split(":"), strict=True)) for one in who]
    at = f"2026-03-01T08:0{event_id}:00+07:00"
    known = {"source": "web", "event_id": event_id, "type": "form_submitted", "occurred_at": at}
    return json.dumps({**known, "identifiers": identifiers, **more}) + "\n"


LINES = [
    told("1", AN, "anonymous_id:pc"),
    told("2", AN, CARD),
    told("3", CARD, PHONE),
    told("4", BINH, "anonymous_id:pc"),
    told("5", "anonymous_id:stranger"),
]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "in.jsonl").write_text("".join(LINES), encoding="utf-8")

    def command(*words, **more):
        return CliRunner().invoke(cli, [*words, "--db", str(tmp_path / "x.db")], env=ENV, **more)

    assert command("import", str(tmp_path / "in.jsonl")).exit_code == 0
    return command


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(merging, "_on_a_terminal", lambda: True)


def document(done):
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def touchpoints(run, lead):
    return document(run("lead", "show", lead, "--json"))["touchpoints"]


# Merged


def test_leads_are_merged_by_any_of_their_names_and_the_way_back_is_told(run):
    done = run("lead", "merge", digest(CARD)[:8], BINH, *WHY)

    assert done.exit_code == 0
    assert done.stdout == f"linked {brief(AN)} and {brief(BINH)}: one lead now, {digest(AN)[:32]}\n"
    assert touchpoints(run, BINH) == touchpoints(run, AN) == 4
    back = shlex.split(done.stderr.removeprefix("to undo it: leadledger "))
    ids = [digest(AN)[:32], digest(BINH)[:32]]
    assert back[:-2] == ["lead", "unmerge", *ids, "--reason", "…"]
    assert run(*back[:-2]).exit_code == 0
    assert (touchpoints(run, AN), touchpoints(run, BINH)) == (3, 1)


def test_a_merge_as_json_names_the_lead_and_the_link(run):
    found = document(run("lead", "merge", AN, BINH, *WHY, "--json"))
    assert list(found) == ["lead", "linked"]
    assert list(found["linked"]) == ["identifiers", "source", "event_id", "occurred_at"]
    assert found["lead"] == digest(AN)[:32]


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        ((AN, CARD), 3, f"both names are of the lead {digest(AN)[:32]}"),
        ((AN, AN), 3, "nothing to merge"),
        ((AN, "anonymous_id:stranger"), 3, "known by its anonymous_id alone"),
        ((AN, "anonymous_id:pc"), 4, "2 leads by this anonymous_id"),
        ((AN, "email:nobody@x.io"), 4, "no lead by this email"),
        ((AN, "emial:binh@x.io"), 4, "did you mean email?"),
        ((AN, "email:binh"), 3, "an e-mail address is"),
        (("", ""), 4, "no lead by this id"),
        ((AN, "\udcff"), 4, "no lead by this id"),
    ],
)
def test_what_cannot_be_merged_is_told_and_nothing_is_recorded(run, names, code, said):
    done = run("lead", "merge", *names, *WHY)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert "x.io" not in done.stderr
    assert run("head").stdout == "5\n"


@pytest.mark.parametrize("command", ["merge", "unmerge"])
@pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", " \t")])
def test_whoever_says_who_is_one_person_says_why(run, command, reason):
    done = run("lead", command, AN, BINH, *reason)
    assert done.exit_code == 2
    assert "--reason" in done.stderr


# Unmerged


def test_what_is_joined_by_one_touchpoint_is_two_leads_once_unmerged(run):
    done = run("lead", "unmerge", PHONE, CARD, *WHY)
    assert (done.exit_code, done.stdout) == (
        0,
        f"unlinked {brief(PHONE)} and {brief(CARD)}\ntwo leads now\n",
    )
    assert touchpoints(run, AN) == 3


def test_who_is_one_all_the_same_is_told_by_what_with_the_commands_that_part_them(run):
    done = run("lead", "unmerge", AN, PHONE, "--reason", "his 'wife'")

    assert done.exit_code == 3
    assert f"unlinked {brief(AN)} and {brief(PHONE)}" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if "form_submitted" in line]
    assert [" ".join(row[1:5]) for row in rows] == [
        f"{brief(AN)} {brief(CARD)}",
        f"{brief(CARD)} {brief(PHONE)}",
    ]
    commands = [line.strip() for line in done.stdout.splitlines() if "leadledger lead" in line]
    assert len(commands) == 2
    _, *words = shlex.split(commands[1])
    assert words[-4:-1] == ["--reason", "his 'wife'", "--db"]
    parted = run(*words[:-2])
    assert (parted.exit_code, parted.stdout.splitlines()[-1]) == (0, "two leads now")
    assert run("lead", "unmerge", AN, PHONE, *WHY).exit_code == 3


def test_an_unmerge_as_json_names_the_unlink_and_the_way_that_is_left(run):
    done = run("lead", "unmerge", AN, PHONE, *WHY, "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert list(found) == ["unlinked", "still_joined_by"]
    assert [step["event_id"] for step in found["still_joined_by"]] == ["2", "3"]
    again = run("lead", "unmerge", CARD, PHONE, *WHY, "--json")
    assert document(again)["still_joined_by"] == []


def test_on_a_terminal_steps_are_unlinked_until_none_is_left(run, terminal):
    done = run("lead", "unmerge", AN, PHONE, *WHY, input="7\nx\n2\n")
    assert done.exit_code == 0
    assert done.stderr.count("Unlink which step, 1 to 2?") == 3  # two answers were none
    assert done.stdout.endswith(f"unlinked {brief(CARD)} and {brief(PHONE)}\ntwo leads now\n")
    assert run("head").stdout == "7\n"


def test_on_a_terminal_enter_leaves_it_at_that(run, terminal):
    done = run("lead", "unmerge", AN, PHONE, *WHY, input="\n")
    assert done.exit_code == 3
    assert "leadledger lead unmerge" not in done.output
    assert run("head").stdout == "6\n"


def test_a_name_of_a_merged_lead_means_the_identifier_that_it_is_of(run):
    assert run("lead", "merge", AN, BINH, *WHY).exit_code == 0
    assert touchpoints(run, digest(BINH)[:6]) == 4
    assert run("lead", "unmerge", digest(AN)[:6], digest(BINH)[:6], *WHY).exit_code == 0
    assert touchpoints(run, digest(BINH)[:6]) == 1


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        ((AN, BINH), 3, "these are two leads already"),
        ((AN, digest(AN)[:9]), 3, f"both names are of {brief(AN)}"),
        ((AN, "anonymous_id:pc"), 3, "retract the touchpoint that it came by"),
        ((AN, "email:nobody@x.io"), 4, "no lead by this email"),
        ((AN, "0" * 32), 4, "no lead by this id"),
    ],
)
def test_what_cannot_be_unmerged_is_told_and_nothing_is_recorded(run, names, code, said):
    done = run("lead", "unmerge", *names, *WHY)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert "x.io" not in done.stderr
    assert run("head").stdout == "5\n"


# Who it is


def test_identity_is_told_in_tables_of_which_the_first_is_a_tree(run):
    assert run("lead", "merge", PHONE, BINH, *WHY).exit_code == 0

    title, _, *lines = run("lead", "identity", AN).stdout.splitlines()

    assert title.startswith(f"Lead {digest(AN)[:32]} · 4 touchpoints as known at 6 · times in")
    cells = [re.split(" {3,}", line.removeprefix("  ")) for line in lines]
    first = [row[0] for row in cells]
    assert first[2:6] == [brief(AN), f"└ {brief(CARD)}", f"  └ {brief(PHONE)}", f"└ {brief(BINH)}"]
    assert cells[3][1:3] == ["form_submitted web 2", "2026-03-01 08:02"]
    (cookie,) = [row for row in cells if row[0] == brief("anonymous_id:pc")]
    assert cookie[1:4] == ["form_submitted web 1", "2026-03-01 08:01", "2026-03-01 08:04"]
    assert cookie[4:] == ["2", "0"]
    (link,) = [row for row in cells if row[0] == "linked"]
    assert link[1] == f"{brief(AN)}, {brief(BINH)}"
    assert link[-3:] == [getpass.getuser(), "yes", "same voice"]


def test_identity_as_json_has_the_keys_of_the_page_and_whole_digests_and_no_value(run):
    done = run("lead", "identity", PHONE, "--json")
    found = document(done)
    assert list(found) in [
        [word for row in table.rows for word in quoted(row[0])]
        for table in starting(DOCS / "formats.md", "key", "what it is")
    ]
    assert [one["digest"] for one in found["strong"]] == [digest(AN), digest(CARD), digest(PHONE)]
    assert "x.io" not in done.stdout
    assert "value" not in done.stdout


def test_what_is_known_in_clear_is_shown_for_a_reason_that_is_kept(run):
    look = ("lead", "identity", PHONE, "--reveal", "--reason", "called back")
    found = document(run(*look, "--json"))
    values = ["an@x.io", None, "+84901234567"]
    assert [one["value"] for one in found["strong"]] == values
    assert "an@x.io" in run(*look).stdout
    looks = json.loads(run("lead", "accesses", "--json").stdout)
    assert [(one["lead"], one["reason"]) for one in looks] == [(digest(AN)[:32], "called back")] * 2


@pytest.mark.parametrize("reason", [(), ("--reason", " ")])
def test_nothing_is_revealed_without_a_reason(run, reason):
    assert run("lead", "identity", AN, "--reveal", *reason).exit_code == 2
    assert json.loads(run("lead", "accesses", "--json").stdout) == []


def test_known_at_takes_a_position_an_instant_and_a_date(run):
    def joined(known_at):
        done = run("lead", "identity", CARD, "--known-at", known_at, "--json")
        if done.exit_code:
            return done.exit_code, done.stderr
        return len(json.loads(done.stdout)["strong"])

    at = document(run("lead", "identity", CARD, "--json"))["strong"][1]["joined"]["recorded_at"]
    assert [joined(known) for known in ("2", "3", "5", "999999999999999", at)] == [2, 3, 3, 3, 3]
    assert joined("2099-01-01T00:00:00+07:00") == joined("2099-01-01") == 3
    for known in ("1", "0", "2020-01-01", "1577836800000000"):
        code, said = joined(known)
        assert (code, "known of this lead at position" in said) == (4, True), known


def test_how_a_day_was_read_is_said(run):
    done = run("lead", "identity", AN, "--known-at", "2099-01-01")
    assert done.stderr == (
        "known at 2098-12-31T17:00:00.000000Z, where 2099-01-01 begins in Asia/Ho_Chi_Minh\n"
    )


@pytest.mark.parametrize("known_at", ["", "soon", "2026-03-01T08:00:00", "9" * 30, "1.5", "٣"])
def test_what_is_neither_position_nor_instant_is_refused_with_what_would_be(run, known_at):
    done = run("lead", "identity", AN, "--known-at", known_at)
    assert done.exit_code == 2
    assert "like 2026-03-01T08:00:00+07:00, or a date like 2026-03-01, or a position" in done.stderr


def test_who_is_not_there_has_no_identity(run):
    for name in ("email:nobody@x.io", "0" * 32, "abc"):
        assert run("lead", "identity", name).exit_code == 4
    assert run("lead", "identity", "anonymous_id:pc").exit_code == 4


def test_an_anonymous_lead_is_known_by_its_cookie(run):
    done = run("lead", "identity", "anonymous_id:stranger")
    assert done.exit_code == 0
    assert " 1 touchpoint as known at 5 " in done.stdout
    assert "identifier " not in done.stdout
