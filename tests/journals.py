"""Journals of few leads in many buckets, and all that they tell in plain values."""

import numpy as np

from engine.book import Book
from engine.folding import fold
from engine.journal import making
from engine.journal.journal import Journal, columns_folded
from engine.rulefile import load, shipped
from engine.touchpoint import Campaign
from tests.storing import digest, store, touch

LATER = 4_000_000_000_000_000
RULES = load(shipped()["default"])
FIRST = [
    touch("a1", "email:ann", occurred_at=30, attributes={"path": "/price", "seconds": 7}),
    touch("a2", "email:ann", "phone:1", occurred_at=10, campaign=Campaign(source="google")),
    touch("b1", "email:bob", occurred_at=20, attributes={"share": 0.5, "first": True}),
    touch("b2", "anonymous_id:pc", occurred_at=20, source="crm", channel="email"),
]
MORE = [touch("c1", "email:cid", occurred_at=5), touch("a3", "email:ann", occurred_at=20)]
ANN, BOB = digest("email:ann")[:32], digest("email:bob")[:32]


def few_leads_fill_many_buckets(monkeypatch):
    """And none of them is worth a process of its own."""
    monkeypatch.setattr(making, "TOGETHER", np.uint64(0))
    monkeypatch.setattr(making, "FEW", 1_000)


def small_journal(facts, folder):
    """Of the first facts, in four buckets."""
    store(facts, *FIRST)
    journal = Journal.open(folder)
    journal.extend(facts, per_bucket=1)
    return journal


def folded(histories, rules):
    """What folding comes to, as bytes."""
    result = fold(histories, Book.always(rules), LATER)
    records = (result.states, result.entries, result.visits, result.clock_runs, *result.hits)
    return [one.tobytes() for one in records]


def listed(histories):
    """All that histories tell, in plain values."""
    touches = range(len(histories.touches))
    spans = zip(histories.attribute_at, histories.touches["attributes"], strict=True)
    return {
        "leads": histories.leads,
        "numbers": histories.numbers.tolist(),
        "starts": histories.starts.tolist(),
        "touches": histories.touches.tolist(),
        "positions": histories.positions.tolist(),
        "attributes": [histories.attributes[at : at + n].tolist() for at, n in spans],
        "event_ids": [histories.event_id(touch) for touch in touches],
    }


def check_it_tells_what_the_store_does(journal, facts, rules=RULES):
    known = facts.histories(known_at=journal.position)
    numbers = []
    for bucket in journal.buckets:
        mine = journal.read(bucket)
        theirs = facts.histories(mine.numbers, journal.position)
        assert listed(mine) == listed(theirs)
        few = journal.read(bucket, columns_folded([rules]))
        assert folded(mine, rules) == folded(few, rules) == folded(theirs, rules)
        numbers += mine.numbers.tolist()
    assert sorted(numbers) == known.numbers.tolist()
    assert journal.verify(facts) == []


def hashes(journal):
    """Of all files that count."""
    return [file.hash for file in journal.manifest.files()]


def by_lead(journal):
    """All that a journal tells, lead by lead, however many buckets it has."""
    found = {}
    for bucket in journal.buckets:
        histories = journal.read(bucket)
        rows, attributes = histories.touches.tolist(), histories.attributes.tolist()
        for lead, number in enumerate(histories.numbers.tolist()):
            span = slice(*histories.starts[lead : lead + 2])
            at, counts = histories.attribute_at[span], histories.touches["attributes"][span]
            found[number] = (
                histories.leads[lead],
                [*zip(histories.positions[span].tolist(), rows[span], strict=True)],
                [attributes[first : first + n] for first, n in zip(at, counts, strict=True)],
                [histories.event_id(touch) for touch in range(span.start, span.stop)],
            )
    return found


def bucket_with(journal, lead):
    return next(number for number in journal.buckets if lead in journal.read(number).leads)
