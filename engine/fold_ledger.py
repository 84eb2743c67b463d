"""How the scores and stages of a lead came about: the fold, with a note of every change.

The lead takes the fold's own steps. Before each touch the parts of `earn` are asked what it
is about to do; after it, which move took the lead on.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.book import Era
from engine.compiled import compiled, compiled_with_arrays
from engine.fold import (
    MEMORY,
    clamped,
    due_at,
    earned,
    evolve,
    first_move,
    forget,
    forward,
    names,
    recall,
    run_timers,
)
from engine.fold_eras import fold_all
from engine.fold_many import Work, begin_lead, fold_on, take_up
from engine.fold_touch import FOLDED_TOUCH
from engine.folded import LEAD_STATE, VISIT
from engine.history import BEGINNING, NEVER, Histories
from engine.ruleset import RuleSet
from engine.signals import Lookups, fill
from engine.tables import NONE, RuleTables

LINE = np.dtype(  # balance = that of the line before - decay + base - limit - clamp, micro-points
    [
        ("score", "<i4"),
        ("rule", "<i4"),  # of the score's earning rules, from 0
        ("touch", "<i8"),
        ("decay", "<i8"),  # lost since the line before; below 0 where less is owed
        ("base", "<i8"),
        ("limit", "<i8"),  # cut by the frequency limit
        ("clamp", "<i8"),  # cut by the bounds, once all that the touch earns is added
        ("balance", "<i8"),
    ]
)


class Trail(NamedTuple):
    """What is written on the way of one lead through an era, with room for all there can be."""

    touches: NDArray[np.void]  # FOLDED_TOUCH
    entries: NDArray[np.void]  # VISIT, those of earlier eras first
    stood: NDArray[np.void]  # LEAD_STATE, per entry: see Stretch
    moves: NDArray[np.int64]  # per entry: the move at its touch, by place in the tables, or NONE
    lines: NDArray[np.void]  # LINE
    due: NDArray[np.int64]  # per timed move, by place in the tables: see Stretch


class Stretch(NamedTuple):
    """The way of one lead through an era; indexes are those of the era's rules."""

    era: Era
    signals: NDArray[np.int64]  # per touch of the history
    start: NDArray[np.void]  # LEAD_STATE, one: where the era begins
    end: NDArray[np.void]  # the same where it ends
    lines: NDArray[np.void]  # LINE, in the order in which they came about
    entries: NDArray[np.void]  # VISIT, the same
    stood: NDArray[np.void]  # LEAD_STATE, per entry: when that was decided, still in the stage left
    moves: NDArray[np.int64]  # per entry: the track's move, from 1; 0: a stage_changed said so
    due: Mapping[tuple[int, int], int]  # in the end: by track, and timed move that leaves its stage


def follow(histories: Histories, eras: Sequence[Era], as_of: int) -> tuple[Work, list[Stretch]]:
    """The one lead of a history folded up to an instant, and its way through each of the eras."""
    stretches: list[Stretch] = []

    def through(
        work: Work,
        histories: Histories,
        lookups: Lookups,
        tables: RuleTables,
        span: tuple[int, int],
    ) -> Work:
        known, start = len(work.entries), work.states.copy()
        trail, lines = _noted(work, histories, lookups, tables, span)
        folded = fold_on(work, histories, lookups, tables, span)
        entries, era = folded.entries[known:], eras[len(stretches)]
        numbers = [number for _, number in _moves(era.rules, timed=False)]
        by_touch = [numbers[row] if row != NONE else 0 for row in trail.moves[: len(entries)]]
        due = zip(_moves(era.rules, timed=True), trail.due.tolist(), strict=False)
        stretches.append(
            Stretch(
                era=era,
                signals=trail.touches["signals"].copy(),
                start=start,
                end=folded.states,
                lines=trail.lines[:lines].copy(),
                entries=entries,
                stood=trail.stood[: len(entries)].copy(),
                moves=np.where(entries["move"] > 0, entries["move"], by_touch),
                due={move: at for move, at in due if at != NEVER},
            )
        )
        return folded

    return fold_all(histories, eras, as_of, through), stretches


def _moves(rules: RuleSet, *, timed: bool) -> Iterator[tuple[int, int]]:
    """Track and number of the timed moves, or of the others, by their places in the tables."""
    for index, track in enumerate(rules.tracks):
        for number, move in enumerate(track.moves, 1):
            if (move.timer is not None) is timed:
                yield index, number


def _noted(
    work: Work, histories: Histories, lookups: Lookups, tables: RuleTables, span: tuple[int, int]
) -> tuple[Trail, int]:
    """What is written on the way, and how many lines that is; `work` stays as it is."""
    count, rules = len(histories.touches), tables.rules[0]
    steps = (count + 1) * int(1 + rules["track_count"] + rules["timer_count"])
    earns = int(rules["earn_end"].max())
    trail = Trail(
        touches=np.empty(count, FOLDED_TOUCH),
        entries=np.append(work.entries, np.empty(steps, VISIT)),
        stood=np.empty(steps, LEAD_STATE),
        moves=np.full(steps, NONE, np.int64),
        lines=np.empty(count * earns, LINE),
        due=np.full(int(rules["timer_count"]), NEVER, np.int64),
    )
    memory = np.zeros(2, MEMORY)
    memory["entry_count"], memory["since"] = len(work.entries), span[0]
    source = histories.touches, histories.attributes, histories.attribute_at, lookups
    leads = work.states.copy(), work.carried
    return trail, int(follow_history(leads, source, tables.rules, span, memory, trail))


@compiled_with_arrays
def follow_history(leads, source, tables, span, memory, trail):
    """Follow a lead, from where it stands, through an era; how many lines are written."""
    (states, carried), (touches, attributes, attribute_at, lookups) = leads, source
    fill((0, len(touches)), touches, attributes, attribute_at, lookups, trail.touches)
    if span[0] == BEGINNING:
        begin_lead(states[0], tables[0], memory[0])
    else:
        take_up(carried[0], memory[0])
    return follow_lead(states[0], span, (tables[0], memory[0], memory[1]), trail)


@compiled_with_arrays
def follow_lead(lead, span, books, trail):
    """What `fold_lead` does, with notes."""
    (since, until), (rules, memory, _) = span, books
    forget(lead, rules, memory)
    first, lines = memory["entry_count"], 0
    balances = lead["scores"].copy()
    for index in range(len(trail.touches)):
        touch = trail.touches[index]
        if touch["at"] >= until:
            break
        if touch["at"] < since:
            recall(lead, touch, rules, memory)
            continue
        if lead["touchpoints"] > 0:
            note_timed(lead, touch["at"] - 1, first, books, trail)
        for score in range(rules["score_count"]):
            lines = note_earned(lead, (score, index), lines, books, balances, trail)
        stages, known = lead["stage"].copy(), memory["entry_count"]
        evolve(lead, index, touch, rules, memory, trail.entries)
        note_moved(lead, touch, (stages, known, first), books, trail)
    if lead["touchpoints"] > 0:
        note_timed(lead, until - 1, first, books, trail)
    note_due(lead, rules, memory, trail.due)
    return lines


@compiled
def note_timed(lead, until, first, books, trail):
    """Let timed moves take the lead on, as the fold would next; note how it stood."""
    rules, memory, _ = books
    known = memory["entry_count"]
    run_timers(lead, until, rules, memory, trail.entries)
    for entry in range(known, memory["entry_count"]):
        trail.stood[entry - first] = lead


@compiled
def note_earned(lead, place, lines, books, balances, trail):
    """A line for each earning rule that matches, before the fold counts it; lines by then."""
    (score, index), (rules, memory, spare) = place, books
    touch = trail.touches[index]
    now = touch["at"], touch["signals"]
    points, begin = forward(lead, score, touch["at"], rules, memory), lines
    for rule in range(rules["earn_start"][score], rules["earn_end"][score]):
        if not rules["earn_signal"][rule] & touch["signals"]:
            continue
        spare["window_from"][rule] = memory["window_from"][rule]  # for it counts who asks
        spare["window_used"][rule] = memory["window_used"][rule]
        base, line = rules["earn_points"][rule], trail.lines[lines]
        gets = earned(rule, now, rules, spare)
        line["score"], line["rule"], line["touch"] = score, rule - rules["earn_start"][score], index
        line["decay"] = balances[score] - points if lines == begin else 0
        line["base"], line["limit"], line["clamp"] = base, base - gets, 0
        points += gets
        line["balance"] = points
        lines += 1
    if lines > begin:
        last, kept = trail.lines[lines - 1], clamped(points, score, rules)
        last["clamp"], last["balance"], balances[score] = points - kept, kept, kept
    return lines


@compiled
def note_moved(lead, touch, before, books, trail):
    """Which moves took the lead on at a touch; `before` are its stages and the entries by then."""
    (stages, known, first), (rules, memory, _) = before, books
    for entry in range(known, memory["entry_count"]):
        track, stood = trail.entries[entry]["track"], trail.stood
        stood[entry - first] = lead
        stood[entry - first]["stage"][track] = stages[track]
        if not names(touch, track):
            move = first_move(stood[entry - first], track, touch, rules, memory)
            trail.moves[entry - first] = move


@compiled
def note_due(lead, rules, memory, due):
    """When each timed move that leaves where the lead stands is due."""
    for track in range(rules["track_count"]):
        stage = lead["stage"][track]
        for timer in range(rules["timer_start"][track], rules["timer_end"][track]):
            if stage != NONE and rules["timer_sources"][timer] >> stage & 1:
                due[timer] = due_at(lead, track, timer, rules, memory)
