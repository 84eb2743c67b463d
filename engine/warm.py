"""Compile what reading and folding run, once at set-up: no later command waits for it."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from engine.book import Book
from engine.canonical import canonicalise
from engine.fold_apart import PARTED
from engine.fold_ledger import follow
from engine.fold_pairs import pair_of
from engine.fold_trace import new_walk, part_leads
from engine.folding import fold
from engine.history import Histories, Packed, pack, unpack
from engine.identity import ANONYMOUS
from engine.journeys import journeys
from engine.ownership import Named, owners
from engine.privacy import IdentifierKey
from engine.rulefile import load, shipped
from engine.sample import touchpoints
from engine.shared_names import Shared

NOW = 1_800_000_000_000_000


class Words(dict[str | None, int]):
    """A dictionary of strings that learns each text it is asked for."""

    def __init__(self) -> None:
        super().__init__({None: 0})

    def __missing__(self, text: str | None) -> int:
        self[text] = len(self)
        return self[text]

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The texts of these ids."""
        known = [text or "" for text in self]
        return [known[number] for number in ids]

    def ids(self, texts: Sequence[str]) -> list[int]:
        """The ids of these texts; 0 for one never met."""
        return [self.get(text, 0) for text in texts]


def histories(leads: int) -> Histories:
    """A few leads of the sample, as the store would give them."""
    key, words = IdentifierKey(bytes(32)), Words()
    rows: dict[str, list[bytes]] = defaultdict(list)
    for told in touchpoints(now=NOW, leads=leads):
        touchpoint = canonicalise(told, NOW, key).touchpoint
        if touchpoint.primary:
            rows[touchpoint.primary.digest].append(pack(touchpoint, words))
    starts = np.cumsum([0, *map(len, rows.values())])
    flat = [row for one in rows.values() for row in one]
    return unpack(list(rows), starts, Packed(flat), np.arange(len(flat)), words)


def main() -> None:
    """Ask whose a cookie is, fold a few leads under every rule set that ships, and look into them.

    One is followed touch by touch, and all are compared with themselves.
    """
    one = np.zeros(1, np.int64)
    owners(Named(np.arange(2), one, np.array([ANONYMOUS], np.int8), one > 0, one), one)
    few = histories(20)
    for path in shipped().values():
        fold(few, Book.always(load(path)), NOW)
    book = Book.always(load(shipped()["default"]))
    follow(histories(1), book.eras, NOW)
    folded = fold(few, book, NOW)
    pair = pair_of((folded, folded), Shared.of(folded.rules, folded.rules), np.arange(3))
    part_leads(pair, new_walk(), np.zeros(3, PARTED))
    journeys(folded, 0)


if __name__ == "__main__":
    main()
