"""From one rule set to the next: what leads take over a boundary, by name."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.book import Era
from engine.decay import scores_at
from engine.fold_clocks import judge, promise
from engine.fold_many import CARRIED, Work, fold_on
from engine.folded import CLOCK_RUN, LEAD_STATE, VISIT
from engine.history import Histories
from engine.ruleset import RuleSet
from engine.signals import Lookups, lookups_of
from engine.tables import NONE, RuleTables, tables_of

Through = Callable[[Work, Histories, Lookups, RuleTables, tuple[int, int]], Work]


def fold_all(
    histories: Histories, eras: Sequence[Era], as_of: int, through: Through = fold_on
) -> Work:
    """Leads folded up to an instant; entries and runs by lead, as they came about.

    Args:
        histories: All that is known of some leads.
        eras: Those up to the instant that fold differently, one after another.
        as_of: Microseconds, UTC; later touches are left out.
        through: What folds leads through an era; others than `fold_on` take notes on the way.
    """
    leads = len(histories.leads)
    work = Work(
        states=np.zeros(leads, LEAD_STATE),
        carried=np.zeros(leads if len(eras) > 1 else 0, CARRIED),
        entries=np.zeros(0, VISIT),
        runs=np.zeros(0, CLOCK_RUN),
    )
    ends = [*(era.since for era in eras[1:]), as_of + 1]
    for number, (era, end) in enumerate(zip(eras, ends, strict=True)):
        if number:
            work = _across(work, eras[number - 1], era)
        entries, runs = len(work.entries), len(work.runs)
        lookups, tables = lookups_of(histories, era.rules), tables_of(era.rules)
        work = through(work, histories, lookups, tables, (era.since, end))
        work.entries["era"][entries:] = number
        promise(work.runs[runs:], tables)
    judge(work.runs)
    if len(eras) == 1:
        return work
    return work._replace(entries=_by_lead(work.entries), runs=_by_lead(work.runs))


def _by_lead(records: NDArray[np.void]) -> NDArray[np.void]:
    return records[np.argsort(records["lead"], kind="stable")]


def _across(work: Work, before: Era, after: Era) -> Work:
    """The same leads where the later rules begin to judge, in the later rules' indexes."""
    old, new = before.rules, after.rules
    states, carried = work.states.copy(), work.carried.copy()
    entries, runs = work.entries.copy(), work.runs.copy()
    states["scores"] = _scores(work.states, before, after)
    states["stage"], states["since"] = NONE, 0
    carried["visits"], carried["entry"], carried["run"] = 0, NONE, NONE
    for track, (name, stages) in enumerate(_tracks(old)):
        to, places = _place_of(name, stages, new)
        states["stage"][:, to] = np.append(places, NONE)[work.states["stage"][:, track]]
        states["since"][:, to] = work.states["since"][:, track]
        carried["visits"][:, to, places] = work.carried["visits"][:, track, : len(places)]
        carried["entry"][:, to] = work.carried["entry"][:, track]
        own = work.entries["track"] == track
        entries["track"][own], entries["stage"][own] = to, places[work.entries["stage"][own]]
    names = [clock.name for clock in new.clocks]
    for clock, to in enumerate(names.index(clock.name) for clock in old.clocks):
        carried["run"][:, to] = work.carried["run"][:, clock]
        runs["clock"][work.runs["clock"] == clock] = to
    return Work(states, carried, entries, runs)


def _tracks(rules: RuleSet) -> list[tuple[str, list[str]]]:
    return [(track.name, [stage.name for stage in track.stages]) for track in rules.tracks]


def _place_of(name: str, stages: list[str], rules: RuleSet) -> tuple[int, NDArray[np.int64]]:
    """Where a track stands in other rules, and each of its stages there."""
    index = [track.name for track in rules.tracks].index(name)
    _, known = _tracks(rules)[index]
    return index, np.array([known.index(stage) for stage in stages], np.int64)


def _scores(states: NDArray[np.void], before: Era, after: Era) -> NDArray[np.int64]:
    """Scores brought forward under the old rules, clamped to the new bounds."""
    points = faded(states, before, after.since)
    scores = np.zeros_like(states["scores"])
    new = {score.name: place for place, score in enumerate(after.rules.scores)}
    for index, old in enumerate(before.rules.scores):
        score = after.rules.scores[new[old.name]]
        scores[:, new[old.name]] = np.clip(points[:, index], score.floor, score.cap)
    return scores


def faded(states: NDArray[np.void], era: Era, at: int) -> NDArray[np.int64]:
    """What is left of the scores of leads (n x scores) at an instant of an era or at its end."""
    return scores_at(states["scores"], np.maximum(states["last_at"], era.since), era.rules, at)
