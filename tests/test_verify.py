"""`audit verify` over facts: damage of every kind is planted, found, and said where it lies."""

from random import Random

import pytest

from engine.codec import decode
from engine.errors import ReadModelsDamaged, StoreCorrupt
from tests.audited import AN, BINH, U_1, Audited, lead, little_story
from tests.read_side import HOUR
from tests.storing import seeds_over_each


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


@seeds_over_each(sqlite=25, postgresql=5)
def test_a_sound_store_differs_in_nothing(facts_url, clock, seed):
    audited = Audited(facts_url, clock)
    audited.live_through(Random(seed))

    verdict = audited.verify()

    assert (verdict.differences, verdict.found) == ([], {})
    assert verdict.checked["events"] == verdict.known_at == audited.facts.head()
    audited.close()


@pytest.mark.parametrize("seed", range(6))
def test_every_lead_of_a_sound_store_differs_in_nothing(tmp_path, clock, seed):
    audited = Audited(f"sqlite:///{tmp_path}/facts.db", clock)
    audited.live_through(Random(seed))
    leads = audited.facts.histories().leads
    assert leads
    for one in leads:
        verdict = audited.verify(lead=one)
        assert (verdict.lead, verdict.differences) == (one, [])
        assert 0 < verdict.checked["events"] < audited.facts.head()
    audited.close()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_known_once_is_sound_as_well(tmp_path, clock, seed):
    audited = Audited(f"sqlite:///{tmp_path}/facts.db", clock)
    audited.live_through(Random(seed))
    for position in range(0, audited.facts.head(), 7):
        verdict = audited.verify(known_at=position)
        assert verdict.differences == []
        assert (verdict.known_at, verdict.checked.get("events", 0)) == (position, position)
    audited.close()


def test_it_is_said_how_much_was_looked_at(store):
    checked = store.verify().checked
    assert (checked["events"], checked["ids"], checked["recordings"]) == (9, 8, 4)
    assert (checked["publications"], checked["announcements"]) == (1, 10)
    # e-4 names a user id, and e-2 a cookie, which nobody keeps in clear
    assert checked["contents made again"] == 6
    assert checked["contents of what is not kept in clear"] == 2


# Events


def test_a_byte_that_flips_in_an_event_is_found_whichever_it_is(store_file):
    """But in a mention, which this event has not: of its digest nothing else is kept."""
    *_, data = store_file.event(2)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1
        change = "UPDATE stored_events SET state = ? WHERE stored_events.rowid = 2"
        store_file.change(change, bytes(flipped))
        assert (lead(AN), 2) in store_file.found_in_events(AN), at


def test_a_byte_that_flips_is_found_in_each_kind_of_database(store):
    *_, data = store.event(8)
    flipped = bytearray(data)
    flipped[data.index(b"price_asked")] ^= 1
    store.change("UPDATE stored_events SET state = ? WHERE stored_events.rowid = 8", bytes(flipped))
    assert ("rows", lead(BINH), 8) in store.found()


def test_a_missing_touchpoint_is_found_and_named(store):
    store.change("DELETE FROM stored_events WHERE stored_events.rowid = 5")
    verdict = store.verify()
    (gone,) = (one for one in verdict.differences if one.what == "the touchpoint web e-5 is gone")
    assert (gone.check, gone.lead, gone.position) == ("events", lead(BINH), 5)
    assert verdict.found["conservation"] == 1  # 8 were recorded, 7 events are there


def test_a_touchpoint_that_is_missing_at_the_end_is_found(store):
    store.change("DELETE FROM stored_events WHERE stored_events.rowid = 9")
    assert ("events", lead(AN), 9) in store.found()


def test_a_touchpoint_with_all_its_rows_gone_is_missed_in_its_stream_and_among_positions(store):
    for statement in (
        "DELETE FROM stored_events WHERE stored_events.rowid = 5",
        "DELETE FROM touchpoints WHERE position = 5",
        "DELETE FROM recent_ids WHERE position = 5",
    ):
        store.change(statement)
    found = store.found()
    assert ("events", None, 5) in found
    assert ("streams", lead(BINH), 8) in found  # it goes on with version 2 where 1 was due


def test_a_touchpoint_that_is_there_twice_is_found(store):
    originator, _, topic, data = store.event(9)
    store.put(10, originator, 2, topic, data)
    found = store.verify().differences
    (twice,) = (one for one in found if one.check == "ids")
    assert (twice.lead, twice.position, twice.stored, twice.expected) == (lead(AN), 10, 9, 10)
    assert twice.what == "the id of the touchpoint web e-9 is that of another position: " + (
        "it is there twice"
    )


def test_an_event_in_the_stream_of_somebody_else_is_found(store):
    originator = store.event(8)[0]
    store.change(
        "UPDATE stored_events SET originator_id = ?, originator_version = 7 "
        "WHERE stored_events.rowid = 9",
        originator,
    )
    assert ("streams", lead(BINH), 9) in store.found()


def test_an_event_of_another_program_is_found(store):
    store.change("UPDATE stored_events SET topic = 'shop-order' WHERE stored_events.rowid = 5")
    (found,) = (one for one in store.verify().differences if one.stored == "shop-order")
    assert (found.check, found.lead, found.position) == ("events", lead(BINH), 5)


def test_bytes_that_say_the_same_in_another_way_are_found(store):
    """Avro readers take a whole number that is written longer than it need be."""
    *_, data = store.event(5)
    longer = data[:10] + bytes([data[10] | 0x80, 0]) + data[11:]  # how long the source's name is
    assert decode(longer) == decode(data)
    store.change("UPDATE stored_events SET state = ? WHERE stored_events.rowid = 5", longer)
    (found,) = (one for one in store.verify().differences if one.check == "events")
    assert (found.lead, found.position) == (lead(BINH), 5)
    assert "not in the one form" in found.what


def test_a_history_that_was_written_anew_with_all_its_rows_does_not_deceive_the_keys(store):
    """Event, packed row and columns agree; the content was digested under a key."""
    *_, data = store.event(5)
    forged = data.replace(b"page_viewed", b"price_asked")
    store.change("UPDATE stored_events SET state = ? WHERE stored_events.rowid = 5", forged)
    with store.facts.snapshot() as connection:
        ids = dict(connection.execute("SELECT text, id FROM strings").fetchall())
        row = "SELECT packed FROM touchpoints WHERE position = 5"
        (packed,) = connection.execute(row).fetchone()
    number = {text: ids[text].to_bytes(4, "little") for text in ("page_viewed", "price_asked")}
    at = packed.index(number["page_viewed"], 32)
    packed = packed[:at] + number["price_asked"] + packed[at + 4 :]
    store.change("UPDATE touchpoints SET packed = ? WHERE position = 5", packed)
    assert ("contents", lead(BINH), 5) in store.found()
    assert "contents" not in {check for check, *_ in store.found(keys=None)}


# Rows beside the events


def test_a_packed_row_that_was_changed_is_found_with_both_values(store):
    with store.facts.snapshot() as connection:
        row = "SELECT packed FROM touchpoints WHERE position = 5"
        (packed,) = connection.execute(row).fetchone()
    at = int.from_bytes(packed[:8], "little")
    later = (at + HOUR).to_bytes(8, "little") + packed[8:]
    store.change("UPDATE touchpoints SET packed = ? WHERE position = 5", later)
    (found,) = (one for one in store.verify().differences if one.check == "rows")
    assert (found.lead, found.position) == (lead(BINH), 5)
    assert (found.stored, found.expected) == ({"occurred_at": at + HOUR}, {"occurred_at": at})


# What is done to a row; the lead to look at, and where. Without what joins it, e-4 is u-1's.
DAMAGED_ROWS = {
    "a packed row that is gone": ("DELETE FROM touchpoints WHERE position = 5", BINH, 5),
    "a packed row cut short": (
        "UPDATE touchpoints SET packed = substr(packed, 1, 40) WHERE position = 5",
        *(BINH, 5),
    ),
    "a text that was changed in the dictionary": (
        "UPDATE strings SET text = 'x_other' WHERE text = 'price_asked'",
        *(BINH, 8),
    ),
    "a void mark that is gone": ("UPDATE touchpoints SET void = NULL WHERE position = 3", AN, 3),
    "a void mark that was planted": ("UPDATE touchpoints SET void = 7 WHERE position = 8", BINH, 8),
    "evidence that is gone": ("DELETE FROM evidence WHERE position = 4", AN, 4),
    "evidence of another stream": ("UPDATE evidence SET stream = 34 WHERE position = 4", AN, 4),
    "evidence that was planted": ("INSERT INTO evidence VALUES (10, 9, 43)", AN, 9),
    "a pair that is gone": ("DELETE FROM pairs WHERE position = 4 AND identifier = 10", U_1, 4),
    "a pair of a later touchpoint": ("UPDATE pairs SET position = 6 WHERE position = 4", U_1, 4),
    "a pair that was planted": ("INSERT INTO pairs VALUES (34, 43, 34, 8)", BINH, 8),
    "a link that is gone": ("DELETE FROM links WHERE position = 6", AN, 6),
    "a link that became an unlink": ("UPDATE links SET linked = 0 WHERE position = 6", AN, 6),
    "a link that was planted": (
        "INSERT INTO links VALUES (34, 8, 10, 1, 0, 0, 'web', 'e-8', NULL)",
        *(BINH, 8),
    ),
    "a retraction of another": ("UPDATE retractions SET event_id = 'e-2'", None, 7),
    "a retraction that is gone": ("DELETE FROM retractions WHERE position = 7", None, 7),
    "an identifier of another kind": (
        "UPDATE streams SET kind = 'phone' WHERE number = 34",
        *(BINH, 5),
    ),
}


@pytest.mark.parametrize("damage", DAMAGED_ROWS)
def test_what_stands_beside_an_event_is_what_the_event_says(store, damage):
    statement, whose, position = DAMAGED_ROWS[damage]
    store.change(statement)
    assert ("rows", whose and lead(whose), position) in store.found()


@pytest.mark.parametrize("damage", [one for one in DAMAGED_ROWS if DAMAGED_ROWS[one][1]])
def test_damaged_rows_are_found_where_one_lead_is_looked_at(store_file, damage):
    statement, whose, position = DAMAGED_ROWS[damage]
    store_file.change(statement)
    assert ("rows", lead(whose), position) in store_file.found(lead=lead(whose))


def test_identifiers_that_have_the_numbers_of_one_another_are_found(store_file):
    """Even where all that refers to them goes along, for the other one was named first."""
    columns = {
        "streams": ("number",),
        "touchpoints": ("stream",),
        "evidence": ("identifier", "stream"),
        "pairs": ("identifier", "other", "stream"),
        "links": ("identifier", "other"),
        "retractions": ("stream",),
    }
    away = "UPDATE {0} SET {1} = -{1} WHERE {1} IN (10, 34)"
    back = "UPDATE {0} SET {1} = 44 + {1} WHERE {1} < 0"
    with store_file.facts.transaction() as connection:
        for table, names in columns.items():
            for name in names:
                connection.execute(away.format(table, name))
                connection.execute(back.format(table, name))
    found = store_file.verify().differences
    first = (one for one in found if one.check == "rows" and one.position == 2)
    said = "the touchpoint web e-2 names the identifier numbered 4 where 1 was due"
    assert [one.what for one in first] == [said]


def test_an_identifier_that_nobody_names_is_found(store):
    nobody = ("f" * 32, "email", "f" * 64)
    store.change("INSERT INTO streams VALUES (66, ?, ?, ?)", *nobody)
    (found,) = store.verify().differences
    assert found.what == "no touchpoint names the email numbered 8"
    assert found.stored == {"kind": "email", "digest": "f" * 64}


# Ids


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM recent_ids WHERE position = 8", "has no id"),
        (
            "UPDATE recent_ids SET content = (SELECT content FROM recent_ids AS other "
            "WHERE other.position = 9) WHERE position = 8",
            "its content was changed",
        ),
        ("UPDATE recent_ids SET event_id = 'e-0' WHERE position = 8", "has no id"),
    ],
)
def test_an_id_that_is_not_that_of_its_touchpoint_is_found(store, statement, what):
    store.change(statement)
    (found,) = (one for one in store.verify().differences if one.check == "ids")
    assert (found.lead, found.position) == (lead(BINH), 8)
    assert what in found.what


def test_an_id_of_no_touchpoint_is_found(store):
    store.change("INSERT INTO ids VALUES ('web', 'e-0', ?, 44)", b"\0" * 16)
    assert ("events", None, 44) in store.found()


# Damage of whole tables, and at the end of one


def test_facts_without_a_table_are_damaged_and_not_the_read_models_beside_them(store_file):
    store_file.change("DROP TABLE recordings")
    with pytest.raises(StoreCorrupt, match=r"facts\.db is damaged \(no such table: recordings\)"):
        store_file.verify()


def test_read_models_without_a_table_are_made_anew_with_nothing_lost(store_file):
    store_file.change_models("DROP TABLE leads_{}")
    with pytest.raises(ReadModelsDamaged, match="run leadledger rebuild"):
        store_file.change_models("DELETE FROM leads_{}")


def test_that_the_last_announcement_is_gone_is_known_by_whoever_took_it(store):
    with store.facts.snapshot() as connection:
        ((last,),) = connection.execute("SELECT max(number) FROM announcements").fetchall()
    store.change("INSERT INTO sinks VALUES ('file', ?)", last)
    assert store.verify().differences == []
    for table in ("announcements", "standing"):
        store.change(f"DELETE FROM {table} WHERE number = ?", last)
    (found,) = store.verify().differences
    assert found.what == "announcements that the sink file took are missing"
    assert (found.stored, found.expected) == (last - 1, last)
