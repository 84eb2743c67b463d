"""What differs between two rule sets, key by key, in words.

Told is what is written: something differs here exactly if the ids of the two differ. What has a
name is matched by it. Earning rules, moves, steps and the like have none, and are matched by
what they say: first what stands in both, then what is about the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import structs

from engine.ruleid import canonical, with_dates
from engine.rulelang.signals import GROUPS
from engine.ruleset import Funnel, RuleSet
from engine.rulewords import change, said, subject

Document = Mapping[str, Any]  # what TOML made of a rule set, or of a table in it
Pair = tuple[int, int]  # indexes of one table in two lists
Changes = Literal["nothing", "folding", "questions", "words"]

TABLES = {*GROUPS, "label", "when", "where", "count", "hours", "below_score", "value_at_least"}
ORDERED = {"track", "stage", "move", "step"}  # their order says something


class Kind(NamedTuple):
    """Tables of a list that have no names."""

    word: str
    about: Callable[[Document], object]  # what makes two of them versions of one
    shown: str = ""  # the key of that, where people read it
    before_it: str = ""  # and a word before it


UNNAMED = {
    "earn": Kind("earning rule", lambda one: one["signal"], "signal"),
    "move": Kind("move", lambda one: one["to"], "to", "to "),
    "exclude": Kind("exclusion", lambda one: one["signal"], "signal"),
    "step": Kind("step", lambda one: one.get("signal") or one.get("enters")),
    "any": Kind("alternative", lambda one: sorted(_fields(one))),
}


class Difference(NamedTuple):
    """One thing that differs, and the two values as TOML has them; None where there is none."""

    key: str  # score.engagement.half_life; places in a list without names count from 1
    words: str
    before: Any
    after: Any


class Place(NamedTuple):
    """Where something stands."""

    key: str
    words: str

    def tell(self, words: str, before: Any, after: Any) -> Difference:
        """What differs here."""
        told = f"{self.words}: {words}" if self.words else words
        return Difference(self.key, told, before, after)


def differences(older: Document, newer: Document) -> list[Difference]:
    """What differs between the documents of two valid rule sets, by key as they are written."""
    return list(_table(Place("", ""), with_dates(older), with_dates(newer)))


def changes(older: RuleSet, newer: RuleSet) -> Changes:
    """The most that changes where one takes the place of the other."""
    if older.id == newer.id:
        return "nothing"
    if older.fold_id != newer.fold_id:
        return "folding"
    return "words" if _asked(older) == _asked(newer) else "questions"


def _asked(rules: RuleSet) -> tuple[object, ...]:
    """What a rule set asks, whatever it calls that."""
    segments = [structs.replace(segment, label={}) for segment in rules.segments]
    return rules.zone, [_without_labels(funnel) for funnel in rules.funnels], segments


def _without_labels(funnel: Funnel) -> Funnel:
    steps = tuple(structs.replace(step, label={}) for step in funnel.steps)
    return structs.replace(funnel, steps=steps, label={})


def _table(
    place: Place, older: Document, newer: Document, inside: str = ""
) -> Iterator[Difference]:
    """What differs between two tables; `inside` is the key of those that are part of a larger."""
    for key in dict.fromkeys((*older, *newer)):
        before, after = older.get(key), newer.get(key)
        if canonical(before) == canonical(after):
            continue
        here = Place(f"{place.key}.{key}".lstrip("."), place.words)
        if _are_tables(before) or _are_tables(after):
            yield from _tables(here, key, before or (), after or ())
        elif before and after and key in TABLES and inside not in GROUPS:
            yield from _table(here, before, after, key)
        else:
            words = f"{subject(key, inside, older, newer)} {change(key, inside, before, after)}"
            yield here.tell(words, before, after)


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and isinstance(value[0], dict)


def _tables(
    place: Place, key: str, older: Sequence[Document], newer: Sequence[Document]
) -> Iterator[Difference]:
    """What differs between two lists of tables."""
    pairs = _by_content(UNNAMED[key], older, newer) if key in UNNAMED else _by_name(older, newer)
    became = dict(pairs)
    for index, one in enumerate(older):
        here = _item(place, key, index, one)
        if index in became:
            yield from _table(here, one, newer[became[index]])
        else:
            yield here.tell(_told("gone", key, one), one, None)
    for index, one in enumerate(newer):
        if index not in became.values():
            yield _item(place, key, index, one).tell(_told("new", key, one), None, one)
    yield from _order(
        place, key, older, [was for was, _ in sorted(pairs, key=lambda pair: pair[1])]
    )


def _item(place: Place, key: str, index: int, one: Document) -> Place:
    """One of a list; the place of what has no name is that in its own list."""
    called = f"{key} {one['name']}" if key not in UNNAMED else _numbered(key, index, one)
    part = index + 1 if key in UNNAMED else one["name"]
    return Place(f"{place.key}.{part}", f"{place.words}, {called}".removeprefix(", "))


def _numbered(key: str, index: int, one: Document) -> str:
    kind = UNNAMED[key]
    about = f" ({kind.before_it}{one[kind.shown]})" if kind.shown else ""
    return f"{kind.word} {index + 1}{about}"


def _told(word: str, key: str, one: Document) -> str:
    """That something is new or gone; of what has no name, with what it says."""
    shown = UNNAMED[key].shown if key in UNNAMED else None
    rest = {part: value for part, value in one.items() if part != shown}
    return word if shown is None or not rest else f"{word} ({said('', rest)})"


def _order(
    place: Place, key: str, older: Sequence[Document], kept: Sequence[int]
) -> Iterator[Difference]:
    """What stands in both lists, in another order; `kept` are the older places in the newer one."""
    ranks = {index: rank for rank, index in enumerate(sorted(kept), 1)}
    if [*ranks] == [*kept]:
        return
    if key not in ORDERED:
        word = UNNAMED[key].word if key in UNNAMED else key
        yield place.tell(
            f"{word}s in another order", [*ranks.values()], [ranks[one] for one in kept]
        )
        return
    staying = _longest_ascent(kept)
    for rank, index in enumerate(kept, 1):
        if index not in staying:
            here = _item(place, key, index, older[index])
            after = next((one for one in kept[rank:] if one in staying), None)
            yield here.tell(_before(key, older, after), ranks[index], rank)


def _before(key: str, older: Sequence[Document], after: int | None) -> str:
    """Where something stands now: before another, or at the end."""
    if after is None:
        return "now the last"
    return f"now before {_item(Place('', ''), key, after, older[after]).words}"


def _longest_ascent(numbers: Sequence[int]) -> Sequence[int]:
    """Most of the numbers of which each is greater than those before it."""
    ascents: list[list[int]] = []
    for number in numbers:
        shorter = [one for one in ascents if one[-1] < number]
        ascents.append([*max(shorter, key=lambda one: len(one), default=[]), number])
    return max(ascents, key=lambda one: len(one))


def _by_name(older: Sequence[Document], newer: Sequence[Document]) -> list[Pair]:
    places = {one["name"]: index for index, one in enumerate(newer)}
    return [
        (index, places[one["name"]]) for index, one in enumerate(older) if one["name"] in places
    ]


def _by_content(kind: Kind, older: Sequence[Document], newer: Sequence[Document]) -> list[Pair]:
    """Which tables are one: what is alike and in order, then what is alike, then about the same."""
    was, now = ([*map(canonical, some)] for some in (older, newer))
    pairs = dict(_in_order(was, now))
    rest = [index for index in range(len(newer)) if index not in pairs.values()]
    candidates = sorted(
        (was[one] != now[other], -_shared(older[one], newer[other]), abs(one - other), one, other)
        for one in range(len(older))
        for other in rest
        if one not in pairs and kind.about(older[one]) == kind.about(newer[other])
    )
    for *_, one, other in candidates:
        if one not in pairs and other not in pairs.values():
            pairs[one] = other
    return list(pairs.items())


def _in_order(was: Sequence[bytes], now: Sequence[bytes]) -> Sequence[Pair]:
    """As many pairs as there can be of what is alike, in the order of both."""
    longest: dict[Pair, tuple[Pair, ...]] = {}
    for one in reversed(range(len(was))):
        for other in reversed(range(len(now))):
            if was[one] == now[other]:
                rest = longest.get((one + 1, other + 1), ())
                longest[one, other] = ((one, other), *rest)
            else:
                skipped = (longest.get(at, ()) for at in ((one + 1, other), (one, other + 1)))
                longest[one, other] = max(skipped, key=len)
    return longest.get((0, 0), ())


def _shared(one: Document, other: Document) -> int:
    """How many keys say the same in both."""
    return sum(canonical(one[key]) == canonical(other[key]) for key in one.keys() & other.keys())


def _fields(group: Document) -> Iterator[str]:
    """What a group of conditions is about."""
    for key, value in group.items():
        yield from ((f"{key}.{part}" for part in value) if key in GROUPS else (key,))
