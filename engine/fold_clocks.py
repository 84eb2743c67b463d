"""The clocks of the fold: stopped, cancelled, started, compiled; then judged by open time."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.folded import BREACHED, CANCELLED, LATE, MET, OPEN
from engine.history import NEVER
from engine.tables import NONE, RuleTables


@compiled
def run_clocks(place, touches, entries, rules, memory, runs):
    """Run the clocks of one lead over its touches and stage entries, as they came about.

    `place` is the index of its first touch among all, and the instant to stop at.
    """
    begin, as_of = place
    entry = 0
    for index in range(len(touches)):
        if touches[index]["at"] > as_of:
            break
        while entry < len(entries) and entries[entry]["after"] < begin + index:
            entry = timed(entry, entries, rules, memory, runs)
        signals, first = touches[index]["signals"], entry
        acts = signals & rules["clock_signals"] != 0
        while is_caused_by(entry, entries, begin + index):
            acts = acts or acts_on_clocks(entries[entry], rules)
            entry += 1
        if acts:
            nothing_entered(memory, rules)
            for one in range(first, entry):
                memory["entered"][entries[one]["track"]] = entries[one]["stage"]
            turn(touches[index]["at"], signals, rules, memory, runs)
    while entry < len(entries):
        entry = timed(entry, entries, rules, memory, runs)


@compiled
def is_caused_by(entry, entries, touch):
    """Whether there is such an entry, and the touch caused it, not a timer after it."""
    if entry >= len(entries):
        return False
    return entries[entry]["after"] == touch and entries[entry]["move"] == 0


@compiled
def acts_on_clocks(entry, rules):
    """Whether some clock starts, stops or is cancelled where its stage is entered."""
    return rules["clock_stages"][entry["track"]] >> entry["stage"] & 1 != 0


@compiled
def timed(entry, entries, rules, memory, runs):
    """Let one timed entry act on the clocks, at its own instant; the index of the next entry."""
    if acts_on_clocks(entries[entry], rules):
        nothing_entered(memory, rules)
        memory["entered"][entries[entry]["track"]] = entries[entry]["stage"]
        turn(entries[entry]["entered"], 0, rules, memory, runs)
    return entry + 1


@compiled
def nothing_entered(memory, rules):
    """Before something happens: no stage was entered at it yet."""
    for track in range(rules["track_count"]):
        memory["entered"][track] = NONE


@compiled
def turn(at, signals, rules, memory, runs):
    """Stop, then cancel, then start each clock, by signals and the stages entered just now."""
    now = (signals, memory)
    for clock in range(rules["clock_count"]):
        run = memory["run"][clock]
        stop = (rules["stop_signal"][clock], rules["stop_track"][clock], rules["stop_stage"][clock])
        if run != NONE and pulled(stop, now):
            end_run(runs[run], at, MET)
            run = NONE
        cancel = (
            rules["cancel_signal"][clock],
            rules["cancel_track"][clock],
            rules["cancel_stage"][clock],
        )
        if run != NONE and pulled(cancel, now):
            end_run(runs[run], at, CANCELLED)
            run = NONE
        start = (
            rules["start_signal"][clock],
            rules["start_track"][clock],
            rules["start_stage"][clock],
        )
        if run == NONE and pulled(start, now):
            run = start_run(clock, at, memory, runs)
        memory["run"][clock] = run


@compiled
def pulled(trigger, now):
    """Whether a trigger (signal bits, track, stage) is pulled by what happens now."""
    (signal, track, stage), (signals, memory) = trigger, now
    return signal & signals != 0 or (track != NONE and memory["entered"][track] == stage)


@compiled
def end_run(run, at, outcome):
    """Close a run; whether it was due by then is judged later."""
    run["ended"], run["outcome"] = at, outcome


@compiled
def start_run(clock, at, memory, runs):
    """Open a run; its index."""
    index = memory["run_count"]
    memory["run_count"] += 1
    run = runs[index]
    run["clock"], run["started"], run["ended"] = clock, at, NEVER
    run["due"], run["outcome"], run["reserved"] = NEVER, OPEN, 0
    return index


def promise(runs: NDArray[np.void], tables: RuleTables) -> None:
    """Say when each run is due by the rules that started it, in place."""
    for clock in range(int(tables.rules[0]["clock_count"])):
        own = np.flatnonzero(runs["clock"] == clock)
        runs["due"][own] = _due_after(runs["started"][own], clock, tables)


def judge(runs: NDArray[np.void]) -> None:
    """Say what became of the runs that were ended, by when they were due, in place."""
    too_late = runs["ended"] > runs["due"]
    for in_time, late in ((MET, LATE), (CANCELLED, BREACHED)):
        runs["outcome"][too_late & (runs["outcome"] == in_time)] = late


def _due_after(started: NDArray[np.int64], clock: int, tables: RuleTables) -> NDArray[np.int64]:
    """The smallest instants by which the clock's time has passed, only open time counted."""
    rules = tables.rules[0]
    within_us = int(rules["within_us"][clock])
    own = slice(int(rules["span_start"][clock]), int(rules["span_end"][clock]))
    if own.start == NONE:
        return started + within_us
    opens, passed, closes = tables.opens[own], tables.passed[own], tables.closes[own]
    span = np.minimum(np.searchsorted(closes, started, side="right"), len(closes) - 1)
    target = passed[span] + np.maximum(started - opens[span], 0) + within_us
    span = np.searchsorted(passed, target, side="left") - 1
    due = opens[span] + target - passed[span]
    return np.where((due <= closes[span]) & (started < closes[-1]), due, NEVER)
