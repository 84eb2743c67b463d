"""The bytes that folding gives, as one digest: the same compiled or not.

$ python -m tests.folded_digest 40
"""

import sys
from hashlib import sha256

from engine.book import Book
from engine.folding import fold
from engine.rulefile import parse
from tests import storeless
from tests.strategies import seeded_cases


def digest(cases: int) -> str:
    """Over all records of the first so many seeded cases at all their instants."""
    bytes_of = sha256()
    for _, case in seeded_cases(cases):
        found = storeless.histories(storeless.take(case.history).accepted)
        for at in case.instants:
            folded = fold(found, Book.always(parse(case.rules)), at)
            records = (folded.states, folded.entries, folded.visits, folded.clock_runs)
            for array in (folded.signals, *records, *folded.hits):
                bytes_of.update(array.tobytes())
    return bytes_of.hexdigest()


if __name__ == "__main__":
    print(digest(int(sys.argv[1])))
