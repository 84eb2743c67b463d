"""What leads in the store are compared by, and the command that lists likely duplicates."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.edge import Edge, Row
from engine.lifecycle import record
from engine.suggestions import suggest
from tests.storeless import KEY, RECEIVED_AT
from tests.storing import WORKSPACE_KEY


def told(place, *who, type="form_submitted", **more):
    """A touchpoint as a tool tells it; people are named like email:an@x.vn."""
    identifiers = [dict(zip(("kind", "value"), one.split(":"), strict=True)) for one in who]
    at = f"2026-03-01T08:{place:02d}:00+07:00"
    known = {"source": "web", "event_id": str(place), "type": type, "occurred_at": at}
    return {**known, "identifiers": identifiers, **more}


def keep(facts, *touchpoints):
    """Record touchpoints by way of the edge."""
    edge = Edge(KEY, facts.keyring(WORKSPACE_KEY))
    rows = [
        Row(origin="test", line=line, data=b"", value=one) for line, one in enumerate(touchpoints)
    ]
    recorded = record(facts, edge.accept(rows, RECEIVED_AT), workspace_key=WORKSPACE_KEY)
    assert recorded.recorded == len(touchpoints)


def suggested(facts):
    """The pairs of ids of leads, and what is alike."""
    found, _ = suggest(facts.similar(), 0, facts.unlinked())
    return {
        frozenset(facts.lead_ids(np.array(one.leads))): [
            each.what for each in one.evidence if each.agree
        ]
        for one in found
    }


def pair(*who):
    """Two leads by what they were first known by."""
    return frozenset(KEY.digest(*one.split(":")[:1], "", one.split(":")[1])[:32] for one in who)


AN, TAGGED = "email:an.le@x.vn", "email:anle+shop@x.vn"


def test_leads_are_compared_by_what_stands_on_all_their_touchpoints(facts):
    keep(
        facts,
        told(1, AN, account="acme", personal={"name": "Lê Văn An"}),
        told(2, AN, personal={"phone": "0901 234 567"}),
        told(3, "user_id:u1", account="acme", personal={"name": "LE VAN AN"}),
        told(4, "user_id:u1", personal={"phone": "+84 901 234 576"}),
        told(5, TAGGED),
    )
    assert suggested(facts) == {
        pair(AN, "user_id:u1"): ["number_swapped", "name"],
        pair(AN, TAGGED): ["address"],
    }


def test_who_is_one_lead_already_is_not_suggested(facts):
    keep(facts, told(1, AN), told(2, TAGGED))
    assert suggested(facts) == {pair(AN, TAGGED): ["address"]}
    keep(facts, told(3, AN, TAGGED))
    assert suggested(facts) == {}


def test_a_retracted_touchpoint_says_nothing(facts):
    keep(facts, told(1, AN), told(2, "user_id:u1", personal={"email": "anle@x.vn"}))
    assert suggested(facts) == {pair(AN, "user_id:u1"): ["address"]}
    named = {"source": "web", "event_id": "2"}
    keep(facts, told(3, type="touchpoint_retracted", attributes=named))
    assert suggested(facts) == {}


def test_what_was_unlinked_does_not_come_again_until_that_is_taken_back(facts):
    keep(facts, told(1, AN), told(2, TAGGED), told(3, AN, TAGGED, type="identity_unlinked"))
    assert suggested(facts) == {}
    keep(facts, told(4, AN, "user_id:u1"), told(5, TAGGED, "user_id:u2"))
    assert suggested(facts) == {}
    keep(facts, told(6, type="touchpoint_retracted", attributes={"source": "web", "event_id": "3"}))
    assert suggested(facts) == {pair(AN, TAGGED): ["address"]}


def test_the_last_word_on_a_pair_counts(facts):
    keep(facts, told(1, AN), told(2, TAGGED))
    keep(facts, told(4, AN, TAGGED, type="identity_unlinked"))
    keep(facts, told(3, AN, TAGGED, type="identity_linked"))
    assert suggested(facts) == {}
    assert len(facts.unlinked()) == 1
    keep(facts, told(5, AN, TAGGED, type="identity_linked"))
    assert len(facts.unlinked()) == 0
    assert suggested(facts) == {}  # they are one lead


def test_what_a_cookie_says_is_its_owners_and_anonymous_leads_are_left_out(facts):
    typed = {"email": "anle@x.vn"}
    keep(
        facts,
        told(1, AN),
        told(2, "anonymous_id:a", "user_id:u1"),
        told(3, "anonymous_id:a", personal=typed),
        told(4, "anonymous_id:b", personal=typed),
    )
    assert suggested(facts) == {pair(AN, "user_id:u1"): ["address"]}


def test_progress_is_told_in_leads(facts):
    seen = []
    keep(facts, told(1, AN), told(2, TAGGED), told(3, "anonymous_id:a"))
    facts.similar(lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (2, 2)]


def everything(facts):
    """All that is stored, table by table."""
    with facts.snapshot() as connection:
        tables = ("stored_events", "streams", "touchpoints", "evidence", "pairs", "links")
        return [
            sorted(map(repr, connection.execute(f"SELECT * FROM {table}").fetchall()))
            for table in tables
        ]


def test_to_look_for_duplicates_changes_nothing(facts):
    keep(facts, told(1, AN), told(2, TAGGED), told(3, AN, "user_id:u1"))
    before, leads = everything(facts), told_leads(facts)
    assert suggested(facts)
    assert everything(facts) == before
    assert told_leads(facts) == leads


def told_leads(facts):
    return sorted(facts.histories().leads)


LINES = [
    told(1, AN, personal={"phone": "0901 234 567"}),
    told(2, TAGGED, personal={"phone": "+84 901 234 567"}),
    told(3, "email:binh@x.vn", personal={"phone": "+84 901 234 568"}),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggestions")
    env = {"LEADLEDGER_IDENTIFIER_KEY": bytes(range(32)).hex()}
    env["LEADLEDGER_WORKSPACE_KEY"] = bytes(32).hex()
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))

    def command(*words):
        done = CliRunner().invoke(cli, [*words, "--db", str(folder / "x.db")], env=env)
        assert done.exit_code == 0, done.output
        return done

    command("import", str(folder / "in.jsonl"))
    return lambda *words: command("lead", "suggestions", *words)


def test_the_command_lists_pairs_with_their_evidence_and_how_to_confirm_them(run):
    done = run()
    assert done.stdout.startswith("Likely duplicates: 1 · rank 0.8 or more")
    (row,) = [line for line in done.stdout.splitlines() if line.lstrip().startswith("0.")]
    assert {*row.split()[1:3]} == {one[:12] for one in pair(AN, TAGGED)}
    assert "same address but for dots and tag, same number (3 leads)" in row
    assert "leadledger lead merge LEAD LEAD --reason" in done.stderr


def test_as_json_there_are_documents_with_whole_ids(run):
    document = json.loads(run("--json").stdout)
    (one,) = document.pop("suggestions")
    assert document == {"found": 1, "skipped": 0}
    assert frozenset(one["leads"]) == pair(AN, TAGGED)
    assert 0.8 < one["rank"] < 1
    assert one["evidence"] == [
        {"what": "address", "agree": 1, "leads": 2},
        {"what": "number", "agree": 11, "leads": 3},
    ]


def test_what_speaks_against_stands_behind_what_speaks_for_it(run):
    lines = [line for line in run("--min-rank", "0").stdout.splitlines() if "other" in line]
    assert len(lines) == 2
    assert all(
        line.rstrip().endswith("number with a digit wrong or moved (3 leads); other address")
        for line in lines
    )


def test_no_more_are_listed_than_asked_for_and_all_are_counted(run):
    assert run("--min-rank", "0", "--limit", "1").stdout.startswith("Likely duplicates: 1 of 3 ·")
    document = json.loads(run("--min-rank", "0", "--limit", "1", "--json").stdout)
    assert document["found"] == 3
    assert len(document["suggestions"]) == 1


def test_where_nobody_is_likely_it_says_so(run):
    done = run("--min-rank", "1")
    assert done.stdout == "No two leads are likely to be one person (rank 1 or more).\n"
    assert json.loads(run("--min-rank", "1", "--json").stdout)["suggestions"] == []


@pytest.mark.parametrize("rank", ["nan", "-0.1", "1.1", "high"])
def test_a_rank_is_from_0_to_1(rank):
    asked = CliRunner().invoke(cli, ["lead", "suggestions", "--min-rank", rank])
    assert asked.exit_code == 2
