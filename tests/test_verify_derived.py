"""`audit verify` over the books, read models, announcements and the journal; and its command."""

import json

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.journal.journal import Journal
from tests.audited import AN, BINH, Audited, lead, little_story, retracting
from tests.read_side import HOUR

ROWS = {"ids": 8, "packed": 8, "events": 8}
AT_6 = 1_772_344_800_000_000  # 2026-03-01T06:00:00Z, when e-8 happened


@pytest.fixture
def store(facts_url, clock):
    """A store with the little story in it, in each kind of database."""
    made = Audited(facts_url, clock)
    little_story(made)
    yield made
    made.close()


@pytest.fixture
def store_file(tmp_path, clock):
    """The same in a file."""
    made = Audited(f"sqlite:///{tmp_path}/facts.db", clock)
    little_story(made)
    yield made
    made.close()


def only(verdict):
    """The one difference that there is."""
    (found,) = verdict.differences
    assert verdict.found == {found.check: 1}
    return found


# Recordings and positions


def test_a_recording_that_goes_back_in_time_is_found(store):
    store.change("UPDATE recordings SET recorded_at = recorded_at - 7200000000 WHERE first = 5")
    found = only(store.verify())
    assert (found.check, found.position) == ("recordings", 5)
    assert found.what == "positions 5 to 7 were recorded before the ones before them"
    assert (found.stored, found.expected) == (
        "2026-03-02T00:00:00.000000Z",
        "not before 2026-03-02T01:00:00.000000Z",
    )


def test_positions_that_were_recorded_twice_are_found(store):
    store.change("UPDATE recordings SET last = 5 WHERE first = 2")
    found = only(store.verify())
    assert (found.check, found.position, found.stored) == ("recordings", 5, [5, 7])


def test_events_that_were_recorded_at_no_time_are_found(store):
    store.change("DELETE FROM recordings WHERE first = 5")
    (found,) = (one for one in store.verify().differences if one.check == "recordings")
    assert found.position == 5
    assert found.what == "3 events at positions 5 to 7 were recorded at no time"


def plant_a_gap(store, position):
    """The last batch moves on by one, with all that refers to it but what was derived."""
    for statement in (
        f"UPDATE stored_events SET {position} = -1 - {position} WHERE {position} > 7",
        f"UPDATE stored_events SET {position} = -{position} WHERE {position} < 0",
        "UPDATE touchpoints SET position = position + 1 WHERE position > 7",
        "UPDATE recent_ids SET position = -1 - position WHERE position > 7",
        "UPDATE recent_ids SET position = -position WHERE position < 0",
        "UPDATE recordings SET first = 9, last = 10 WHERE first = 8",
    ):
        store.change(statement)


def test_a_gap_that_was_planted_among_positions_is_found(store_file):
    plant_a_gap(store_file, "rowid")
    (found,) = (one for one in store_file.verify().differences if one.check == "positions")
    assert (found.position, found.expected) == (8, "an event")
    assert found.what == "positions 8 were passed over, which nothing that records here does"


@pytest.mark.services
def test_on_a_server_another_program_may_have_taken_a_position_and_given_it_up(
    facts_database, clock
):
    store = Audited(facts_database, clock)
    little_story(store)
    plant_a_gap(store, "notification_id")
    verdict = store.verify()
    assert verdict.checked["positions given up"] == 1
    assert {one.check for one in verdict.differences} <= {"announcements", "read models"}
    store.close()


# Conservation


@pytest.mark.parametrize(
    ("statement", "stored", "expected"),
    [
        ("UPDATE intake SET received = received + 1", 10, 9),
        ("UPDATE intake SET duplicates = duplicates + 1", 9, 10),
        ("UPDATE intake SET recorded = recorded + 1, received = received + 1", ROWS, 9),
        ("UPDATE aside SET origin = 'elsewhere'", 0, 1),
        ("DELETE FROM aside", 0, 1),
    ],
)
def test_what_came_and_is_not_there_is_missed(store, statement, stored, expected):
    store.change(statement)
    found = [one for one in store.verify().differences if one.check == "conservation"]
    assert (stored, expected) in [(one.stored, one.expected) for one in found]


def test_a_figure_is_missed_for_the_origin_that_it_is_of(store):
    store.change("INSERT INTO intake VALUES ('other', 5, 4, 0, 0)")
    store.change("UPDATE intake SET recorded = recorded - 4, received = received - 4 "
                 "WHERE origin = 'test'")  # fmt: skip
    found = only(store.verify())
    assert found.what == (
        "of 5 received from other, 4 were recorded, 0 known and 0 set aside: some are lost"
    )


# The rule book


def test_a_rule_set_whose_text_was_changed_under_its_id_is_found(store):
    store.change("UPDATE rule_sets SET toml = replace(toml, 'points = 8', 'points = 9')")
    found = [one for one in store.verify().differences if one.check == "rule book"]
    (changed,) = (one for one in found if one.position == 1)
    assert "which now reads as another one" in changed.what
    assert changed.stored != changed.expected
    assert len(changed.stored) == len(changed.expected) == 64


@pytest.mark.parametrize(
    ("statement", "stored", "expected"),
    [
        ("UPDATE rule_book SET effective_at = 5", {"effective_at": 5}, {"effective_at": None}),
        (
            "UPDATE rule_book SET published_at = 5",
            {"published_at": 5},
            {"published_at": 1_772_409_600_000_000},
        ),
    ],
)
def test_an_entry_that_is_not_what_was_published_is_found(store, statement, stored, expected):
    store.change(statement)
    (found,) = (one for one in store.verify().differences if one.check == "rule book")
    assert (found.position, found.stored, found.expected) == (1, stored, expected)


def test_an_entry_that_is_gone_is_found(store):
    store.change("DELETE FROM rule_book")
    (found,) = (one for one in store.verify().differences if one.check == "rule book")
    assert (found.position, found.stored) == (1, None)
    assert found.expected["number"] == 1


# Read models


def test_a_row_that_was_changed_in_a_read_model_is_found_with_both_values(store):
    store.change_models("UPDATE leads_{} SET score_1 = score_1 + 1 WHERE last_event_id = 'e-8'")
    found = only(store.verify())
    assert (found.check, found.lead, found.position) == ("read models", lead(BINH), 9)
    assert found.what == "a row of leads is not what its lead's touchpoints come to"
    assert found.stored["score_1"] == found.expected["score_1"] + 1
    assert found.fix == "run leadledger rebuild"
    store.rebuild()
    assert store.verify().differences == []


@pytest.mark.parametrize("table", ["leads", "stage_visits", "clock_runs", "funnel"])
def test_a_row_that_is_missing_in_a_read_model_is_found(store, table):
    store.change_models(f"DELETE FROM {table}_{{}} WHERE lead = 34")
    found = store.verify().differences
    assert {(one.lead, one.position, one.stored) for one in found} == {(lead(BINH), 9, None)}
    assert {one.what for one in found} == {f"a row of {table} is missing"}
    assert store.found(lead=lead(BINH)) == {("read models", lead(BINH), 9)}
    assert store.found(lead=lead(AN)) == set()


def test_a_row_of_nobody_in_a_read_model_is_found(store):
    store.change_models("INSERT INTO due_{} VALUES (999999, 5)")
    found = only(store.verify())
    assert (found.lead, found.stored) == ("999999", {"lead": 999999, "at": 5})


def test_facts_that_cannot_be_folded_hide_no_other_lead(store):
    store.change("UPDATE touchpoints SET packed = substr(packed, 1, 40) WHERE position = 5")
    store.change_models("DELETE FROM due_{} WHERE lead = 10")
    found = [one for one in store.verify().differences if one.check == "read models"]
    assert "a row of due is missing" in [one.what for one in found if one.lead == lead(AN)]
    assert any("cannot be folded" in one.what for one in found if one.lead == lead(BINH))


def test_read_models_that_nobody_reads_any_more_are_not_looked_at(store):
    store.change_models("UPDATE leads_{} SET score_1 = 0")
    store.change_models("UPDATE generations SET derived_by = 0")
    verdict = store.verify()
    assert verdict.differences == []
    assert "the next reading makes them" in verdict.notes[0]


def test_read_models_are_left_out_where_less_was_known_than_they_know(store):
    store.change_models("UPDATE leads_{} SET score_1 = 0")
    verdict = store.verify(known_at=8)
    assert verdict.differences == []
    assert verdict.notes == ["the read models stand at position 9, beyond what was looked at"]


# Announcements


def test_an_announcement_that_was_forged_is_found(store):
    store.rewrite_announcement(9, name="life.customer")
    found = only(store.verify())
    assert (found.check, found.lead, found.position) == ("announcements", lead(BINH), 9)
    assert found.what == (
        "the announcement 9, stage_entered life.customer, is not what the touchpoints known then "
        "come to"
    )
    assert (found.stored, found.expected) == ("2026-03-01T06:00:00.000000Z", [])


def test_an_announcement_with_another_instant_is_found(store):
    store.rewrite_announcement(9, at=AT_6 + HOUR)
    found = only(store.verify())
    assert (found.lead, found.position) == (lead(BINH), 9)
    assert (found.stored, found.expected) == (
        "2026-03-01T07:00:00.000000Z",
        ["2026-03-01T06:00:00.000000Z"],
    )


FORGED = {
    "for another lead": (9, {"lead": lead(AN)}, "names another first touchpoint"),
    "for nobody": (9, {"lead": "f" * 32}, "is about a lead that there was not"),
    "of what was not recorded": (10, {"position": 90}, "was told by what is not recorded"),
    "of less than was known": (9, {"position": 7}, "is not what the touchpoints known then"),
    "as of an instant before": (9, {"settled_to": AT_6 - 1}, "is not what the touchpoints known"),
    "under other rules": (9, {"rules": "f" * 64}, "was made under rules not in force then"),
    "with another cause": (9, {"cause": None}, "names another cause than there was"),
    "of a clock due at another time": (10, {"due": AT_6}, "is not what the touchpoints known"),
    "of a segment left": (8, {"kind": "segment_left"}, "is not what the touchpoints known then"),
    "correcting nothing": (5, {"corrects": "f" * 64}, "corrects what was never announced before"),
    "correcting as another": (5, {"name": "life.visitor"}, "does not say what it corrects"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_whatever_an_announcement_says_otherwise_is_found(store_file, forged):
    number, fields, what = FORGED[forged]
    if "rules" in fields:
        keep = "INSERT INTO rule_sets VALUES (?, 'other', 'name = \"other\"')"
        store_file.change(keep, fields["rules"])
    store_file.rewrite_announcement(number, **fields)
    found = [one for one in store_file.verify().differences if what in one.what]
    assert [one.check for one in found] == ["announcements"]
    assert f"the announcement {number}," in found[0].what


def test_a_correction_of_what_is_right_is_found(store):
    """Announcement 9 holds, so nothing may correct it; 5 corrected what e-3 had brought."""
    with store.facts.snapshot() as connection:
        right = connection.execute("SELECT id, at FROM announcements WHERE number = 9").fetchone()
    store.rewrite_announcement(5, corrects=right[0], name="life.mql", at=right[1])
    found = [one.what for one in store.verify().differences if "announcement 5," in one.what]
    assert found  # it comes before what it corrects


CHANGED = {
    "a column": ("UPDATE announcements SET name = 'life.gone' WHERE number = 9", "columns"),
    "its bytes": (
        "UPDATE announcements SET data = (SELECT data FROM announcements AS other "
        "WHERE other.number = 8) WHERE number = 9",
        "columns",
    ),
    "bytes that are none": ("UPDATE announcements SET data = ? WHERE number = 9", "cannot be read"),
    "its id": ("UPDATE announcements SET id = 'f' WHERE number = 9", "columns"),
}


@pytest.mark.parametrize("changed", CHANGED)
def test_columns_and_bytes_of_an_announcement_agree(store, changed):
    statement, what = CHANGED[changed]
    store.change(statement, *([b"\xc3\x01"] if "?" in statement else []))
    (found,) = (one for one in store.verify().differences if what in one.what)
    assert (found.check, found.lead, found.position) == ("announcements", lead(BINH), 9)


def test_an_announcement_that_is_gone_is_missed(store):
    store.change("DELETE FROM announcements WHERE number = 7")
    found = [one for one in store.verify().differences if one.check == "announcements"]
    missing = (one for one in found if one.what == "an announcement before this one is missing")
    assert [(one.stored, one.expected) for one in missing] == [(8, 7)]


def test_that_the_last_announcement_is_gone_is_known_by_its_standing(store):
    with store.facts.snapshot() as connection:
        ((last,),) = connection.execute("SELECT max(number) FROM announcements").fetchall()
    store.change("DELETE FROM announcements WHERE number = ?", last)
    assert only(store.verify()).what == f"announcement {last} stands, though it is gone"


def test_what_stands_is_what_nothing_corrects(store):
    store.change("DELETE FROM standing WHERE number = 9")
    assert only(store.verify()).what == (
        "announcement 9 does not stand, though nothing corrects it"
    )


def test_announcements_are_found_where_one_lead_is_looked_at(store):
    store.rewrite_announcement(9, name="life.customer")
    assert store.found(lead=lead(BINH)) == {("announcements", lead(BINH), 9)}
    assert store.found(lead=lead(AN)) == set()


def test_what_was_made_wrong_by_later_knowledge_is_no_difference(store):
    """It was right by what was known then, though nobody has corrected it yet."""
    store.tell(retracting("e-11", "e-8"))
    store.keep_up()
    assert store.verify().differences == []


# The journal


def test_a_journal_that_is_not_as_the_store_is_found(store_file, tmp_path):
    journal = Journal.open(tmp_path / "journal")
    journal.extend(store_file.facts)
    assert store_file.verify(journal=tmp_path / "journal").checked["journals"] == 1
    for file in (tmp_path / "journal").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    found = store_file.verify(journal=tmp_path / "journal").differences
    assert {one.check for one in found} == {"journal"}


# The command

ENV = {"LEADLEDGER_IDENTIFIER_KEY": bytes(range(32)).hex(), "LEADLEDGER_TOO_COMMON": "3"}
ENV["LEADLEDGER_WORKSPACE_KEY"] = ENV["LEADLEDGER_IDENTIFIER_KEY"]


def run(store, *words):
    return CliRunner().invoke(cli, [*words, "--db", str(store.facts.path)], env=ENV)


def test_the_command_says_how_much_was_checked_and_ends_well(store_file):
    done = run(store_file, "audit", "verify")
    assert done.exit_code == 0, done.output
    first, last = done.stdout.splitlines()
    assert first.startswith("looked at what is known at #9: ")
    assert "9 events" in first
    assert last == "no differences"


def test_the_command_lists_differences_and_ends_with_6(store_file):
    store_file.change_models("UPDATE leads_{} SET anomalies = 7 WHERE lead = 34")
    done = run(store_file, "audit", "verify")
    assert done.exit_code == 6
    said = "BAD read models: a row of leads is not what its lead's touchpoints come to"
    assert f"{said} (lead {lead(BINH)}, position 9)" in done.stdout
    assert '      there: {"anomalies":7}' in done.stdout
    assert "      → run leadledger rebuild" in done.stdout
    assert done.stdout.endswith("1 differences\n")


def test_the_command_gives_one_document_of_one_lead(store_file):
    store_file.change_models("UPDATE leads_{} SET anomalies = 7 WHERE lead = 34")
    done = run(store_file, "audit", "verify", BINH, "--json")
    assert done.exit_code == 6
    document = json.loads(done.stdout)
    assert list(document) == ["known_at", "lead", "checked", "notes", "differences", "found"]
    assert (document["known_at"], document["lead"]) == (9, lead(BINH))
    (found,) = document["differences"]
    assert list(found) == ["check", "what", "lead", "position", "stored", "expected", "fix"]
    assert run(store_file, "audit", "verify", AN, "--json").exit_code == 0


def test_nothing_is_changed_by_looking(store_file):
    before = store_file.dump()
    store_file.verify()
    store_file.verify(lead=lead(AN))
    assert store_file.dump() == before
