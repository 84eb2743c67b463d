"""Funnels by exhaustive search: which steps can any chain of items reach?"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from tests.naive.lead import Lead
from tests.naive.rules import Funnel, Step


@dataclass
class Attempt:
    """One try at a funnel: the places of its entry and of the items reaching its steps."""

    entry: int
    reached: list[int]
    void: bool
    open: bool | None


class Search:
    """One lead's items, looked at through one funnel at an instant.

    An item is known by its place in item order.
    """

    def __init__(self, funnel: Funnel, lead: Lead, until: int) -> None:
        self.funnel, self.until, self.met = funnel, until, lead.met
        self.items = lead.items
        self.steps = funnel.steps
        # the memory is what the rules in force at the end say of all touchpoints
        carried = {
            touch.id: signals for touch, (_, signals) in zip(lead.touches, lead.shown, strict=True)
        }
        self.signals = [
            carried[item.touch.id] if item.touch else frozenset() for item in self.items
        ]
        self.everyone = range(len(self.items))

    # What an item is

    def serves(self, place: int, step: Step) -> bool:
        item = self.items[place]
        if step.enters is not None:
            return item.enters == step.enters
        return step.signal in self.signals[place]

    def may_enter(self, place: int) -> bool:
        steps = self.steps if self.funnel.order == "unordered" else self.steps[:1]
        return any(self.serves(place, step) for step in steps)

    def since(self, earlier: int, later: int) -> int:
        return self.items[later].at - self.items[earlier].at

    def in_window(self, entry: int, place: int) -> bool:
        return self.funnel.window is None or self.since(entry, place) <= self.funnel.window

    def in_universe(self, place: int) -> bool:
        if self.items[place].touch is None:
            return False
        universe = self.funnel.universe
        return universe is None or any(name in self.signals[place] for name in universe)

    # Chains

    def follows(self, earlier: int, later: int, step: Step) -> bool:
        """Whether `later` may come right after `earlier` in a chain, as that step."""
        if later <= earlier or not self.serves(later, step):
            return False
        if step.within is not None and self.since(earlier, later) > step.within:
            self.met["funnel:within_cut"] += 1
            return False
        return self.funnel.order != "strict" or not self.disturbed(earlier, later)

    def disturbed(self, earlier: int, later: int) -> bool:
        """Whether a touchpoint of the universe lies between two items of a chain."""
        touches = [p for p in range(earlier + 1, later) if self.items[p].touch is not None]
        others = [p for p in touches if self.items[p].touch is not self.items[later].cause]
        between = [place for place in others if self.in_universe(place)]
        self.met["funnel:strict_disturbed"] += bool(between)
        self.met["funnel:strict_lets_the_cause_pass"] += len(others) < len(touches)
        self.met["funnel:strict_lets_non_universe_pass"] += len(between) < len(others)
        return bool(between)

    def chains(self, entry: int) -> list[set[int]]:
        """For each step that a chain from `entry` can reach, the ends of all such chains."""
        ends = [{entry}]
        for step in self.steps[1:]:
            ends.append(
                {
                    later
                    for later in self.everyone
                    if self.in_window(entry, later)
                    and any(self.follows(earlier, later, step) for earlier in ends[-1])
                }
            )
        return [places for places in ends if places]

    def assignments(self, entry: int) -> list[int]:
        """The items with which one step more has an item of its own, in any order of steps."""
        served: set[frozenset[int]] = {frozenset()}
        reached: list[int] = []
        for place in self.everyone[entry:]:
            if not self.in_window(entry, place):
                break
            served |= {
                steps | {number}
                for steps in served
                for number, step in enumerate(self.steps)
                if number not in steps and self.serves(place, step)
            }
            if max(map(len, served)) > len(reached):
                reached.append(place)
        return reached

    # Attempts

    def attempt(self, entry: int) -> Attempt:
        if self.funnel.order == "unordered":
            reached = self.assignments(entry)
            chains: list[set[int]] = []
        else:
            chains = self.chains(entry)
            reached = [min(places) for places in chains]
        return Attempt(
            entry, reached, self.voided(entry, reached), self.open(entry, chains, reached)
        )

    def complete(self, attempt: Attempt) -> bool:
        return len(attempt.reached) == len(self.steps)

    def voided(self, entry: int, reached: list[int]) -> bool:
        """Whether a touchpoint with an excluded signal lies where it must not."""
        for rule in self.funnel.excludes:
            if len(reached) < rule["after"]:
                continue
            start = reached[rule["after"] - 1]
            if len(reached) >= rule["before"]:
                stretch = list(range(start + 1, reached[rule["before"] - 1]))
            else:
                rest = range(start + 1, len(self.items))
                stretch = [place for place in rest if self.in_window(entry, place)]
            if any(rule["signal"] in self.signals[place] for place in stretch):
                return True
        return False

    def open(self, entry: int, chains: list[set[int]], reached: list[int]) -> bool | None:
        """Whether later touchpoints could take an attempt deeper; None if time sets no end."""
        window, started = self.funnel.window, self.items[entry].at
        if window is None and all(step.within is None for step in self.steps):
            return None
        if len(reached) == len(self.steps) or (
            window is not None and self.until >= started + window
        ):
            return False
        if self.funnel.order == "unordered":
            return True
        return any(
            self.may_go_on(end, self.steps[depth])
            for depth, places in enumerate(chains, start=1)
            for end in places
        )

    def may_go_on(self, end: int, following: Step) -> bool:
        if following.within is not None and self.until >= self.items[end].at + following.within:
            return False
        if self.funnel.order != "strict":
            return True
        return not any(self.in_universe(place) for place in self.everyone[end + 1 :])

    @cached_property
    def attempts(self) -> list[Attempt]:
        """All attempts that the entry rule knows."""
        entries = [place for place in self.everyone if self.may_enter(place)]
        if self.funnel.entry == "first":
            entries = entries[:1]
        if self.funnel.entry != "every":
            return [self.attempt(entry) for entry in entries]
        assert self.funnel.window is not None
        attempts: list[Attempt] = []
        while entries:
            attempt = self.attempt(entries[0])
            attempts.append(attempt)
            if self.complete(attempt):
                entries = [place for place in entries if place > attempt.reached[-1]]
            else:
                ends = self.items[attempt.entry].at + self.funnel.window
                entries = [place for place in entries if self.items[place].at > ends]
            assert attempt.entry not in entries
        return attempts

    def counted(self) -> list[Attempt]:
        """The attempts that make a line each: of `any`, the best of all."""
        if self.funnel.entry != "any":
            return self.attempts
        valid = [attempt for attempt in self.attempts if not attempt.void]
        if not valid:
            return self.attempts[:1]
        best = min(valid, key=lambda one: (-len(one.reached), one.reached[-1], -one.entry))
        self.met["funnel:any_tie"] += any(
            one.reached[1:] == best.reached[1:] and one is not best and len(one.reached) > 1
            for one in valid
        )
        if self.complete(best) or best.open is None:
            return [best]
        still = any(one.open for one in valid)
        self.met["funnel:any_open_by_another"] += still and not best.open
        return [Attempt(best.entry, best.reached, False, still)]


def lines(search: Search) -> list[dict[str, Any]]:
    """What `export funnel` says of one lead, without `first`: instants in microseconds."""
    out: list[dict[str, Any]] = []
    for attempt in search.counted():
        reached = [] if attempt.void else attempt.reached
        out.append(
            {
                "entered": search.items[attempt.entry].at,
                "depth": len(reached),
                "reached_at": [search.items[place].at for place in reached],
                "excluded": attempt.void,
                "open": None if attempt.open is None else attempt.open and not attempt.void,
            }
        )
    note(search)
    return out


def earliest_choices(search: Search, entry: int) -> int:
    """How deep taking the earliest item at each step would come."""
    place: int | None = entry
    for depth, step in enumerate(search.steps[1:], start=1):
        later = (
            other
            for other in search.everyone
            if place is not None
            and search.in_window(entry, other)
            and search.follows(place, other, step)
        )
        place = next(later, None)
        if place is None:
            return depth
    return len(search.steps)


def first_come_first_served(search: Search, entry: int) -> int:
    """How many steps giving each item to its first free step would serve."""
    free = list(search.steps)
    for place in search.everyone[entry:]:
        wanted = [step for step in free if search.serves(place, step)]
        if wanted and search.in_window(entry, place):
            free.remove(wanted[0])
    return len(search.steps) - len(free)


def note_choices(search: Search, attempt: Attempt) -> None:
    met, depth = search.met, len(attempt.reached)
    if search.funnel.order == "unordered":
        hasty = first_come_first_served(search, attempt.entry) < depth
        met["funnel:unordered_needs_matching"] += hasty
    else:
        hasty = earliest_choices(search, attempt.entry) < depth
        met["funnel:earliest_is_not_deepest"] += hasty


def note(search: Search) -> None:
    """Count what this funnel met with this lead."""
    funnel, met, attempts = search.funnel, search.met, search.attempts
    kind = f"funnel:{funnel.order}:{funnel.entry}"
    for attempt in attempts:
        note_choices(search, attempt)
        met[kind] += 1
        met[f"{kind}:deeper"] += len(attempt.reached) > 1
        met[f"{kind}:complete"] += search.complete(attempt)
        met[f"{kind}:void"] += attempt.void
        met[f"{kind}:open"] += attempt.open is True
        met["funnel:closed_incomplete"] += attempt.open is False and not search.complete(attempt)
        met["funnel:open_is_null"] += attempt.open is None
        met["funnel:ends_on_the_window"] += funnel.window is not None and any(
            search.since(attempt.entry, place) == funnel.window for place in attempt.reached
        )
    met[f"{kind}:again"] += len(attempts) > 1
    met["funnel:any_beside_a_void_one"] += funnel.entry == "any" and (
        len({attempt.void for attempt in attempts}) == 2
    )
    met["funnel:two_steps_at_one_instant"] += any(
        search.since(one, other) == 0
        for attempt in attempts
        for one, other in pairwise(attempt.reached)
    )
