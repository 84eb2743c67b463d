"""Recording: nothing is lost, nothing counts twice, and what was set aside can be tried again."""

import json
from collections import Counter
from itertools import count
from random import Random

import pytest

from engine import lifecycle
from engine.edge import Edge, Row
from engine.errors import Refused
from engine.lifecycle import ImportState, retry_aside
from engine.privacy import IdentifierKey
from engine.store import aside, ledger
from tests.storing import NOW, WORKSPACE_KEY, arrival, keep, refused, store, told, touch

MINUTE = 60_000_000


@pytest.fixture
def edge(facts):
    return Edge(IdentifierKey(bytes(range(32))), facts.keyring(WORKSPACE_KEY))


def balance(facts):
    """What came: received, recorded, duplicates, set aside; they must add up."""
    counts = facts.intake()["test"]
    assert counts.received == counts.recorded + counts.duplicates + counts.set_aside
    return counts.recorded, counts.duplicates, counts.set_aside


def incoming(event_id, at=NOW, **fields):
    """A touchpoint as a tool sends it."""
    who = [{"kind": "email", "value": "ann@example.com"}]
    given = {"source": "web", "event_id": event_id, "type": "page_viewed", "occurred_at": at}
    return json.dumps({**given, "identifiers": who, **fields}).encode()


def through(edge, *data, at=NOW):
    rows = [Row(origin="test", line=line, data=one) for line, one in enumerate(data, 1)]
    return edge.accept(rows, at)


def test_the_same_delivery_again_is_a_duplicate_in_the_batch_and_later(facts):
    assert store(facts, touch("1"), touch("1"), touch("2")) == lifecycle.Recorded(3, 2, 1)
    assert store(facts, touch("1")) == lifecycle.Recorded(1, 0, 1)
    assert facts.head() == 2


def test_an_id_with_other_content_is_set_aside_and_the_first_stays(facts):
    recorded = store(facts, touch("1", deal="a"), touch("1", deal="b"), touch("1", deal="a"))
    assert recorded == lifecycle.Recorded(3, 1, 1, Counter(id_reused=1))
    assert store(facts, touch("1", deal="c")).set_aside == Counter(id_reused=1)
    histories = facts.histories()
    assert histories.strings.texts(histories.touches["deal"].tolist()) == ["a"]


def test_the_same_event_id_of_another_source_is_another_touchpoint(facts):
    assert store(facts, touch("1"), touch("1", source="crm")).recorded == 2


def test_what_was_set_aside_does_not_use_up_its_id(facts, edge):
    assert keep(facts, *through(edge, incoming("1", at=NOW + 6 * MINUTE))).set_aside
    assert keep(facts, *through(edge, incoming("1"))).recorded == 1


def test_what_was_set_aside_keeps_its_bytes_reason_origin_and_time(facts):
    keep(facts, refused(b"\xff\x00 bytes", "undecodable", line=7, detail="no UTF-8"))
    (item,) = facts.aside()
    kept = (item.origin, item.line, item.reason, item.detail, item.at, item.outcome)
    assert kept == ("test", 7, "undecodable", "no UTF-8", NOW, None)
    assert item.data(WORKSPACE_KEY) == b"\xff\x00 bytes"


def test_what_was_set_aside_lies_sealed(facts_file):
    marker = b"MARKER-OF-A-PERSON"
    keep(facts_file, refused(marker * 100), arrival(touch("1")))
    store(facts_file, touch("1", deal="other"))
    facts_file.close()
    for path in facts_file.path.parent.iterdir():
        assert marker not in path.read_bytes()


def test_delivered_again_from_the_same_place_what_is_aside_is_a_duplicate(facts):
    for _ in range(3):
        keep(facts, refused(b"one", line=1), refused(b"two", line=2), refused(b"other", line=1))
    assert [item.data(WORKSPACE_KEY) for item in facts.aside()] == [b"one", b"two", b"other"]
    assert balance(facts) == (0, 6, 3)


@pytest.mark.parametrize("seed", range(5))
def test_received_is_recorded_and_duplicates_and_set_aside(seed, facts):
    random = Random(seed)
    for _ in range(20):
        keep(
            facts,
            *(
                random.choice(
                    [
                        arrival(touch(f"{random.randrange(30)}", deal=random.choice("ab"))),
                        refused(b"%d" % random.randrange(30), line=random.randrange(5)),
                    ]
                )
                for _ in range(random.randrange(12))
            ),
        )
        if facts.intake():
            recorded, _, set_aside = balance(facts)
            assert (recorded, set_aside) == (facts.head(), len(facts.aside()))


def test_a_batch_is_stored_whole_or_not_at_all(facts, monkeypatch):
    def fail(*_):
        raise OSError("the power went")

    store(facts, touch("1", deal="known"))
    monkeypatch.setattr(ledger, "add_intake", fail)
    with pytest.raises(OSError, match="power"):
        keep(facts, arrival(touch("2", deal="new", attributes={"a": "new"})), refused(b"x"))
    monkeypatch.undo()
    assert (facts.head(), list(facts.aside()), balance(facts)) == (1, [], (1, 0, 0))
    assert facts.strings.ids(["new"]) == [0]
    assert keep(facts, arrival(touch("2", attributes={"a": "newer"}))).recorded == 1
    (rows,) = told(facts.histories()).values()
    assert [row[2] for row in rows] == ["1", "2"]
    attributes = facts.histories().attributes
    assert facts.strings.texts(attributes["bits"].tolist()) == ["newer"]


def test_how_far_an_import_came_is_kept_with_what_it_recorded(facts, monkeypatch):
    assert facts.import_state("file") is None
    keep(facts, arrival(touch("1")), checkpoint=ImportState("file", '{"line": 1}'))
    keep(facts, checkpoint=ImportState("file", '{"line": 2}'))
    assert facts.import_state("file") == '{"line": 2}'
    monkeypatch.setattr(lifecycle, "_count", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        keep(facts, arrival(touch("2")), checkpoint=ImportState("file", '{"line": 3}'))
    assert facts.import_state("file") == '{"line": 2}'


def test_identifiers_that_name_nobody_are_counted_by_origin_and_reason(facts, edge):
    nobody = [("email", "n/a"), ("email", "noreply@x.io"), ("phone", " "), ("crm_id", "unknown")]
    who = [{"kind": kind, "value": value} for kind, value in [*nobody, ("user_id", "7")]]
    for event_id in ("1", "2"):
        done = keep(facts, *through(edge, incoming(event_id, identifiers=who)))
        assert done.dropped == {"placeholder": 2, "role": 1, "empty": 1}
    by_reason = {reason: count for (_, reason), count in facts.dropped().items()}
    assert by_reason == {"placeholder": 4, "role": 2, "empty": 2}


def test_tried_again_what_passes_is_recorded_and_the_rest_stays(facts, edge, clock):
    early, never = incoming("1", at=NOW + 6 * MINUTE), incoming("2", type="no_such_type")
    keep(facts, *through(edge, early, never))
    clock.now += 2 * MINUTE
    assert retry_aside(facts, edge, WORKSPACE_KEY) == lifecycle.Recorded(
        2, 1, 0, Counter(unknown_type=1)
    )
    assert [(item.reason, item.retried_at) for item in facts.aside()] == [
        ("unknown_type", clock.now)
    ]
    assert [item.outcome for item in facts.aside(waiting=False)] == ["recorded", None]
    assert balance(facts) == (1, 0, 1)


def test_tried_twice_nothing_changes(facts, edge, clock):
    keep(facts, *through(edge, incoming("1", at=NOW + 6 * MINUTE)))
    clock.now += 2 * MINUTE
    retry_aside(facts, edge, WORKSPACE_KEY)
    before = (facts.head(), balance(facts), facts.aside(waiting=False))
    assert retry_aside(facts, edge, WORKSPACE_KEY) == lifecycle.Recorded(0, 0, 0)
    assert (facts.head(), balance(facts), facts.aside(waiting=False)) == before


def test_tried_again_after_it_came_by_another_way_it_is_a_duplicate(facts, edge, clock):
    data = incoming("1", at=NOW + 6 * MINUTE)
    keep(facts, *through(edge, data))
    clock.now += 2 * MINUTE
    keep(facts, *through(edge, data, at=clock.now))
    assert retry_aside(facts, edge, WORKSPACE_KEY).duplicates == 1
    assert (facts.head(), balance(facts)) == (1, (1, 1, 0))


@pytest.fixture
def ten_aside(facts, edge, clock):
    """Ten deliveries from a clock that was ahead, and one that never passes; now is later."""
    early = [incoming(f"{number}", at=NOW + 6 * MINUTE) for number in range(10)]
    keep(facts, *through(edge, *early, incoming("never", type="no_such_type")))
    clock.now += 2 * MINUTE


@pytest.fixture
def batches(facts, monkeypatch):
    """How many items are read at once, time after time; three are a batch."""
    sizes, read = [], facts.aside_batch

    def watched(after, upto):
        items = read(after, upto)
        sizes.append(len(items))
        return items

    monkeypatch.setattr(aside, "BATCH", 3)
    monkeypatch.setattr(facts, "aside_batch", watched)
    return sizes


@pytest.mark.usefixtures("ten_aside")
def test_trying_again_holds_one_batch_at_a_time_and_tells_how_far_it_is(facts, edge, batches):
    told_progress = []
    done = retry_aside(facts, edge, WORKSPACE_KEY, progress=lambda *at: told_progress.append(at))
    assert done == lifecycle.Recorded(11, 10, 0, Counter(unknown_type=1))
    assert batches == [3, 3, 3, 2, 0]
    assert told_progress == [(3, 11), (6, 11), (9, 11), (11, 11)]


def test_large_items_make_small_batches(facts, edge, batches, monkeypatch):
    monkeypatch.setattr(aside, "BATCH_BYTES", 1000)
    keep(facts, *(refused(b"x" * 600, line=line) for line in range(4)))
    retry_aside(facts, edge, WORKSPACE_KEY)
    assert batches == [2, 2, 0]


@pytest.mark.usefixtures("ten_aside", "batches")
def test_ctrl_c_between_two_batches_loses_nothing(facts, edge):
    def interrupt(done, total):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry_aside(facts, edge, WORKSPACE_KEY, progress=interrupt)
    assert balance(facts) == (6, 0, 5)
    assert retry_aside(facts, edge, WORKSPACE_KEY).recorded == 4
    assert balance(facts) == (10, 0, 1)


@pytest.mark.usefixtures("ten_aside", "batches")
def test_ctrl_c_within_a_batch_undoes_that_batch_and_no_other(facts, edge, monkeypatch):
    calls, settle = count(1), lifecycle._settle

    def interrupted(*given):
        if next(calls) == 5:
            raise KeyboardInterrupt
        return settle(*given)

    monkeypatch.setattr(lifecycle, "_settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        retry_aside(facts, edge, WORKSPACE_KEY)
    assert (facts.head(), balance(facts)) == (3, (3, 0, 8))
    assert retry_aside(facts, edge, WORKSPACE_KEY).recorded == 7
    assert balance(facts) == (10, 0, 1)


@pytest.mark.usefixtures("ten_aside", "batches")
def test_what_is_set_aside_meanwhile_waits_for_the_next_time(facts, edge):
    def more(done, total):
        keep(facts, refused(b"another", line=done))

    assert retry_aside(facts, edge, WORKSPACE_KEY, progress=more).received == 11
    assert len(facts.aside()) == 5


def test_a_row_of_a_mapped_file_passes_whole_or_stays(facts, edge):
    keep(facts, refused(b"two good", form="row", line=1), refused(b"one bad", form="row", line=2))

    def remap(data):
        kind = "no_such_type" if data == b"one bad" else "page_viewed"
        rows = [incoming(f"{data}-1"), incoming(f"{data}-2", type=kind)]
        return [Row(origin="test", line=1, data=data, value=json.loads(row)) for row in rows]

    assert retry_aside(facts, edge, WORKSPACE_KEY).recorded == 0  # nobody can read it
    assert retry_aside(facts, edge, WORKSPACE_KEY, remap).recorded == 1
    assert facts.head() == 2
    assert [item.line for item in facts.aside()] == [2]
    assert balance(facts) == (2, 0, 1)


def test_a_row_that_cannot_be_mapped_this_time_either_stays(facts, edge):
    def remap(_):
        raise Refused("not_canonical", "no")

    keep(facts, refused(b"row", form="row"))
    assert sum(retry_aside(facts, edge, WORKSPACE_KEY, remap).set_aside.values()) == 1
    assert len(facts.aside()) == 1
