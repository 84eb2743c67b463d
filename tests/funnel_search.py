"""Funnels by exhaustive search: every chain and every assignment is tried, nothing is clever.

An oracle for `engine.funnels`: it shares the words of a rule set with it, and no line more.
Random funnels and logs to try it on are at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import NamedTuple

from engine.ruleset import Exclusion, Funnel, Step, Trigger

PLACES = ("life.lead", "life.cold", "deal.won")


@dataclass(frozen=True)
class Item:
    """A touch, or the entry of a stage; `cause` is the index of the touch that caused an entry."""

    at: int
    signals: frozenset[str] = frozenset()
    stage: str | None = None
    cause: int | None = None


@dataclass(frozen=True)
class Line:
    """What a funnel says of a lead or of an attempt; `open_at` answers for any instant."""

    entered: int
    depth: int
    reached: list[int]
    open_at: Callable[[int], bool]


@dataclass(frozen=True)
class Attempt:
    entry: int  # index of an item
    reached: list[int]  # indexes of items
    void: bool
    open_at: Callable[[int], bool]


def lines(funnel: Funnel, items: list[Item]) -> list[Line]:
    """The lines of one lead, whose items are all that is known."""
    entries = [i for i in range(len(items)) if is_entry(funnel, items[i])]
    if not entries:
        return []
    if funnel.entry == "every":
        return [line_of(items, tried) for tried in attempts_in_turn(funnel, items, entries)]
    if funnel.entry == "first":
        return [line_of(items, attempt(funnel, items, entries[0]))]
    tried = [attempt(funnel, items, entry) for entry in entries]
    counting = [one for one in tried if not one.void]
    if not counting:
        return [line_of(items, tried[0])]
    best = min(counting, key=lambda one: (-len(one.reached), one.reached[-1], -one.entry))
    complete = len(best.reached) == len(funnel.steps)
    return [
        Line(
            entered=items[best.entry].at,
            depth=len(best.reached),
            reached=[items[i].at for i in best.reached],
            open_at=lambda t: not complete and any(one.open_at(t) for one in counting),
        )
    ]


def line_of(items: list[Item], tried: Attempt) -> Line:
    reached = [] if tried.void else [items[i].at for i in tried.reached]
    return Line(
        items[tried.entry].at,
        len(reached),
        reached,
        lambda t: not tried.void and tried.open_at(t),
    )


def attempts_in_turn(funnel: Funnel, items: list[Item], entries: list[int]) -> Iterator[Attempt]:
    after, later_than = -1, -1
    for entry in entries:
        if entry <= after or items[entry].at <= later_than:
            continue
        tried = attempt(funnel, items, entry)
        yield tried
        if len(tried.reached) == len(funnel.steps):
            after = tried.reached[-1]
        else:
            later_than = items[entry].at + funnel.window_us


def is_entry(funnel: Funnel, item: Item) -> bool:
    steps = range(len(funnel.steps)) if funnel.order == "unordered" else [0]
    return any(serves(funnel, item, k) for k in steps)


def serves(funnel: Funnel, item: Item, k: int) -> bool:
    trigger = funnel.steps[k].trigger
    if trigger.signal is not None:
        return trigger.signal in item.signals
    return item.stage == trigger.enters


def attempt(funnel: Funnel, items: list[Item], entry: int) -> Attempt:
    if funnel.order == "unordered":
        return unordered_attempt(funnel, items, entry)
    chains = list(chains_from(funnel, items, (entry,)))
    depth = max(len(chain) for chain in chains)
    reached = [min(c[k] for c in chains if len(c) > k) for k in range(depth)]

    def open_at(t: int) -> bool:
        if depth == len(funnel.steps) or not is_timed(funnel):
            return False
        return in_window(funnel, items, entry, t) and any(
            is_open_chain(funnel, items, chain, t) for chain in chains
        )

    return Attempt(entry, reached, is_void(funnel, items, entry, reached), open_at)


def chains_from(
    funnel: Funnel, items: list[Item], chain: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    yield chain
    if len(chain) == len(funnel.steps):
        return
    for i in range(chain[-1] + 1, len(items)):
        if can_follow(funnel, items, chain, i):
            yield from chains_from(funnel, items, (*chain, i))


def can_follow(funnel: Funnel, items: list[Item], chain: tuple[int, ...], i: int) -> bool:
    k = len(chain)
    within = funnel.steps[k].within_us
    if not serves(funnel, items[i], k):
        return False
    if funnel.window_us is not None and items[i].at - items[chain[0]].at > funnel.window_us:
        return False
    if within is not None and items[i].at - items[chain[-1]].at > within:
        return False
    between = [j for j in range(chain[-1] + 1, i) if j != items[i].cause]
    return not (funnel.order == "strict" and any(in_universe(funnel, items[j]) for j in between))


def in_universe(funnel: Funnel, item: Item) -> bool:
    if item.stage is not None:
        return False
    return not funnel.universe or bool(item.signals & set(funnel.universe))


def is_timed(funnel: Funnel) -> bool:
    return funnel.window_us is not None or any(s.within_us is not None for s in funnel.steps)


def in_window(funnel: Funnel, items: list[Item], entry: int, t: int) -> bool:
    return funnel.window_us is None or t < items[entry].at + funnel.window_us


def is_open_chain(funnel: Funnel, items: list[Item], chain: tuple[int, ...], t: int) -> bool:
    within = funnel.steps[len(chain)].within_us
    if within is not None and t >= items[chain[-1]].at + within:
        return False
    after = items[chain[-1] + 1 :]
    return not (funnel.order == "strict" and any(in_universe(funnel, item) for item in after))


def is_void(funnel: Funnel, items: list[Item], entry: int, reached: list[int]) -> bool:
    for exclusion in funnel.exclusions:
        if len(reached) < exclusion.after:
            continue
        for i in range(reached[exclusion.after - 1] + 1, len(items)):
            if exclusion.signal not in items[i].signals:
                continue
            if len(reached) >= exclusion.before:
                if i < reached[exclusion.before - 1]:
                    return True
            elif funnel.window_us is None or items[i].at - items[entry].at <= funnel.window_us:
                return True
    return False


def unordered_attempt(funnel: Funnel, items: list[Item], entry: int) -> Attempt:
    reached: list[int] = []
    filled: set[frozenset[int]] = {frozenset()}  # the sets of steps that can be given items
    for i in range(entry, len(items)):
        if funnel.window_us is not None and items[i].at - items[entry].at > funnel.window_us:
            break
        mine = [k for k in range(len(funnel.steps)) if serves(funnel, items[i], k)]
        filled |= {steps | {k} for steps in filled for k in mine if k not in steps}
        if max(len(steps) for steps in filled) > len(reached):
            reached.append(i)

    def open_at(t: int) -> bool:
        incomplete = len(reached) < len(funnel.steps)
        return incomplete and is_timed(funnel) and in_window(funnel, items, entry, t)

    return Attempt(entry, reached, False, open_at)


class Features(NamedTuple):
    order: str
    entry: str
    window: bool
    within: bool
    excluded: bool
    universe: bool

    @property
    def allowed(self) -> bool:
        if self.universe and self.order != "strict":
            return False
        if self.order == "unordered" and (self.within or self.excluded):
            return False
        return self.window or self.entry != "every"


YES_OR_NO = (False, True)
COMBINATIONS = [
    features
    for features in map(
        Features._make,
        product(
            ("ordered", "strict", "unordered"),
            ("first", "any", "every"),
            *[YES_OR_NO] * 4,
        ),
    )
    if features.allowed
]
SHARES = {"ordered": 3, "strict": 1, "unordered": 4}  # strict has the most combinations
TICK = 10  # instants and durations lie on a grid, some durations one microsecond beside it


def random_duration(random: Random, *ticks: int) -> int:
    return random.choice(ticks) * TICK + random.choice((-1, 0, 0, 0, 1))


def random_funnel(random: Random, features: Features) -> Funnel:
    names = ["visit", "form", "call", *random.sample(PLACES, random.randint(0, 2))]
    random.shuffle(names)
    count = random.choice((1, 2, 3, 3, 4, 4))
    limited = random.sample(range(1, count), random.randint(0, min(2, count - 1)))
    steps = []
    for k in range(count):
        name = names[k % len(names)] if random.random() < 0.8 else random.choice(names)
        trigger = Trigger(enters=name) if "." in name else Trigger(signal=name)
        is_limited = features.within and k in limited
        steps.append(Step(trigger, random_duration(random, 1, 2) if is_limited else None))
    exclusions = []
    for _ in range(random.randint(1, 2) if features.excluded and count > 1 else 0):
        after, before = sorted(random.sample(range(1, count + 1), 2))
        exclusions.append(Exclusion(random.choice(("visit", "form", "call", "x7")), after, before))
    return Funnel(
        "f",
        tuple(steps),
        order=features.order,
        entry=features.entry,
        window_us=random_duration(random, 1, 3, 5, 8, 12) if features.window else None,
        universe=tuple(random.sample(("visit", "form", "call"), random.randint(1, 2)))
        if features.universe
        else (),
        exclusions=tuple(exclusions),
    )


def random_items(random: Random) -> list[Item]:
    """A short log on a coarse grid: many touches of one instant, entries caused and timed."""
    count = random.choice((0, 2, 4, 6, 8, 10, 12, 14))
    instants = sorted(random.randint(0, 13) * TICK for _ in range(count))
    names = ("visit", "form", "call", "x7")
    items: list[Item] = []
    for at, following in zip(instants, [*instants[1:], 14 * TICK], strict=False):
        cause = len(items)
        carried = random.choices((0, 1, 2, 3), (1, 9, 2, 1))[0]
        items.append(Item(at, frozenset(random.sample(names, carried))))
        if random.random() < 0.4:
            for place in sorted(random.sample(PLACES, random.randint(1, 2))):
                items.append(Item(at, stage=place, cause=cause))
        due = sorted(random.sample(range(at, following), min(following - at, random.randint(0, 2))))
        if random.random() < 0.25:
            items += [Item(u, stage=random.choice(PLACES)) for u in due]
    return items


def random_cases(
    seed: int, funnels: int, leads: int
) -> Iterator[tuple[Funnel, list[list[Item]], int]]:
    """Funnels of every combination of features, each with leads and an instant."""
    random = Random(seed)
    for features in COMBINATIONS:
        for _ in range(funnels * SHARES[features.order]):
            funnel = random_funnel(random, features)
            as_of = random.choice((5, 9, 14, 14, 14, 14, 20)) * TICK
            yield funnel, [random_items(random) for _ in range(leads)], as_of
