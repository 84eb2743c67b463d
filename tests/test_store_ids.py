"""Ids are found for ever, wherever they lie and whoever copies them in the meantime."""

from random import Random

import pytest

from engine.store import ids
from engine.store.facts import Facts
from tests.storing import arrival, keep, seeds_over_each, store, touch

_COPIED = "SELECT count(*) FROM ids"
_RECENT = "SELECT count(*) FROM recent_ids"
_ONCE = """
SELECT count(*), count(DISTINCT event_id)
FROM (SELECT source, event_id FROM ids UNION SELECT source, event_id FROM recent_ids) AS every_one
"""


class Fails:
    """A checkpoint that undoes its batch."""

    def keep(self, connection):
        raise ZeroDivisionError


@pytest.fixture
def rounds(monkeypatch):
    """A round begins with so few ids that many are met."""
    monkeypatch.setattr(ids, "WAITING", 20)


@seeds_over_each(sqlite=6, postgresql=3)
def test_two_writers_with_batches_undone_in_between_record_each_id_once(facts_url, seed, rounds):
    random, recorded, number = Random(seed), [], 0
    with Facts.open(facts_url) as first, Facts.open(facts_url) as second:
        for _ in range(60):
            writer = random.choice((first, second))
            fresh = [touch(f"e-{number + more}") for more in range(random.randrange(6))]
            known = random.sample(recorded, min(len(recorded), random.randrange(4)))
            if random.random() < 0.2:
                with pytest.raises(ZeroDivisionError):
                    keep(writer, *map(arrival, fresh + known), checkpoint=Fails())
                continue
            done = store(writer, *fresh, *known)
            assert (done.recorded, done.duplicates) == (len(fresh), len(known))
            recorded += fresh
            number += len(fresh)
    with Facts.open(facts_url) as third:
        assert store(third, *recorded).duplicates == len(recorded)
        with third.snapshot() as connection:
            assert connection.execute(_ONCE).fetchone() == (number, number)
            assert connection.execute(_COPIED).fetchone()[0] >= 20


def test_a_round_copies_some_with_every_batch_and_then_leaves_none_twice(tmp_path, rounds):
    with Facts.open(tmp_path / "facts.db") as facts:
        counts = []
        for batch in range(10):
            store(facts, *(touch(f"e-{batch}-{number}") for number in range(5)))
            with facts.snapshot() as connection:
                row = (connection.execute(sql).fetchone()[0] for sql in (_COPIED, _RECENT))
                counts.append(tuple(row))
    assert counts == [
        *[(0, 5), (0, 10), (0, 15)],
        *[(10, 20), (20, 5)],  # twenty begin a round; ten go with each batch of five
        *[(20, 10), (20, 15)],
        *[(30, 20), (40, 5)],
        (40, 10),
    ]
