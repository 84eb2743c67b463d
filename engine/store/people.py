"""Which strong identifiers are one person, as known at a position: from the evidence up to it.

Only what is asked for is looked at, and whom it leads to: each identifier once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from engine.history import NEVER
from engine.identity import components, kind_code
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.links import first_together, last_words, links_about

_COMPANY = """
SELECT pairs.identifier, other, pairs.position, void FROM pairs
JOIN touchpoints
    ON touchpoints.stream = pairs.stream AND touchpoints.position = pairs.position
WHERE pairs.identifier IN (SELECT value FROM json_each(:asked)) AND pairs.position <= :known_at
"""

_CROWDED = """
SELECT number FROM streams WHERE number IN (SELECT value FROM json_each(:asked)) AND (
    SELECT count(*) FROM (SELECT 1 FROM pairs WHERE identifier = number LIMIT :many) AS company
) = :many
"""
_COMPANY_OF = """
SELECT other, void FROM pairs
JOIN touchpoints
    ON touchpoints.stream = pairs.stream AND touchpoints.position = pairs.position
WHERE pairs.identifier = :one AND other > :after AND pairs.position <= :known_at
ORDER BY other LIMIT :many
"""
_PAGE = 500


class People:
    """Who was who among strong identifiers, as known at a position."""

    def __init__(self, connection: Connection, known_at: int, too_common: int) -> None:
        """With more than `too_common` identifiers of one strong kind none may appear."""
        self._connection = connection
        self._known_at = known_at
        self._too_common = too_common
        self._looked_at: set[int] = set()
        self._joined: dict[int, set[int]] = {}  # by what is known of these two alone
        self._common: set[int] = set()
        self._newest: dict[int, int] = {}  # position of the newest pair; NEVER if that is not known
        self._leads: dict[int, int] = {}

    def common(self, numbers: Iterable[int]) -> set[int]:
        """Those of some strong identifiers that are too common."""
        asked = set(numbers)
        self._look_at(asked)
        return asked & self._common

    def crowd(self, number: int) -> tuple[int, int]:
        """Of which kind one stands with most others, by its place in precedence; how many."""
        kinds = Counter(
            kind_code(other) for other, together in self._company_of(number) if together
        )
        most = max(kinds, key=lambda kind: (kinds[kind], -kind))
        return most, kinds[most]

    def joined(self, number: int) -> set[int]:
        """The strong identifiers that a touchpoint or a link joins one with directly."""
        if self.common({number}):
            return set()
        others = self._joined.get(number, set())
        return others - self.common(others)

    def company(self, number: int) -> set[int]:
        """The strong identifiers that one stands together with on touchpoints and links."""
        return {other for other, _ in self._company_of(number)}

    def changed_since(self, numbers: set[int], position: int) -> set[int]:
        """Those of some strong identifiers of whom something else may be known since a position.

        Not by links and retractions.
        """
        self._look_at(numbers)
        return {one for one in numbers if self._newest.get(one, 0) > position}

    def leads(self, numbers: Iterable[int]) -> Mapping[int, int]:
        """The leads of these strong identifiers, and of all that are one with them."""
        asked = set(numbers) - self._leads.keys()
        self._look_at(asked)
        frontier = asked & self._joined.keys()
        self._leads.update((one, one) for one in asked - frontier)  # who stands alone
        reached = set(frontier)
        while frontier := set(self._beside(frontier)) - reached:
            self._look_at(frontier)
            reached |= frontier
        common, joined = self._common, self._joined
        one_person = {one: () if one in common else joined[one] - common for one in reached}
        self._leads |= components(one_person)
        return self._leads

    def _beside(self, numbers: set[int]) -> Iterator[int]:
        return chain.from_iterable(self._joined[one] for one in numbers - self._common)

    def _look_at(self, numbers: set[int]) -> None:
        """Read what stands about identifiers that were not looked at yet."""
        new = numbers - self._looked_at
        if not new:
            return
        self._looked_at |= new
        new = new - self._crowded(new)
        values = {"asked": listed(sorted(new)), "known_at": self._known_at}
        together: dict[int, set[int]] = defaultdict(set)
        company: dict[int, set[int]] = defaultdict(set)
        for one, other, at, void in self._connection.execute(_COMPANY, values).fetchall():
            company[one].add(other)
            self._newest[one] = max(self._newest.get(one, 0), at if void is None else NEVER)
            if self._together(one, other, void):
                together[one].add(other)
        links = links_about(self._connection, company, self._known_at) if company else ()
        said = last_words(links).items()
        linked = {way: link.linked for pair, link in said for way in (pair, pair[::-1])}
        for one, others in company.items():
            if self._are_too_many(together[one]):
                self._common.add(one)
            self._joined[one] = {
                other for other in others if linked.get((one, other), other in together[one])
            }

    def _crowded(self, numbers: set[int]) -> set[int]:
        """Those that are too common, of such as have much company: it is not read to its end."""
        values = {"asked": listed(sorted(numbers)), "many": 2 * self._too_common}
        found = set()
        for (one,) in self._connection.execute(_CROWDED, values).fetchall():
            if self._are_too_many(other for other, together in self._company_of(one) if together):
                found.add(one)
                self._newest[one] = NEVER
        self._common |= found
        return found

    def _are_too_many(self, others: Iterable[int]) -> bool:
        kinds: Counter[int] = Counter()
        for other in others:
            kinds[kind_code(other)] += 1
            if kinds[kind_code(other)] > self._too_common:
                return True
        return False

    def _company_of(self, one: int) -> Iterator[tuple[int, bool]]:
        """The strong identifiers that stand with one, and whether on any touchpoint that counts."""
        values = {"one": one, "known_at": self._known_at, "after": -1, "many": _PAGE}
        while rows := self._connection.execute(_COMPANY_OF, values).fetchall():
            for other, void in rows:
                yield other, self._together(one, other, void)
            values["after"] = rows[-1][0]

    def _together(self, one: int, other: int, void: int | None) -> bool:
        """Whether any touchpoint that counts names both; `void` is of the first that names them."""
        if void is None or void > self._known_at:
            return True
        return first_together(self._connection, (one, other), self._known_at) is not None
