"""The clocks of the fold, compiled: stopped, cancelled, started; due in open time."""

import numpy as np

from engine.compiled import compiled
from engine.folded import BREACHED, CANCELLED, LATE, MET, OPEN
from engine.history import NEVER
from engine.tables import NONE


@compiled
def run_clocks(place, touches, entries, tables, memory, runs):
    """Run the clocks of one lead over its touches and stage entries, as they came about.

    `place` is the index of its first touch among all, and the instant to stop at.
    """
    rules, (begin, as_of) = tables.rules[0], place
    for clock in range(rules["clock_count"]):
        memory["run"][clock] = NONE
    entry = 0
    for index in range(len(touches)):
        if touches[index]["at"] > as_of:
            break
        while entry < len(entries) and entries[entry]["after"] < begin + index:
            entry = timed(entry, entries, tables, memory, runs)
        entered_at = entry
        nothing_entered(memory, rules)
        while is_caused_by(entry, entries, begin + index):
            memory["entered"][entries[entry]["track"]] = entries[entry]["stage"]
            entry += 1
        signals = touches[index]["signals"]
        if entry > entered_at or signals & rules["clock_signals"]:
            turn(touches[index]["at"], signals, tables, memory, runs)
    while entry < len(entries):
        entry = timed(entry, entries, tables, memory, runs)


@compiled
def is_caused_by(entry, entries, touch):
    """Whether there is such an entry, and the touch caused it, not a timer after it."""
    if entry >= len(entries):
        return False
    return entries[entry]["after"] == touch and entries[entry]["move"] == 0


@compiled
def timed(entry, entries, tables, memory, runs):
    """Let one timed entry act on the clocks, at its own instant; the index of the next entry."""
    nothing_entered(memory, tables.rules[0])
    memory["entered"][entries[entry]["track"]] = entries[entry]["stage"]
    turn(entries[entry]["entered"], 0, tables, memory, runs)
    return entry + 1


@compiled
def nothing_entered(memory, rules):
    """Before something happens: no stage was entered at it yet."""
    for track in range(rules["track_count"]):
        memory["entered"][track] = NONE


@compiled
def turn(at, signals, tables, memory, runs):
    """Stop, then cancel, then start each clock, by signals and the stages entered just now."""
    rules, now = tables.rules[0], (signals, memory)
    for clock in range(rules["clock_count"]):
        run = memory["run"][clock]
        stop = (rules["stop_signal"][clock], rules["stop_track"][clock], rules["stop_stage"][clock])
        if run != NONE and pulled(stop, now):
            end_run(runs[run], at, MET, LATE)
            run = NONE
        cancel = (
            rules["cancel_signal"][clock],
            rules["cancel_track"][clock],
            rules["cancel_stage"][clock],
        )
        if run != NONE and pulled(cancel, now):
            end_run(runs[run], at, CANCELLED, BREACHED)
            run = NONE
        start = (
            rules["start_signal"][clock],
            rules["start_track"][clock],
            rules["start_stage"][clock],
        )
        if run == NONE and pulled(start, now):
            run = start_run(clock, at, tables, memory, runs)
        memory["run"][clock] = run


@compiled
def pulled(trigger, now):
    """Whether a trigger (signal bits, track, stage) is pulled by what happens now."""
    (signal, track, stage), (signals, memory) = trigger, now
    return signal & signals != 0 or (track != NONE and memory["entered"][track] == stage)


@compiled
def end_run(run, at, in_time, too_late):
    """Close a run, on time or after it was due."""
    run["ended"] = at
    run["outcome"] = in_time if at <= run["due"] else too_late


@compiled
def start_run(clock, at, tables, memory, runs):
    """Open a run; its index."""
    index = memory["run_count"]
    memory["run_count"] += 1
    run = runs[index]
    run["clock"], run["started"], run["ended"] = clock, at, NEVER
    run["due"], run["outcome"], run["reserved"] = due_after(clock, at, tables), OPEN, 0
    return index


@compiled
def due_after(clock, at, tables):
    """The smallest instant by which the clock's time has passed, only open time counted."""
    rules = tables.rules[0]
    first, end, within_us = (
        rules["span_start"][clock],
        rules["span_end"][clock],
        rules["within_us"][clock],
    )
    if first == NONE:
        return at + within_us
    span = first + np.searchsorted(tables.closes[first:end], at, side="right")
    if span == end:
        return NEVER
    target = tables.passed[span] + max(at - tables.opens[span], 0) + within_us
    span = first + np.searchsorted(tables.passed[first:end], target, side="left") - 1
    due = tables.opens[span] + target - tables.passed[span]
    return due if due <= tables.closes[span] else NEVER
