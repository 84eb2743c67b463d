"""The fold: what touchpoints make of a lead. Integers only; no clock, no string, no I/O.

Live, replay, time travel and explanation all run these lines. A lead's state is
one `LEAD_STATE` record; what must be remembered besides is one `MEMORY` record
that goes from lead to lead. Stage entries are appended to `entries` in the order in
which they come about; no rule looks at clocks, so they run behind, lead by lead.
Where several rule sets judge one after another, all leads are folded up to the end of
an era, taken over the boundary (engine/fold_eras.py), and folded on.
"""

import numpy as np

from engine.compiled import compiled
from engine.fold_scores import NEVER_BELOW, brought_forward, first_below
from engine.fold_touch import UNKNOWN_STAGE, UNRESOLVED
from engine.folded import (
    ADVANCE,
    ENTER,
    FALL,
    MAX_TRACKS,
)
from engine.history import BEGINNING, NEVER
from engine.tables import (
    AFTER_SILENCE,
    AFTER_STAY,
    MAX_CLOCKS,
    MAX_EARNS,
    MAX_MOVES,
    MAX_SIGNALS,
    NO_STAGE,
    NONE,
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
        ("since", "<i8"),  # when these rules began to judge
        ("calm_until", "<i8"),  # no timed move is due before, unless a stage is entered
    ]
)


@compiled
def fold_lead(lead, begin, touches, span, books, entries):
    """One lead, through an era; `books` are the rules and the memory.

    Returns how many touches came before the era.
    """
    (since, until), (rules, memory) = span, books
    forget(lead, rules, memory)
    ahead, known = NEVER, 0
    for index in range(len(touches)):
        at = touches[index]["at"]
        if at >= until:
            ahead = at
            break
        if at < since:
            recall(lead, touches[index], rules, memory)
            known += 1
        else:
            evolve(lead, begin + index, touches[index], rules, memory, entries)
    due = NEVER
    if lead["touchpoints"] > 0:
        due = run_timers(lead, until - 1, rules, memory, entries)
    lead["next_due"] = min(due, ahead)
    return known


@compiled
def forget(lead, rules, memory):
    """Nothing remembered: where an era starts, before what came earlier is recalled."""
    lead["seen"], lead["value_minor"], lead["value_currency"] = 0, 0, 0
    for index in range(rules["counted_count"]):
        memory["counts"][rules["counted"][index]] = 0
        memory["carried_at"][rules["counted"][index]] = NONE
    for index in range(rules["ringed_count"]):
        memory["ring_used"][rules["ringed"][index]] = 0
    for earn in range(rules["earn_count"]):
        memory["window_from"][earn] = NONE
    memory["calm_until"] = BEGINNING


@compiled
def evolve(lead, index, touch, rules, memory, entries):
    """Let one touchpoint change a lead, in place."""
    at, signals = touch["at"], touch["signals"]
    if memory["calm_until"] < at and lead["touchpoints"] > 0:
        due = run_timers(lead, at - 1, rules, memory, entries)
        if rules["timers_wait"]:
            memory["calm_until"] = due
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
    """When a timed move is due for a lead in one of its stages: not before its rules judge."""
    since, kind = lead["since"][track], rules["timer_kind"][timer]
    if kind == AFTER_STAY:
        return max(memory["since"], since + rules["timer_us"][timer])
    if kind == AFTER_SILENCE:
        signal = rules["timer_signal"][timer]
        heard = lead["last_at"] if signal == NONE else memory["carried_at"][signal]
        return max(memory["since"], max(since, heard) + rules["timer_us"][timer])
    score, scored_at = rules["timer_score"][timer], max(lead["last_at"], memory["since"])
    bound, tick_us = rules["timer_below"][timer], rules["tick_us"][score]
    points, factors = lead["scores"][score], rules["factors"]
    due = first_below(points, (scored_at, max(since, scored_at)), tick_us, bound, factors)
    return NEVER if due == NEVER_BELOW else due


@compiled
def earn(lead, score, now, rules, memory):
    """Bring a score forward to a touchpoint (instant, signals), add what it earns, clamp."""
    points = forward(lead, score, now[0], rules, memory)
    if now[1] & rules["earn_signals"][score]:
        for rule in range(rules["earn_start"][score], rules["earn_end"][score]):
            points += earned(rule, now, rules, memory)
    lead["scores"][score] = clamped(points, score, rules)


@compiled
def forward(lead, score, at, rules, memory):
    """What is left of a score at an instant."""
    points, tick_us = lead["scores"][score], rules["tick_us"][score]
    if tick_us > 0 and points != 0:
        scored_at = max(lead["last_at"], memory["since"])
        points = brought_forward(points, scored_at, at, tick_us, rules["factors"])
    return points


@compiled
def earned(rule, now, rules, memory):
    """What an earning rule gives for a touchpoint (instant, signals)."""
    at, signals = now
    if rules["earn_signal"][rule] & signals and may_earn(rule, at, rules, memory):
        return rules["earn_points"][rule]
    return 0


@compiled
def clamped(points, score, rules):
    """Points within the bounds of a score."""
    return min(max(points, rules["floor"][score]), rules["cap"][score])


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
    """Keep what may be asked later: how many, which first and last, whose, and what they said."""
    at, target = touch["at"], touch["target"]
    if lead["touchpoints"] == 0:
        lead["first"], lead["first_at"] = index, at
    lead["touchpoints"] += 1
    lead["last"], lead["last_at"] = index, at
    if touch["owner"] > 0:
        lead["owner"] = touch["owner"]
    if target == UNRESOLVED or (target >= 0 and target & UNKNOWN_STAGE == UNKNOWN_STAGE):
        lead["anomalies"] += 1
    recall(lead, touch, rules, memory)


@compiled
def recall(lead, touch, rules, memory):
    """Keep what rules make of a touchpoint: what was seen, how often, when last, what worth."""
    at, signals = touch["at"], touch["signals"]
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
    if rules["value_signal"] & signals and touch["currency"]:
        lead["value_minor"], lead["value_currency"] = touch["amount"], touch["currency"]


@compiled
def next_stage(lead, track, touch, rules, memory):
    """Where a stage_changed says, or else where the first move that applies leads, or no change."""
    stage, target = lead["stage"][track], touch["target"]
    if names(touch, track):
        return stage if target & UNKNOWN_STAGE == UNKNOWN_STAGE else target & UNKNOWN_STAGE
    move = first_move(lead, track, touch, rules, memory)
    return stage if move == NONE else rules["move_to"][move]


@compiled
def names(touch, track):
    """Whether a touchpoint is a stage_changed about a track: then no move of it is looked at."""
    return touch["target"] >= 0 and touch["target"] >> 5 == track


@compiled
def first_move(lead, track, touch, rules, memory):
    """The first move of a track that applies at a touchpoint, or NONE."""
    stage, signals = lead["stage"][track], touch["signals"]
    place = NO_STAGE if stage == NONE else stage
    if not signals & rules["from_signals"][track, place] and not rules["from_bare"][track, place]:
        return NONE
    first, moves = rules["move_start"][track], rules["from_moves"][track, place]
    for move in range(first, rules["move_end"][track]):
        if not moves >> (move - first) & 1:
            continue
        asked = rules["move_signal"][move]
        if asked and not asked & signals:
            continue
        if applies(lead, move, touch["at"], rules, memory):
            return move
    return NONE


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
    visit["era"] = 0
    memory["entry"][track] = memory["entry_count"]
    memory["entry_count"] += 1
    lead["stage"][track], lead["since"][track] = stage, at
    memory["calm_until"] = BEGINNING


@compiled
def skipped(before, stage, open_stages):
    """Open stages between two, when advancing."""
    number = 0
    if before != NONE:
        for between in range(before + 1, stage):
            number += open_stages >> between & 1
    return number
