"""Two folds of a lead, step by step side by side, up to where they part.

A step is a touchpoint or the timed moves of one instant. After each, what the two
have in common by name is compared; the steps are those of the fold itself. The
first axis of every array says which of the two folds it is of.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.fold import (
    MEMORY,
    clamped,
    enter,
    evolve,
    forget,
    forward,
    next_timer,
    recall,
)
from engine.fold_apart import BY_TIME, BY_TIMER, BY_TOUCH, MAX_TIMED, apart
from engine.fold_clocks import nothing_entered, turn
from engine.fold_many import begin_lead
from engine.fold_touch import FOLDED_TOUCH, NOT_A_CHANGE
from engine.folded import CLOCK_RUN, LEAD_STATE, MAX_SCORES, MAX_TRACKS, OPEN, VISIT
from engine.history import NEVER
from engine.tables import MAX_CLOCKS, NO_STAGE, NONE

ERA = np.dtype(  # an era of one of the folds; what is in common is numbered
    [
        ("since", "<i8"),
        ("score", "<i8", (MAX_SCORES,)),  # where each common score stands in its rules, or NONE
        ("track", "<i8", (MAX_TRACKS,)),
        ("clock", "<i8", (MAX_CLOCKS,)),
        ("stage", "<i8", (MAX_TRACKS, NO_STAGE)),  # its track and stage to a number in common
        ("from_score", "<i8", (MAX_SCORES,)),  # where it stood in the era before, or NONE
        ("from_track", "<i8", (MAX_TRACKS,)),
        ("from_clock", "<i8", (MAX_CLOCKS,)),
        ("to_stage", "<i8", (MAX_TRACKS, NO_STAGE)),  # its track and a stage of before to its own
    ]
)
SEGMENT = np.dtype(  # what a segment asks; the channels are beside
    [
        *((name, "<i8") for name in ("asks_stage", "score", "at_least", "below", "seen")),
        *((name, "<i8") for name in ("not_seen", "silent_us", "owner")),  # owner: 0, 1 or NONE
        *((name, "<i8") for name in ("asks_value", "value_minor", "currency")),
        ("stage", "<i8", (MAX_TRACKS,)),  # bits
        ("not_stage", "<i8", (MAX_TRACKS,)),
    ]
)


class Pair(NamedTuple):
    """Two folds of the same histories; the second axis, where it is `eras`, is padded."""

    as_of: int
    common: NDArray[np.int64]  # how many scores, tracks and clocks
    last: NDArray[np.int64]  # the era of each at the end
    rules: NDArray[np.void]  # RULES: 2 x eras
    eras: NDArray[np.void]  # ERA: 2 x eras; padding begins NEVER
    leads: NDArray[np.int64]  # n: those looked at, as indexes
    starts: NDArray[np.int64]  # of all leads
    touches: NDArray[np.void]  # TOUCH
    carried: NDArray[np.int64]  # 2 x eras x touches: bits of signals
    changes: NDArray[np.int64]  # the touches that are a stage_changed
    targets: NDArray[np.int32]  # 2 x eras x changes: where each leads
    assigned: int  # dictionary id of the type; 0: there is none
    stage_changed: int
    known: NDArray[np.int64]  # eras x eras x signals: where the other has a signal, or NONE
    due: NDArray[np.int64]  # of clock runs, by fold, lead and clock
    due_from: NDArray[np.int64]  # 2 x n x clocks: where those of a clock in common begin
    segments: NDArray[np.void]  # SEGMENT: 2 x those in question
    channel_first: NDArray[np.int64]  # 2 x ids: bits of the segments that take it as the first
    channel_last: NDArray[np.int64]


class Walk(NamedTuple):
    """Where the two folds of a lead stand."""

    lead: NDArray[np.void]  # LEAD_STATE
    before: NDArray[np.void]  # LEAD_STATE before the step
    nobody: NDArray[np.void]  # LEAD_STATE of a lead to which nothing happened
    memory: NDArray[np.void]  # MEMORY
    touch: NDArray[np.void]  # FOLDED_TOUCH: the last one
    era: NDArray[np.int64]
    entries: NDArray[np.void]  # VISIT: those of the step
    runs: NDArray[np.void]  # CLOCK_RUN: those begun at the step, then the open one of each clock
    timed: NDArray[np.int64]  # by track: the timed moves of the step, from 1, then 0
    turned: NDArray[np.bool_]  # whether anything acted on clocks at the step
    ended: NDArray[np.int64]  # by clock: the outcome of a run that ended at the step, or OPEN
    started: NDArray[np.bool_]  # by clock: whether a run began at the step
    begun: NDArray[np.int64]  # by common clock: how many runs began so far
    open: NDArray[np.int64]  # scratch
    did: NDArray[np.int64]  # scratch
    sums: NDArray[np.int64]  # scratch


def new_walk() -> Walk:
    """Room for any lead."""
    return Walk(
        lead=np.zeros(2, LEAD_STATE),
        before=np.zeros(2, LEAD_STATE),
        nobody=np.zeros(1, LEAD_STATE),
        memory=np.zeros(2, MEMORY),
        touch=np.zeros(2, FOLDED_TOUCH),
        era=np.zeros(2, np.int64),
        entries=np.zeros((2, MAX_TRACKS), VISIT),
        runs=np.zeros((2, 2 * MAX_CLOCKS), CLOCK_RUN),
        timed=np.zeros((2, MAX_TRACKS, MAX_TIMED), np.int64),
        turned=np.zeros(2, np.bool_),
        ended=np.zeros((2, MAX_CLOCKS), np.int64),
        started=np.zeros((2, MAX_CLOCKS), np.bool_),
        begun=np.zeros((2, MAX_CLOCKS), np.int64),
        open=np.zeros(MAX_CLOCKS, np.int64),
        did=np.zeros((2, 3), np.int64),
        sums=np.zeros((2, 2), np.int64),
    )


@compiled
def part_leads(pair, walk, parted):
    """PARTED of each lead; where nothing parts, `what` is NOTHING."""
    for lead in range(len(parted)):
        set_off(pair, walk)
        part_lead(pair, walk, lead, parted[lead])


@compiled
def set_off(pair, walk):
    """Where both folds begin: nothing happened yet."""
    for fold in range(2):
        memory, first = walk.memory[fold], pair.eras[fold, 0]
        walk.lead[fold] = walk.nobody[0]
        rules = pair.rules[fold, 0]
        begin_lead(walk.lead[fold], rules, memory)
        forget(walk.lead[fold], rules, memory)
        memory["since"] = first["since"]
        walk.era[fold] = 0
        for clock in range(MAX_CLOCKS):
            walk.begun[fold, clock] = 0
            walk.runs[fold, MAX_CLOCKS + clock]["outcome"] = OPEN


@compiled
def part_lead(pair, walk, lead, parted):
    """One lead, until the two differ, or to the end."""
    begin, end = pair.starts[pair.leads[lead]], pair.starts[pair.leads[lead] + 1]
    index = begin
    while True:
        boundary = min(next_boundary(pair, walk, 0), next_boundary(pair, walk, 1))
        due = min(next_timed(pair, walk, 0), next_timed(pair, walk, 1))
        touched = pair.touches[index]["occurred_at"] if index < end else NEVER
        at = min(boundary, due, touched)
        if at > pair.as_of:
            break
        if at == boundary:
            cross_over(pair, walk, (begin, index), at)
            continue
        by = BY_TOUCH if at == touched else BY_TIMER
        begin_step(pair, walk)
        if by == BY_TOUCH:
            for fold in range(2):
                take_touch(pair, walk, fold, index)
            index += 1
        else:
            for fold in range(2):
                take_timers(pair, walk, fold, at)
        if apart(pair, walk, (lead, at, by, index - 1), parted):
            return
    begin_step(pair, walk)
    apart(pair, walk, (lead, pair.as_of, BY_TIME, index - 1), parted)


@compiled
def next_boundary(pair, walk, fold):
    """When the rules of a fold change next."""
    later = walk.era[fold] + 1
    return pair.eras[fold, later]["since"] if later < pair.eras.shape[1] else NEVER


@compiled
def next_timed(pair, walk, fold):
    """When the next timed move of a fold is due."""
    lead = walk.lead[fold]
    if lead["touchpoints"] == 0:
        return NEVER
    due, _, _ = next_timer(lead, pair.rules[fold, walk.era[fold]], walk.memory[fold])
    return due


@compiled
def cross_over(pair, walk, span, at):
    """Let the folds whose rules change at an instant go on under the later ones."""
    for fold in range(2):
        if next_boundary(pair, walk, fold) == at:
            cross(pair, walk, fold, span)


@compiled
def cross(pair, walk, fold, span):
    """Take a lead over a boundary, by name, as engine/fold_eras.py does; `span`: touches so far."""
    lead, memory, was = walk.lead[fold], walk.memory[fold], walk.before[fold]
    old = pair.rules[fold, walk.era[fold]]
    walk.era[fold] += 1
    new, era = pair.rules[fold, walk.era[fold]], pair.eras[fold, walk.era[fold]]
    for score in range(old["score_count"]):
        lead["scores"][score] = forward(lead, score, era["since"], old, memory)
    walk.before[fold] = lead
    for clock in range(MAX_CLOCKS):
        walk.open[clock] = memory["run"][clock]
    for score in range(new["score_count"]):
        origin = era["from_score"][score]
        points = 0 if origin == NONE else was["scores"][origin]
        lead["scores"][score] = clamped(points, score, new)
    for track in range(new["track_count"]):
        origin = era["from_track"][track]
        stage = NONE if origin == NONE else was["stage"][origin]
        lead["stage"][track] = NONE if stage == NONE else era["to_stage"][track, stage]
        lead["since"][track] = 0 if origin == NONE else was["since"][origin]
        memory["entry"][track] = 0
    for clock in range(new["clock_count"]):
        origin = era["from_clock"][clock]
        is_open = origin != NONE and walk.open[origin] != NONE
        memory["run"][clock] = MAX_CLOCKS + clock if is_open else NONE
    forget(lead, new, memory)
    memory["since"] = era["since"]
    for index in range(span[0], span[1]):
        look_at(pair, walk, fold, index)
        recall(lead, walk.touch[fold], new, memory)


@compiled
def look_at(pair, walk, fold, index):
    """A touch as the rules of a fold see it; of an owner, that there is one."""
    era, touch, seen = walk.era[fold], pair.touches[index], walk.touch[fold]
    seen["at"], seen["signals"] = touch["occurred_at"], pair.carried[fold, era, index]
    seen["amount"], seen["currency"] = touch["amount_minor"], touch["currency"]
    seen["owner"], seen["target"] = touch["type"] == pair.assigned, NOT_A_CHANGE
    if touch["type"] == pair.stage_changed:
        seen["target"] = pair.targets[fold, era, np.searchsorted(pair.changes, index)]


@compiled
def begin_step(pair, walk):
    """Nothing came about at this step yet."""
    for fold in range(2):
        walk.before[fold] = walk.lead[fold]
        walk.turned[fold] = False
        for track in range(MAX_TRACKS):
            for place in range(MAX_TIMED):
                walk.timed[fold, track, place] = 0
        for clock in range(pair.rules[fold, walk.era[fold]]["clock_count"]):
            walk.ended[fold, clock], walk.started[fold, clock] = OPEN, False


@compiled
def take_touch(pair, walk, fold, index):
    """Let a touchpoint change a fold of the lead."""
    rules, memory = pair.rules[fold, walk.era[fold]], walk.memory[fold]
    look_at(pair, walk, fold, index)
    touch = walk.touch[fold]
    memory["entry_count"] = 0
    evolve(walk.lead[fold], index, touch, rules, memory, walk.entries[fold])
    if memory["entry_count"] > 0 or touch["signals"] & rules["clock_signals"]:
        run_clocks(walk, fold, (touch["at"], touch["signals"]), rules)


@compiled
def take_timers(pair, walk, fold, at):
    """Apply the timed moves of a fold that are due at an instant."""
    lead, memory = walk.lead[fold], walk.memory[fold]
    rules = pair.rules[fold, walk.era[fold]]
    if lead["touchpoints"] == 0:
        return
    due, track, timer = next_timer(lead, rules, memory)
    while due == at:
        for taken in range(MAX_TIMED):
            if walk.timed[fold, track, taken] == 0:
                walk.timed[fold, track, taken] = rules["timer_move"][timer]
                break
        memory["entry_count"] = 0
        place = track, rules["timer_to"][timer]
        enter(lead, place, (at, rules["timer_move"][timer]), rules, memory, walk.entries[fold])
        run_clocks(walk, fold, (at, 0), rules)
        due, track, timer = next_timer(lead, rules, memory)


@compiled
def run_clocks(walk, fold, now, rules):
    """Let the signals and stage entries of now (instant, signals) act on clocks."""
    memory, runs = walk.memory[fold], walk.runs[fold]
    nothing_entered(memory, rules)
    for entry in range(memory["entry_count"]):
        visit = walk.entries[fold, entry]
        memory["entered"][visit["track"]] = visit["stage"]
    memory["run_count"] = 0
    turn(now[0], now[1], rules, memory, runs)
    for clock in range(rules["clock_count"]):
        before, run = runs[MAX_CLOCKS + clock], memory["run"][clock]
        if before["outcome"] != OPEN:
            walk.ended[fold, clock] = before["outcome"]
            before["outcome"] = OPEN
        if run != NONE and run < MAX_CLOCKS:
            walk.started[fold, clock] = True
            memory["run"][clock] = MAX_CLOCKS + clock
    walk.turned[fold] = True
