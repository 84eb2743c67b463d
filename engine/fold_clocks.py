"""The clocks of the fold, compiled: stopped, cancelled, started; due in open time."""

import numpy as np

from engine.compiled import compiled
from engine.folded import BREACHED, CANCELLED, LATE, MET, OPEN
from engine.history import NEVER
from engine.tables import NONE


@compiled
def run_clocks(at, signals, desk):
    """Stop, then cancel, then start each clock, by signals and the stages entered just now."""
    rules, memory = desk.rules, desk.memory
    now = (signals, memory)
    for clock in range(rules["clock_count"]):
        run = memory["run"][clock]
        stop = (rules["stop_signal"][clock], rules["stop_track"][clock], rules["stop_stage"][clock])
        if run != NONE and pulled(stop, now):
            end_run(desk.runs[run], at, MET, LATE)
            run = NONE
        cancel = (
            rules["cancel_signal"][clock],
            rules["cancel_track"][clock],
            rules["cancel_stage"][clock],
        )
        if run != NONE and pulled(cancel, now):
            end_run(desk.runs[run], at, CANCELLED, BREACHED)
            run = NONE
        start = (
            rules["start_signal"][clock],
            rules["start_track"][clock],
            rules["start_stage"][clock],
        )
        if run == NONE and pulled(start, now):
            run = start_run(clock, at, desk)
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
def start_run(clock, at, desk):
    """Open a run; its index."""
    index = desk.memory["run_count"]
    desk.memory["run_count"] += 1
    run = desk.runs[index]
    run["clock"], run["started"], run["ended"] = clock, at, NEVER
    run["due"], run["outcome"], run["reserved"] = due_after(clock, at, desk), OPEN, 0
    return index


@compiled
def due_after(clock, at, desk):
    """The smallest instant by which the clock's time has passed, only open time counted."""
    rules = desk.rules
    first, end, within_us = (
        rules["span_start"][clock],
        rules["span_end"][clock],
        rules["within_us"][clock],
    )
    if first == NONE:
        return at + within_us
    span = first + np.searchsorted(desk.closes[first:end], at, side="right")
    if span == end:
        return NEVER
    target = desk.passed[span] + max(at - desk.opens[span], 0) + within_us
    span = first + np.searchsorted(desk.passed[first:end], target, side="left") - 1
    due = desk.opens[span] + target - desk.passed[span]
    return due if due <= desk.closes[span] else NEVER
