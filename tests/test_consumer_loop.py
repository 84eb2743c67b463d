"""The loop of a consumer over a client that does as it is told."""

import threading
from collections.abc import Mapping

import pytest

from consumers import loop, partitions
from consumers.decode import Decoder
from consumers.lag import Lag
from consumers.loop import Consumer, Work
from consumers.port import Look, OutOfRange, Polled
from engine.codec import encode
from engine.errors import (
    BrokerAway,
    OffsetOutOfRange,
    RegistryAway,
    StoreAway,
    StoreIO,
    TopicMissing,
    TopicRecreated,
)
from engine.store import offsets
from tests.hostile_messages import Sent
from tests.storing import WORKSPACE_KEY, touch

TOPIC, ID = "topic", "id-1"


class Scripted:
    """A client: what each poll gives is given, and what it was asked for is noted."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.stop = threading.Event()
        self.topic_id = ID
        self.extents: dict[int, tuple[int, int]] = {}
        self.asked: list[tuple[str, object]] = []
        self.generation, self.owned = 0, frozenset()

    def poll(self, seconds: float, most: int) -> Polled:
        self.asked.append(("poll", most))
        if most == 0:
            return Polled(self.generation, self.owned, {})
        if not self.script:
            self.stop.set()
            return Polled(self.generation, self.owned, {})
        given = self.script.pop(0)
        if callable(given):
            given = given(self)
        if isinstance(given, Exception):
            raise given
        if isinstance(given, set):
            self.generation, self.owned, given = self.generation + 1, frozenset(given), {}
        return Polled(self.generation, self.owned, given or {})

    def seek(self, positions: Mapping[int, int]) -> None:
        self.asked.append(("seek", dict(positions)))

    def look(self, wanted=()) -> Look:
        return Look(self.topic_id, {one: self.extents.get(one, (0, 99)) for one in wanted})

    def commit(self, positions) -> None:
        self.asked.append(("commit", dict(positions)))

    def close(self) -> None:
        self.asked.append(("close", None))
        self.generation += 1

    def seeks(self) -> list[object]:
        return [what for name, what in self.asked if name == "seek"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Nobody waits long."""
    monkeypatch.setattr(loop, "FIRST_REST_S", 0.001)
    monkeypatch.setattr(partitions, "CLAIM_AGAIN_S", 0.0)


def batch(*numbers: int, partition: int = 0) -> dict[int, list[Sent]]:
    """Messages at these offsets, each a touchpoint with the offset for an id."""
    named = [(number, touch(f"{partition}-{number}", "email:ann")) for number in numbers]
    return {partition: [Sent(number, encode(one)) for number, one in named]}


def consume(facts, source: Scripted, **work: object) -> Scripted:
    told = {"workspace_key": WORKSPACE_KEY, "topic": TOPIC, "owner": "me", **work}
    Consumer(source, Work(facts, **told), source.stop).run()
    return source


def kept(facts) -> dict[int, tuple[int, int]]:
    """The next offset and the epoch of each partition."""
    with facts.snapshot() as connection:
        found = offsets.places(connection, TOPIC)
    return {partition: (place.next_offset, place.epoch) for partition, place in found.items()}


def claim(facts, owner: str, *wanted: int) -> None:
    """Somebody else comes to own partitions."""
    with facts.transaction() as connection:
        offsets.claim(connection, TOPIC, ID, dict.fromkeys(wanted, 0), owner)


def failing_once(monkeypatch, error: Exception, before: bool = True) -> None:
    """Let the next recording fail, before or after it is committed."""
    really, left = loop.record, [error]

    def record(*given, **named):
        if left and before:
            raise left.pop()
        done = really(*given, **named)
        if left:
            raise left.pop()
        return done

    monkeypatch.setattr(loop, "record", record)


def test_a_new_partition_is_read_from_its_first_message_and_that_is_written_down(facts):
    source = Scripted({0, 1})
    source.extents = {0: (7, 7), 1: (0, 5)}
    consume(facts, source)
    assert kept(facts) == {0: (7, 1), 1: (0, 1)}
    assert source.seeks() == [{0: 7, 1: 0}]


def test_a_batch_and_its_offset_are_kept_together(facts):
    source = consume(facts, Scripted({0, 1}, batch(0, 1, 2), batch(0, partition=1)))
    assert kept(facts) == {0: (3, 1), 1: (1, 1)}
    assert facts.head() == 4
    assert source.asked[-1] == ("commit", {0: 3, 1: 1})


def test_offsets_that_no_message_has_are_passed_over(facts):
    consume(facts, Scripted({0}, batch(2, 5)))  # as where a transaction was rolled back
    assert kept(facts)[0] == (6, 1)


def test_a_message_that_was_recorded_already_is_left_out(facts):
    consume(facts, Scripted({0}, batch(0, 1), batch(1, 2)))
    assert facts.intake()[TOPIC].received == 3


def test_messages_of_partitions_that_we_do_not_hold_are_dropped(facts):
    consume(facts, Scripted({0}, batch(0, partition=1), batch(0)))
    assert facts.head() == 1


def test_whenever_partitions_are_given_out_each_is_claimed_anew(facts):
    source = consume(facts, Scripted({0}, batch(0), {0, 1}, batch(1)))
    assert kept(facts) == {0: (2, 2), 1: (0, 1)}
    assert source.seeks() == [{0: 0}, {0: 1, 1: 0}]


def test_where_another_has_claimed_a_partition_nothing_is_written_and_it_is_given_up(
    facts, monkeypatch
):
    monkeypatch.setattr(partitions, "CLAIM_AGAIN_S", 60.0)
    source = Scripted(
        {0, 1},
        lambda _: claim(facts, "other", 0),
        {**batch(0), **batch(0, partition=1)},
        batch(0, partition=1),
    )
    consume(facts, source)
    assert facts.head() == 1
    assert kept(facts) == {0: (0, 2), 1: (1, 1)}
    assert source.seeks() == [{0: 0, 1: 0}, {1: 0}]


def test_a_partition_that_the_group_leaves_to_us_is_claimed_again_later(facts):
    source = Scripted({0}, lambda _: claim(facts, "other", 0), batch(0), {}, batch(0))
    consume(facts, source)
    assert kept(facts)[0] == (1, 3)
    assert facts.head() == 1


@pytest.mark.parametrize("committed", [False, True])
def test_where_the_database_goes_away_it_is_asked_again_where_to_go_on(
    facts, monkeypatch, committed
):
    failing_once(monkeypatch, StoreAway("db", "gone"), before=not committed)
    first = batch(0, 1)
    again = [] if committed else [first]
    source = consume(facts, Scripted({0}, first, {}, *again, batch(2)))
    assert facts.intake()[TOPIC].received == 3
    assert kept(facts)[0] == (3, 2)
    assert ("poll", 0) in source.asked  # it stayed in the group meanwhile


@pytest.mark.parametrize("away", [BrokerAway("b", "gone"), TopicMissing(TOPIC, "b")])
def test_a_broker_that_is_away_is_waited_for_and_said_once(facts, caplog, away):
    consume(facts, Scripted({0}, away, away, {}, batch(0)))
    assert facts.head() == 1
    assert [one.message for one in caplog.records if "waiting" in one.message] == [
        f"{away}; waiting for it"
    ]


def test_a_registry_that_is_away_is_waited_for(facts):
    class Away(Decoder):
        asked = 0

        def arrivals(self, topic, messages):
            self.asked += 1
            if self.asked == 1:
                raise RegistryAway("registry", "gone")
            return super().arrivals(topic, messages)

    consume(facts, Scripted({0}, batch(0), {}, batch(0)), decoder=Away())
    assert facts.head() == 1


def test_what_no_waiting_mends_stops_the_loop(facts, monkeypatch):
    failing_once(monkeypatch, StoreIO("db", "damaged"))
    with pytest.raises(StoreIO):
        consume(facts, Scripted({0}, batch(0)))


def test_a_topic_made_anew_while_a_batch_was_on_its_way_stops_the_loop(facts):
    def made_anew(source):
        source.topic_id = "id-2"
        return batch(0)

    with pytest.raises(TopicRecreated, match="partition 0 was read up to offset 0"):
        consume(facts, Scripted({0}, made_anew))
    assert facts.head() == 0


def test_a_topic_made_anew_while_nobody_read_stops_the_loop(facts):
    consume(facts, Scripted({0}, batch(0)))
    source = Scripted({0})
    source.topic_id = "id-2"
    with pytest.raises(TopicRecreated):
        consume(facts, source)
    assert kept(facts)[0] == (1, 1)


@pytest.mark.parametrize("extent", [(0, 1), (5, 9)])
def test_an_offset_that_a_partition_has_not_stops_the_loop(facts, extent):
    consume(facts, Scripted({0}, batch(0, 1, 2)))
    source = Scripted({0})
    source.extents = {0: extent}
    with pytest.raises(OffsetOutOfRange, match=f"offset 3, but holds offsets {extent[0]} to"):
        consume(facts, source)


def test_an_offset_that_is_cut_off_while_reading_stops_the_loop(facts):
    def cut(source):
        source.extents = {0: (10, 20)}
        return OutOfRange({0: None})

    with pytest.raises(OffsetOutOfRange, match="messages were deleted before they were read"):
        consume(facts, Scripted({0}, cut))


def test_a_log_that_was_cut_short_and_has_grown_again_stops_the_loop(facts):
    with pytest.raises(OffsetOutOfRange, match="holds offsets 0 to 1: it was cut short"):
        consume(facts, Scripted({0}, batch(0, 1, 2), OutOfRange({0: 1})))


def test_an_offset_that_is_refused_and_is_there_is_a_passing_state(facts):
    consume(facts, Scripted({0}, OutOfRange({0: None}), {}, batch(0)))
    assert facts.head() == 1


def test_told_to_stop_while_it_waits_it_stops(facts, monkeypatch):
    source = Scripted({0}, BrokerAway("b", "gone"), batch(0))
    monkeypatch.setattr(loop, "FIRST_REST_S", 60.0)
    monkeypatch.setattr(loop, "LONGEST_REST_S", 60.0)
    threading.Timer(0.1, source.stop.set).start()
    consume(facts, source)
    assert facts.head() == 0


def test_a_client_that_gives_nothing_though_there_is_more_is_made_anew_once(facts, monkeypatch):
    monkeypatch.setattr(loop, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("consumers.lag.STUCK_S", 0.0)
    source = consume(facts, Scripted({0}, {}, {}, {}, {}, batch(0), {}))
    assert [name for name, _ in source.asked].count("close") == 2  # at offset 0, and then at 1
    assert facts.head() == 1


def test_lag_is_told_from_the_end_and_since_the_last_message_was_made(monkeypatch):
    told = []
    monkeypatch.setattr("engine.metrics.lag", lambda *given: told.append(given))
    monkeypatch.setattr("time.time", lambda: 5_000.0)
    lag = Lag(TOPIC)
    lag.looked({0: (0, 10)}, {0: 10})
    lag.looked({0: (0, 14)}, {0: 10})
    message = Sent(11, b"", timestamp=6_000_000)
    lag.recorded({0: [message]}, {0: 12})
    assert told == [(TOPIC, 0, 0, None), (TOPIC, 0, 4, 5_000.0), (TOPIC, 0, 2, 6_000.0)]
