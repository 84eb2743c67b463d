"""Random rule sets, histories and instants for property tests, and what they met.

Sweeps take plain seeds (`seeded_cases`): they are fast. The Hypothesis strategies
draw every single choice, so what fails shrinks; they are for a closer look.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.naive.model import Outcome, run
from tests.naive.random_histories import Delivery, random_history, retold
from tests.naive.random_rules import chance, random_rules
from tests.naive.touchpoints import Edge
from tests.naive.units import DAY, instant_us

FAR = 400 * DAY


@dataclass
class Case:
    """Something to fold: one rule set, deliveries in order of arrival, instants to read at."""

    rules: str
    history: list[Delivery]
    instants: list[int]

    def outcome(self) -> Outcome:
        """What the naive model makes of it."""
        return run(self.rules, self.history, self.instants)


def random_instants(
    random: Random, rules: str, history: list[Delivery], count: int = 3
) -> list[int]:
    """Instants at which something happens, a microsecond beside, and long after."""
    ends = run(rules, history, [LATEST]).reads[0]
    telling = sorted(instants_in(ends.states) | instants_in(list(ends.funnels.values())))
    if not telling:
        return [FAR]
    picked = [telling[-1] + 1]
    for _ in range(count - 1):
        beside = random.choice([0, 0, 0, 1, -1, DAY // 4, DAY, FAR])
        picked.append(max(0, random.choice(telling) + beside))
    return picked


LATEST = instant_us("2099-12-31T00:00:00Z")


def instants_in(printed: Any) -> set[int]:
    """Every instant that an export says, between 1970 and 2100."""
    if isinstance(printed, dict):
        return set().union(*map(instants_in, printed.values()))
    if isinstance(printed, list):
        return set().union(*map(instants_in, printed))
    if isinstance(printed, str) and printed.endswith("Z") and printed[4:5] == "-":
        return {instant_us(printed)}
    return set()


def random_case(random: Random, size: int = 25) -> Case:
    """One random case."""
    rules = random_rules(random)
    history = random_history(random, rules, size)
    return Case(rules, history, random_instants(random, rules, history))


def seeded_cases(count: int, first: int = 0, size: int = 25) -> Iterator[tuple[int, Case]]:
    """Cases of the seeds `first`, `first` + 1 …, each with its seed."""
    for seed in range(first, first + count):
        yield seed, random_case(Random(seed), size)


def choices() -> st.SearchStrategy[Random]:
    """A `Random` whose every choice Hypothesis draws and shrinks."""
    return st.randoms(use_true_random=False)


def rule_sets() -> st.SearchStrategy[str]:
    """Valid rule sets, as TOML."""
    return choices().map(random_rules)


def histories(rules: str, size: int = 25) -> st.SearchStrategy[list[Delivery]]:
    """Histories that speak of a rule set's stages, in order of arrival."""
    return choices().map(lambda random: random_history(random, rules, size))


def cases(size: int = 25) -> st.SearchStrategy[Case]:
    """Rule set, history and instants together."""
    return choices().map(lambda random: random_case(random, size))


# Delivered in other ways


def settled_history(history: Iterable[Delivery]) -> list[Delivery]:
    """The deliveries that count, whatever the order: those that a used id spoils are left out.

    Which of two deliveries under one id is accepted goes by arrival, so only the accepted
    one is kept; what is set aside for itself, whenever it comes, stays.
    """
    edge = Edge(bytes(32))
    return [one for one in history if edge.deliver(one) not in ("duplicate", "id_reused")]


def shuffled_deliveries(random: Random, history: Iterable[Delivery]) -> list[list[Delivery]]:
    """The same facts in another order of arrival, in other batches, some more than once."""
    kept = settled_history(history)
    again = [redelivered(random, one) for one in kept if chance(random, 30)]
    order = copy.deepcopy(kept) + again
    random.shuffle(order)
    batches: list[list[Delivery]] = [[]]
    for one in order:
        if chance(random, 25):
            batches.append([])
        batches[-1].append(one)
    return batches


def redelivered(random: Random, told: Delivery) -> Delivery:
    """The very same delivery, or the same fact in other words where it is a good one."""
    good = Edge(bytes(32)).deliver(told) is None
    return retold(random, told) if good and chance(random, 50) else copy.deepcopy(told)


# What a run met


def features(rules: str, history: list[Delivery], outcome: Outcome) -> Counter[str]:
    """How often each feature was really met: in the fold, the funnels and the states."""
    met = Counter({name: count for name, count in outcome.met.items() if count})
    met.update(f"aside:{one['reason']}" for one in outcome.aside)
    met["duplicate"] += len(outcome.duplicates)
    accepted = [history[line - 1] for line in outcome.accepted]
    met.update(order_features(accepted))
    met.update(retraction_features(accepted))
    met["signals:any"] += "any = " in rules
    for read in outcome.reads:
        for state in read.states:
            met.update(state_features(state))
    return +met


def order_features(accepted: list[Delivery]) -> Counter[str]:
    met: Counter[str] = Counter()
    latest = -1
    instants: dict[int, set[int]] = {}
    for one in accepted:
        at, sequence = instant_us(one["occurred_at"]), one.get("sequence") or 0
        met["order:late"] += at < latest
        latest = max(at, latest)
        seen = instants.setdefault(at, set())
        if seen:
            met["order:tie_by_id" if sequence in seen else "order:tie_by_sequence"] += 1
        seen.add(sequence)
    return met


def retraction_features(accepted: list[Delivery]) -> Counter[str]:
    met: Counter[str] = Counter()
    kinds: dict[tuple[str, str], str] = {}
    awaited: set[tuple[str, str]] = set()
    for one in accepted:
        kinds[one["source"], one["event_id"]] = one["type"]
        met["retraction:before_its_target"] += (one["source"], one["event_id"]) in awaited
        if one["type"] == "touchpoint_retracted":
            target = (one["attributes"]["source"], one["attributes"]["event_id"])
            awaited.add(target)
            met["retraction:of_a_touchpoint"] += target in kinds
            met["retraction:of_a_retraction"] += kinds.get(target) == "touchpoint_retracted"
    return met


def state_features(state: dict[str, Any]) -> Counter[str]:
    met = Counter(f"clock:{clock['state']}" for clock in state["clocks"])
    met.update(f"visit:{visit['direction']}" for visit in state["visits"])
    met["visit:skipped"] += sum(visit["skipped"] > 0 for visit in state["visits"])
    met["visit:again"] += sum(visit["visit"] > 1 for visit in state["visits"])
    met["clock:breached_by_a_late_cancel"] += sum(
        clock["state"] == "breached" and clock["ended"] is not None for clock in state["clocks"]
    )
    met["value"] += state["value"] is not None
    met["owner"] += state["owner"] is not None
    met["segments"] += len(state["segments"])
    return met


TO_BE_MET = frozenset(
    """
    timer:after_stay timer:after_silence timer:after_silence_of timer:below_score
    timer:at_the_read timer:at_a_touchpoint timer:after_a_timer clock:started_by_a_timer
    score:earned score:decayed score:decayed_to_nothing score:floor score:cap
    limit:window_opened_again limit:every:granted limit:every:refused
    limit:for_ever:granted limit:for_ever:refused
    when:signal when:seen when:not_seen when:score when:count when:stage
    count:windowed count:window_too_short
    stage_changed:name stage_changed:alias stage_changed:label stage_changed:unknown
    stage_changed:unknown_track stage_changed:already_there
    visit:enter visit:advance visit:fall visit:skipped visit:again visit:zero_length
    clock:met clock:late clock:cancelled clock:breached clock:running
    clock:breached_by_a_late_cancel clock:start_while_open clock:stopped_and_started_at_once
    calendar:run calendar:holiday_between calendar:clocks_changed_between
    funnel:ordered:first funnel:ordered:any funnel:ordered:every
    funnel:strict:first funnel:strict:any funnel:strict:every
    funnel:unordered:first funnel:unordered:any funnel:unordered:every
    funnel:ordered:first:void funnel:ordered:any:void funnel:ordered:every:void
    funnel:strict:first:void funnel:strict:any:void funnel:strict:every:void
    funnel:ordered:first:complete funnel:ordered:any:complete funnel:ordered:every:complete
    funnel:strict:first:complete funnel:strict:any:complete funnel:strict:every:complete
    funnel:unordered:first:complete funnel:unordered:any:complete funnel:unordered:every:complete
    funnel:ordered:first:open funnel:ordered:any:open funnel:ordered:every:open
    funnel:strict:first:open funnel:strict:any:open funnel:strict:every:open
    funnel:unordered:first:open funnel:unordered:any:open funnel:unordered:every:open
    funnel:ordered:every:again funnel:strict:every:again funnel:unordered:every:again
    funnel:within_cut funnel:strict_disturbed funnel:closed_incomplete funnel:open_is_null
    funnel:ends_on_the_window funnel:any_beside_a_void_one funnel:two_steps_at_one_instant
    funnel:strict_lets_the_cause_pass funnel:strict_lets_non_universe_pass
    funnel:earliest_is_not_deepest funnel:unordered_needs_matching
    funnel:any_tie funnel:any_open_by_another
    order:late order:tie_by_id order:tie_by_sequence duplicate
    retraction:of_a_touchpoint retraction:before_its_target retraction:of_a_retraction
    aside:id_reused aside:unknown_type aside:unknown_channel aside:time_out_of_range
    aside:bad_attribute aside:no_identifier aside:not_canonical
    value owner segments signals:any
    segment:stage:yes segment:stage:no segment:not_stage:yes segment:not_stage:no
    segment:score:yes segment:score:no segment:seen:yes segment:seen:no
    segment:not_seen:yes segment:not_seen:no segment:silent_for:yes segment:silent_for:no
    segment:first_channel:yes segment:first_channel:no
    segment:last_channel:yes segment:last_channel:no
    segment:has_owner:yes segment:has_owner:no
    segment:value_at_least:yes segment:value_at_least:no
    segment:value_at_least:other_currency
    """.split()
)


def not_met(met: Counter[str], at_least: int = 1) -> list[str]:
    """The features that a long enough run must meet and this one met too seldom."""
    return sorted(name for name in TO_BE_MET if met[name] < at_least)
