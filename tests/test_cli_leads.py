"""Which lead is meant: by the beginning of its id, or by any identifier that was told of it."""

import getpass
import hmac
import json
from itertools import count

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.errors import SeveralLeads

KEY = bytes(range(32))
ENV = {"LEADLEDGER_IDENTIFIER_KEY": KEY.hex(), "LEADLEDGER_WORKSPACE_KEY": bytes(32).hex()}


def lead_id(kind, value):
    """The first 32 digits of the keyed digest of kind, namespace (none) and value."""
    return hmac.digest(KEY, f"{kind}\x1f\x1f{value}".encode(), "sha256").hex()[:32]


def twins():
    """Two users whose leads' ids begin with the same six digits."""
    seen = {}
    for number in count():
        begins = lead_id("user_id", f"u{number}")[:6]
        if begins in seen:
            return f"u{seen[begins]}", f"u{number}"
        seen[begins] = number


def told(event_id, *who, **more):
    identifiers = [dict(zip(("kind", "value"), one.split(":"), strict=True)) for one in who]
    at = "2026-03-01T08:00:00+07:00"
    known = {"source": "web", "event_id": event_id, "type": "form_submitted", "occurred_at": at}
    return json.dumps({**known, "identifiers": identifiers, **more}) + "\n"


FIRST, SECOND = twins()
LINES = [
    told("1", "email:an@example.vn", "phone:+84901234567"),
    told("2", "email:binh@example.vn", "anonymous_id:k-907654321"),
    told("3", "email:chi@example.vn", "anonymous_id:k-907654321"),
    told("4", "phone:+84911111111"),
    told("5", "email:dung@example.vn", "phone:+84911111111"),
    told("6", "email:em@example.vn"),
    told("7", "email:em@example.vn", "phone:+84922222222"),
    told(
        "8",
        type="touchpoint_retracted",
        attributes={"source": "web", "event_id": "7"},
    ),
    told("9", "email:an@example.vn", "phone:+84933333333", type="identity_linked"),
    told("10", f"user_id:{FIRST}"),
    told("11", f"user_id:{SECOND}"),
    told("12", "user_id:Ánh", personal={"name": "Ánh"}),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leads")
    (folder / "in.jsonl").write_text("".join(LINES), encoding="utf-8")

    def command(*words):
        return CliRunner().invoke(cli, [*words, "--db", str(folder / "x.db")], env=ENV)

    assert command("import", str(folder / "in.jsonl")).exit_code == 0
    return command


def shown(run, lead):
    """The id of the lead that is shown, or the exit code and what is said."""
    done = run("lead", "show", lead, "--json")
    return json.loads(done.stdout)["lead"] if done.exit_code == 0 else (done.exit_code, done.stderr)


AN = lead_id("email", "an@example.vn")


@pytest.mark.parametrize("named", [AN, AN[:31], AN[:6], AN[:8].upper(), AN.upper()])
def test_the_beginning_of_an_id_names_the_lead(run, named):
    assert shown(run, named) == AN


def test_history_takes_the_same_names(run):
    whole = run("lead", "history", AN, "--json").stdout
    assert run("lead", "history", AN[:6], "--json").stdout == whole
    assert run("lead", "history", "phone:+84901234567", "--json").stdout == whole


@pytest.mark.parametrize("named", [AN[:5], "", "a", "g" * 32, AN + "0", f"{AN[:6]}%", "0" * 32])
def test_what_begins_no_id_or_is_too_short_names_nobody(run, named):
    code, said = shown(run, named)
    assert code == 4
    assert "there is no lead by this id" in said
    assert "6 characters or more" in said


def test_a_beginning_of_two_ids_is_refused_with_both(run):
    first, second = sorted(lead_id("user_id", user) for user in (FIRST, SECOND))
    code, said = shown(run, first[:6])
    assert code == 4
    assert said == (
        f"leadledger: there are 2 leads by this id: {first}, {second}; name one by its id\n"
    )
    assert {shown(run, first), shown(run, second)} == {first, second}


def test_five_candidates_are_listed_at_most():
    ids = [str(number) * 32 for number in range(7)]
    said = str(SeveralLeads("phone", ids))
    assert said.startswith("there are 7 leads by this phone: 0")
    assert [one for one in ids if one in said] == ids[:5]
    assert "and 2 more; name one" in said
    assert "more" not in str(SeveralLeads("phone", ids[:5]))


@pytest.mark.parametrize("named", ["phone:+84901234567", "phone:0901 234 567"])
def test_an_identifier_told_beside_others_names_the_lead(run, named):
    assert shown(run, named) == AN


def test_a_lead_goes_by_the_identifier_that_was_known_first_and_answers_to_all(run):
    first, later = lead_id("phone", "+84911111111"), lead_id("email", "dung@example.vn")
    named = ("phone:+84911111111", "email:dung@example.vn", first, later, later[:8])
    assert {shown(run, one) for one in named} == {first}


def test_an_identifier_of_two_leads_is_refused_with_both(run):
    both = sorted(lead_id("email", f"{name}@example.vn") for name in ("binh", "chi"))
    code, said = shown(run, "anonymous_id:k-907654321")
    assert code == 4
    assert f"2 leads by this anonymous_id: {', '.join(both)};" in said
    assert "907654321" not in said


def test_an_identifier_that_was_only_linked_names_the_lead(run):
    assert shown(run, "phone:+84933333333") == AN


@pytest.mark.parametrize("gone", ["+84922222222", "+84944444444"])
def test_what_was_taken_back_or_never_told_names_nobody(run, gone):
    assert shown(run, f"phone:{gone}")[0] == 4
    assert shown(run, "email:em@example.vn") == lead_id("email", "em@example.vn")


def test_an_identifier_is_read_as_the_edge_reads_it(run):
    assert shown(run, "user_id:A\u0301nh") == lead_id("user_id", "Ánh")
    assert shown(run, "user_id:\udcff")[0] == 3


def test_a_kind_that_is_misspelled_is_told_without_the_value(run):
    code, said = shown(run, "emial:an@example.vn")
    assert code == 4
    assert "did you mean email?" in said
    assert "an@example.vn;" not in said


def test_who_looked_is_listed_with_when_whose_and_why(run):
    assert json.loads(run("lead", "accesses", "--json").stdout) == []
    anh = lead_id("user_id", "Ánh")
    for lead, reason in ((anh, "called back"), (AN, "asked\x1b[2J"), (anh, "once more")):
        assert run("lead", "show", lead, "--reveal", "--reason", reason).exit_code == 0

    looks = json.loads(run("lead", "accesses", "--json").stdout)
    assert [list(look) for look in looks] == [["at", "who", "lead", "reason"]] * 3
    assert [(look["lead"], look["reason"]) for look in looks] == [
        (anh, "called back"),
        (AN, "asked\x1b[2J"),
        (anh, "once more"),
    ]
    assert {look["who"] for look in looks} == {getpass.getuser()}
    assert all(look["at"].endswith("Z") for look in looks)

    of_anh = json.loads(run("lead", "accesses", "user_id:Ánh", "--json").stdout)
    assert of_anh == [looks[0], looks[2]]
    table = run("lead", "accesses", AN[:6]).stdout
    assert table.startswith("Looks at personal data: 1 · times in Asia/Ho_Chi_Minh")
    assert r"asked\x1b[2J" in table
    assert run("lead", "accesses", "0" * 32).exit_code == 4
