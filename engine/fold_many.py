"""Many leads folded through an era, one after the other."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.fold import MEMORY, fold_lead
from engine.fold_clocks import run_clocks
from engine.fold_touch import FOLDED_TOUCH
from engine.folded import MAX_TRACKS
from engine.history import BEGINNING, Histories
from engine.signals import Lookups, fill
from engine.tables import MAX_CLOCKS, NO_STAGE, NONE, RuleTables

CARRIED = np.dtype(  # what a lead takes over a boundary besides its state
    [
        ("visits", "<i4", (MAX_TRACKS, NO_STAGE)),
        ("entry", "<i8", (MAX_TRACKS,)),
        ("run", "<i8", (MAX_CLOCKS,)),
    ]
)
TOUCHES_PER_VISIT = 4  # to begin with: room that turns out too small is made anew, and copied


class Work(NamedTuple):
    """Leads on their way through time; entries and runs are in the order of folding."""

    states: NDArray[np.void]  # LEAD_STATE, one per lead
    carried: NDArray[np.void]  # CARRIED, one per lead; empty where no boundary is crossed
    entries: NDArray[np.void]  # VISIT
    runs: NDArray[np.void]  # CLOCK_RUN


def fold_on(
    work: Work, histories: Histories, lookups: Lookups, tables: RuleTables, span: tuple[int, int]
) -> Work:
    """Fold leads through an era, from where they stand to just before it ends.

    Args:
        histories: All that is known of the leads.
        lookups: What `engine.signals` made of the rules' conditions for these histories.
        tables: The rules of the era.
        span: When it begins, and when it ends: microseconds, UTC. Later touches are left out
            of the fold.
    """
    sizes, rules = np.diff(histories.starts), tables.rules[0]
    steps = (sizes + 1) * (1 + rules["track_count"] + rules["timer_count"])
    scratch, memory = np.empty(int(sizes.max(initial=0)), FOLDED_TOUCH), np.zeros(1, MEMORY)
    memory["entry_count"], memory["run_count"] = len(work.entries), len(work.runs)
    memory["since"] = span[0]
    source = histories.touches, histories.attributes, histories.attribute_at, lookups
    leads = histories.starts, steps, scratch, work.states, work.carried, memory
    room, lead = len(histories.touches) // TOUCHES_PER_VISIT, 0
    entries, runs = (_with_room(some, len(some) + room) for some in (work.entries, work.runs))
    while lead < len(steps):
        entries = _with_room(entries, memory["entry_count"][0] + steps[lead])
        runs = _with_room(runs, memory["run_count"][0] + steps[lead] * rules["clock_count"])
        lead = fold_leads(lead, leads, source, tables.rules, span, (entries, runs))
    return work._replace(
        entries=entries[: memory["entry_count"][0]], runs=runs[: memory["run_count"][0]]
    )


def _with_room(records: NDArray[np.void], most: int) -> NDArray[np.void]:
    """The same records, with room for so many and more."""
    if most <= len(records):
        return records
    larger = np.empty(2 * most, records.dtype)
    larger.view(np.uint8)[: records.nbytes] = records.view(np.uint8)  # not field by field
    return larger


@compiled
def fold_leads(first, leads, source, tables, span, records):
    """Fold lead after lead from the first on; the one for whose steps there is no room."""
    starts, steps, scratch, states, carried, memory = leads
    touches, attributes, attribute_at, lookups = source
    rules, (entries, runs) = tables[0], records
    for lead in range(first, len(states)):
        first_entry, first_run = memory[0]["entry_count"], memory[0]["run_count"]
        if first_entry + steps[lead] > len(entries):
            return lead
        if first_run + steps[lead] * rules["clock_count"] > len(runs):
            return lead
        begin, end = starts[lead], starts[lead + 1]
        fill((begin, end), touches, attributes, attribute_at, lookups, scratch)
        own = scratch[: end - begin]
        if span[0] == BEGINNING:
            begin_lead(states[lead], rules, memory[0])
        else:
            take_up(carried[lead], memory[0])
        known = fold_lead(states[lead], begin, own, span, (rules, memory[0]), entries)
        fresh = entries[first_entry : memory[0]["entry_count"]]
        if rules["clock_count"] > 0:
            place = begin + known, span[1] - 1
            run_clocks(place, own[known:], fresh, rules, memory[0], runs)
        for entry in range(len(fresh)):
            fresh[entry]["lead"] = lead
        for run in range(first_run, memory[0]["run_count"]):
            runs[run]["lead"] = lead
        if len(carried) > 0:
            put_by(memory[0], carried[lead])
    return len(states)


@compiled
def begin_lead(lead, rules, memory):
    """Nothing happened yet: where a lead starts."""
    for track in range(MAX_TRACKS):
        lead["stage"][track] = NONE
    for track in range(rules["track_count"]):
        memory["entry"][track] = NONE
        for stage in range(NO_STAGE):
            memory["visits"][track, stage] = 0
    for clock in range(rules["clock_count"]):
        memory["run"][clock] = NONE


@compiled
def take_up(carried, memory):
    """Go on with a lead that crossed a boundary."""
    for track in range(MAX_TRACKS):
        memory["entry"][track] = carried["entry"][track]
        for stage in range(NO_STAGE):
            memory["visits"][track, stage] = carried["visits"][track, stage]
    for clock in range(MAX_CLOCKS):
        memory["run"][clock] = carried["run"][clock]


@compiled
def put_by(memory, carried):
    """Keep what a lead takes over the boundary at the end of an era."""
    for track in range(MAX_TRACKS):
        carried["entry"][track] = memory["entry"][track]
        for stage in range(NO_STAGE):
            carried["visits"][track, stage] = memory["visits"][track, stage]
    for clock in range(MAX_CLOCKS):
        carried["run"][clock] = memory["run"][clock]
