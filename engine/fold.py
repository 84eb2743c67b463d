"""The fold: what touchpoints make of a lead. Integers only; no clock, no string, no I/O.

Live, replay, time travel and explanation all run these lines. A lead's state is
one `LEAD_STATE` record; what must be remembered besides is one `MEMORY` record
that goes from lead to lead. Stage entries are appended to `entries` in the order in
which they come about; no rule looks at clocks, so they run behind, lead by lead.
"""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.fold_clocks import judge, run_clocks
from engine.fold_scores import brought_forward, first_below
from engine.fold_touch import FOLDED_TOUCH, UNKNOWN_STAGE, UNRESOLVED
from engine.folded import (
    ADVANCE,
    CLOCK_RUN,
    ENTER,
    FALL,
    LEAD_STATE,
    MAX_TRACKS,
    VISIT,
)
from engine.history import NEVER, Histories
from engine.signals import Lookups, fill
from engine.tables import (
    AFTER_SILENCE,
    AFTER_STAY,
    MAX_CLOCKS,
    MAX_EARNS,
    MAX_MOVES,
    MAX_SIGNALS,
    NO_STAGE,
    NONE,
    RuleTables,
)

MEMORY = np.dtype(
    [
        ("counts", "<i8", (MAX_SIGNALS,)),  # touchpoints by signal, where asked for
        ("carried_at", "<i8", (MAX_SIGNALS,)),  # the last of them
        ("window_from", "<i8", (MAX_EARNS,)),  # frequency window by earning rule; NONE: none yet
        ("window_used", "<i8", (MAX_EARNS,)),
        ("ring", "<i8", (MAX_SIGNALS,)),  # the last instants of windowed counts
        ("ring_used", "<i8", (MAX_MOVES,)),
        ("visits", "<i8", (MAX_TRACKS, NO_STAGE)),
        ("entry", "<i8", (MAX_TRACKS,)),  # the open visit: index of an entry
        ("entered", "<i8", (MAX_TRACKS,)),  # the stage entered just now, or NONE
        ("run", "<i8", (MAX_CLOCKS,)),  # the open run, or NONE
        ("entry_count", "<i8"),
        ("run_count", "<i8"),
    ]
)


def fold_all(
    histories: Histories, lookups: Lookups, tables: RuleTables, as_of: int
) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void], NDArray[np.int64]]:
    """States (one per lead), stage entries and clock runs (as they came about), and signals.

    Args:
        histories: All that is known of some leads.
        lookups: What `engine.signals` made of the rules' conditions for these histories.
        tables: The rules.
        as_of: Microseconds, UTC; later touches are left out of the fold, not of the signals.
    """
    states = np.zeros(len(histories.leads), LEAD_STATE)
    signals = np.empty(len(histories.touches), np.int64)
    longest = int(np.diff(histories.starts).max(initial=0))
    memory, scratch = np.zeros(1, MEMORY), np.empty(longest, FOLDED_TOUCH)
    source = histories.touches, histories.attributes, histories.attribute_at, lookups
    work = histories.starts, as_of, scratch, signals, states, memory
    entries, runs = np.zeros(64, VISIT), np.zeros(64, CLOCK_RUN)
    entries, runs = fold_leads(work, source, tables.rules, entries, runs)
    judge(runs, tables)
    return states, entries, runs, signals


@compiled
def fold_leads(work, source, tables, entries, runs):
    """Fold lead after lead; entries and runs grow as they must."""
    starts, as_of, scratch, signals, states, memory = work
    touches, attributes, attribute_at, lookups = source
    rules = tables[0]
    for lead in range(len(states)):
        begin, end = starts[lead], starts[lead + 1]
        fill((begin, end), touches, attributes, attribute_at, lookups, scratch)
        for index in range(end - begin):
            signals[begin + index] = scratch[index]["signals"]
        steps = (end - begin + 1) * (1 + rules["track_count"] + rules["timer_count"])
        first_entry, first_run = memory[0]["entry_count"], memory[0]["run_count"]
        entries = with_room(entries, first_entry, steps)
        runs = with_room(runs, first_run, steps * rules["clock_count"])
        own = scratch[: end - begin]
        fold_lead(states[lead], begin, own, as_of, (rules, memory[0]), entries)
        fresh = entries[first_entry : memory[0]["entry_count"]]
        if rules["clock_count"] > 0:
            run_clocks((begin, as_of), own, fresh, rules, memory[0], runs)
        for entry in range(len(fresh)):
            fresh[entry]["lead"] = lead
        for run in range(first_run, memory[0]["run_count"]):
            runs[run]["lead"] = lead
    return entries[: memory[0]["entry_count"]], runs[: memory[0]["run_count"]]


@compiled
def with_room(records, used, more):
    """The same records, with room for more of them."""
    if used + more <= len(records):
        return records
    larger = np.empty(2 * (used + more), records.dtype)
    larger[:used] = records[:used]
    return larger


@compiled
def fold_lead(lead, begin, touches, as_of, books, entries):
    """One lead, from nothing to an instant; `books` are the rules and the memory."""
    rules, memory = books
    forget(memory, rules)
    for track in range(MAX_TRACKS):
        lead["stage"][track] = NONE
    ahead = NEVER
    for index in range(len(touches)):
        if touches[index]["at"] > as_of:
            ahead = touches[index]["at"]
            break
        evolve(lead, begin + index, touches[index], rules, memory, entries)
    due = NEVER
    if lead["touchpoints"] > 0:
        due = run_timers(lead, as_of, rules, memory, entries)
    lead["next_due"] = min(due, ahead)


@compiled
def forget(memory, rules):
    """Nothing seen, nothing open: where a lead starts."""
    for index in range(rules["counted_count"]):
        memory["counts"][rules["counted"][index]] = 0
        memory["carried_at"][rules["counted"][index]] = NONE
    for index in range(rules["ringed_count"]):
        memory["ring_used"][rules["ringed"][index]] = 0
    for earn in range(MAX_EARNS):
        memory["window_from"][earn] = NONE
    for track in range(rules["track_count"]):
        memory["entry"][track] = NONE
        for stage in range(NO_STAGE):
            memory["visits"][track, stage] = 0


@compiled
def evolve(lead, index, touch, rules, memory, entries):
    """Let one touchpoint change a lead, in place."""
    at, signals = touch["at"], touch["signals"]
    if rules["timer_count"] > 0 and lead["touchpoints"] > 0:
        run_timers(lead, at - 1, rules, memory, entries)
    for score in range(rules["score_count"]):
        earn(lead, score, (at, signals), rules, memory)
    remember(lead, index, touch, rules, memory)
    for track in range(rules["track_count"]):
        stage = next_stage(lead, track, touch, rules, memory)
        if stage != lead["stage"][track]:
            enter(lead, (track, stage), (at, 0), rules, memory, entries)


@compiled
def run_timers(lead, until, rules, memory, entries):
    """Apply the timed moves due up to an instant, in turn; return when the next one is."""
    due, track, timer = next_timer(lead, rules, memory)
    while due <= until:
        place = track, rules["timer_to"][timer]
        enter(lead, place, (due, rules["timer_move"][timer]), rules, memory, entries)
        due, track, timer = next_timer(lead, rules, memory)
    return due


@compiled
def next_timer(lead, rules, memory):
    """(due instant, track, timer) of the timed move that comes first; NEVER where there is none."""
    best, best_track, best_timer = NEVER, NONE, NONE
    for track in range(rules["track_count"]):
        stage = lead["stage"][track]
        if stage == NONE:
            continue
        for timer in range(rules["timer_start"][track], rules["timer_end"][track]):
            if rules["timer_sources"][timer] >> stage & 1:
                due = due_at(lead, track, timer, rules, memory)
                if due < best:
                    best, best_track, best_timer = due, track, timer
    return best, best_track, best_timer


@compiled
def due_at(lead, track, timer, rules, memory):
    """When a timed move is due for a lead in one of its stages."""
    since, kind = lead["since"][track], rules["timer_kind"][timer]
    if kind == AFTER_STAY:
        return since + rules["timer_us"][timer]
    if kind == AFTER_SILENCE:
        signal = rules["timer_signal"][timer]
        heard = lead["last_at"] if signal == NONE else memory["carried_at"][signal]
        return max(since, heard) + rules["timer_us"][timer]
    score, last_at = rules["timer_score"][timer], lead["last_at"]
    bound, tick_us = rules["timer_below"][timer], rules["tick_us"][score]
    points, factors = lead["scores"][score], rules["factors"]
    due = first_below(points, (last_at, max(since, last_at)), tick_us, bound, factors)
    return NEVER if due < 0 else due


@compiled
def earn(lead, score, now, rules, memory):
    """Bring a score forward to a touchpoint (instant, signals), add what it earns, clamp."""
    at, signals = now
    points, tick_us = lead["scores"][score], rules["tick_us"][score]
    if tick_us > 0 and points != 0:
        points = brought_forward(points, lead["last_at"], at, tick_us, rules["factors"])
    for rule in range(rules["earn_start"][score], rules["earn_end"][score]):
        if rules["earn_signal"][rule] & signals and may_earn(rule, at, rules, memory):
            points += rules["earn_points"][rule]
    lead["scores"][score] = min(max(points, rules["floor"][score]), rules["cap"][score])


@compiled
def may_earn(rule, at, rules, memory):
    """Whether the frequency limit lets a matching touchpoint earn; it counts either way."""
    at_most, every_us = rules["earn_at_most"][rule], rules["earn_every_us"][rule]
    if at_most == NONE:
        return True
    opened = memory["window_from"][rule]
    if opened == NONE or (every_us > 0 and at >= opened + every_us):
        memory["window_from"][rule] = at
        memory["window_used"][rule] = 0
    memory["window_used"][rule] += 1
    return memory["window_used"][rule] <= at_most


@compiled
def remember(lead, index, touch, rules, memory):
    """Keep what later rules may ask: what was seen, how often, when last, whose, what worth."""
    at, signals, target = touch["at"], touch["signals"], touch["target"]
    if lead["touchpoints"] == 0:
        lead["first"], lead["first_at"] = index, at
    lead["touchpoints"] += 1
    lead["last"], lead["last_at"] = index, at
    lead["seen"] |= signals
    for kept in range(rules["counted_count"]):
        signal = rules["counted"][kept]
        if signals >> signal & 1:
            memory["counts"][signal] += 1
            memory["carried_at"][signal] = at
    for kept in range(rules["ringed_count"]):
        move = rules["ringed"][kept]
        if signals >> rules["move_count"][move] & 1:
            place = memory["ring_used"][move] % rules["move_count_least"][move]
            memory["ring"][rules["move_ring"][move] + place] = at
            memory["ring_used"][move] += 1
    if touch["owner"] > 0:
        lead["owner"] = touch["owner"]
    if rules["value_signal"] & signals and touch["currency"]:
        lead["value_minor"], lead["value_currency"] = touch["amount"], touch["currency"]
    if target == UNRESOLVED or (target >= 0 and target & UNKNOWN_STAGE == UNKNOWN_STAGE):
        lead["anomalies"] += 1


@compiled
def next_stage(lead, track, touch, rules, memory):
    """Where a stage_changed says, or else where the first move that applies leads, or no change."""
    stage, target = lead["stage"][track], touch["target"]
    if target >= 0 and target >> 5 == track:
        return stage if target & UNKNOWN_STAGE == UNKNOWN_STAGE else target & UNKNOWN_STAGE
    place = NO_STAGE if stage == NONE else stage
    for move in range(rules["move_start"][track], rules["move_end"][track]):
        asked = rules["move_signal"][move]
        if asked and not asked & touch["signals"]:
            continue
        elsewhere = rules["move_to"][move] != stage
        from_here = rules["move_sources"][move] >> place & 1
        if elsewhere and from_here and applies(lead, move, touch["at"], rules, memory):
            return rules["move_to"][move]
    return stage


@compiled
def applies(lead, move, at, rules, memory):
    """Whether all that a move asks beside its signals and sources holds at a touchpoint."""
    seen, score = lead["seen"], rules["move_score"][move]
    if rules["move_seen"][move] & ~seen or rules["move_not_seen"][move] & seen:
        return False
    if score != NONE:
        points = lead["scores"][score]
        if points < rules["move_at_least"][move] or points >= rules["move_below"][move]:
            return False
    if rules["move_count"][move] != NONE and not counted(move, at, rules, memory):
        return False
    return rules["move_asks_stage"][move] == 0 or in_stage(lead, move, rules)


@compiled
def counted(move, at, rules, memory):
    """Whether so many touchpoints carried the signal, ever or lately."""
    least, within_us = rules["move_count_least"][move], rules["move_within_us"][move]
    if within_us == 0:
        return memory["counts"][rules["move_count"][move]] >= least
    used = memory["ring_used"][move]
    oldest = rules["move_ring"][move] + used % least
    return used >= least and memory["ring"][oldest] > at - within_us


@compiled
def in_stage(lead, move, rules):
    """Whether a track is in one of the stages that a move asks for."""
    for track in range(rules["track_count"]):
        stage = lead["stage"][track]
        place = NO_STAGE if stage == NONE else stage
        if rules["move_stage"][move, track] >> place & 1:
            return True
    return False


@compiled
def enter(lead, place, cause, rules, memory, entries):
    """Leave the open visit of a track and enter a stage; cause is (instant, timed move or 0)."""
    (track, stage), (at, move) = place, cause
    before = lead["stage"][track]
    if before != NONE:
        entries[memory["entry"][track]]["left"] = at
    memory["visits"][track, stage] += 1
    visit = entries[memory["entry_count"]]
    visit["track"], visit["stage"] = track, stage
    visit["visit"] = memory["visits"][track, stage]
    visit["entered"], visit["left"] = at, NEVER
    visit["after"], visit["move"] = lead["last"], move
    visit["direction"] = ENTER if before == NONE else ADVANCE if stage > before else FALL
    visit["skipped"] = skipped(before, stage, rules["open_stages"][track])
    visit["reserved"] = 0
    memory["entry"][track] = memory["entry_count"]
    memory["entry_count"] += 1
    lead["stage"][track], lead["since"][track] = stage, at


@compiled
def skipped(before, stage, open_stages):
    """Open stages between two, when advancing."""
    number = 0
    if before != NONE:
        for between in range(before + 1, stage):
            number += open_stages >> between & 1
    return number
