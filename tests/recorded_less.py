"""Stores that recorded less: what one was told, without some of it, told to another."""

from collections import Counter

import numpy as np

from engine.codec import decode
from engine.compare.figures import figures, totals
from engine.folding import fold
from engine.identity import is_strong
from engine.projections.projection import READ_MODELS, Frames
from engine.projections.runner import derive_leads
from engine.store.append import append
from engine.store.facts import Facts
from engine.store.in_force import book_at
from engine.store.ledger import stamp
from engine.store.mapper import TOUCHPOINT_RECORDED
from engine.store.people import People
from engine.store.rulebook import keep_rules, publish, rule_book, written_rules
from engine.touchpoint import Encoded


class Less:
    """A store that was told only what another one has at some positions, in the same order."""

    def __init__(self, path, facts, positions):
        self._whole = facts
        self.facts = Facts.open(path, clock=facts.clock)
        self.facts.too_common = facts.too_common
        self.was = {}  # the position in the other store, by that in this one
        with facts.snapshot() as whole, self.facts.transaction() as connection:
            book = {one.position: one for one in rule_book(whole, facts.head())}
            for position in sorted(positions):
                self.was[len(self.was) + 1] = position
                if position in book:
                    one = book[position]
                    keep_rules(connection, written_rules(whole, one.rules_id))
                    publish(connection, [(one.rules_id, one.effective_at)], one.published_at)
                    continue
                topic, data = whole.execute(
                    "SELECT topic, state FROM stored_events WHERE stored_events.rowid = ?",
                    (position,),
                ).fetchone()
                assert topic == TOUCHPOINT_RECORDED
                memory, encoded = self.facts.memory, Encoded(decode(data), bytes(data))
                stamp(connection, *append(connection, memory, [encoded]), 0)

    def figures(self, as_of, whose=None):
        """The figures of every lead, and of all; `whose` lead each position was, in the other."""
        histories = self.facts.histories()
        with self.facts.snapshot() as connection:
            folded = fold(histories, book_at(connection), as_of)
        found, its = {}, figures(folded)
        for at, lead in enumerate(histories.leads):
            if lead in its:
                rows = histories.positions[histories.starts[at] : histories.starts[at + 1]]
                owners = Counter(whose.get(self.was[row]) for row in rows.tolist())
                del owners[None]
                made_of = {"made_of": dict(owners)} if owners else {}
                found[self._called(int(histories.numbers[at]), lead)] = {**its[lead], **made_of}
        return found

    def totals(self, as_of):
        """What the reports say."""
        with self.facts.snapshot() as connection:
            book = book_at(connection)
        leads = self.facts.lead_numbers()
        tables = derive_leads(self.facts, leads, book, as_of, READ_MODELS)
        return totals(Frames(book, as_of, tables))

    def _called(self, number, lead):
        """What a lead goes by in the other store: there another identifier may have come first."""
        if not is_strong(number):
            return lead
        with self.facts.snapshot() as connection:
            head = self.facts.head()
            leads = People(connection, head, self.facts.too_common).leads([number])
        members = np.array([one for one, whose in leads.items() if whose == number], np.int64)
        names = self.facts.lead_ids(members)
        return min(names, key=lambda name: self._whole.identifiers_beginning(name)[0])

    def close(self):
        self.facts.close()
