"""Two folds of the same histories laid side by side as arrays, for engine/fold_trace.py."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.fold_trace import ERA, SEGMENT, Pair
from engine.folded import MAX_TRACKS, Folded
from engine.history import NEVER
from engine.ruleset import RuleSet, Segment
from engine.shared_names import Shared
from engine.signals import signals_of
from engine.stage_changes import targets_of
from engine.tables import (
    MAX_CLOCKS,
    NO_STAGE,
    NONE,
    RULES,
    UNBOUNDED,
    bits,
    tables_of,
)

Numbers = NDArray[np.int64]
Folds = tuple[Folded, Folded]


def pair_of(folds: Folds, shared: Shared, leads: Numbers) -> Pair:
    """Two folds of the same histories; `leads` are those to look at, as indexes, ascending."""
    histories = folds[0].histories
    eras = max(len(folded.eras) for folded in folds)
    rules, judged = np.zeros((2, eras), RULES), np.zeros((2, eras), ERA)
    judged["since"] = NEVER
    for fold, folded in enumerate(folds):
        for number, era in enumerate(folded.eras):
            rules[fold, number] = tables_of(era.rules).rules[0]
            judged[fold, number] = _era(folded, number, shared)
    due, due_from = _due(folds, shared, leads)
    changes, targets = _targets(folds, eras)
    first, last = _channels(folds, shared.asked)
    assigned, stage_changed = histories.strings.ids(["assigned", "stage_changed"])
    return Pair(
        as_of=folds[0].as_of,
        common=np.array([len(shared.scores), len(shared.tracks), len(shared.clocks)]),
        last=np.array([len(folded.eras) - 1 for folded in folds]),
        rules=rules,
        eras=judged,
        leads=leads,
        starts=histories.starts,
        touches=histories.touches,
        carried=_carried(folds, eras),
        changes=changes,
        targets=targets,
        assigned=assigned or NONE,
        stage_changed=stage_changed or NONE,
        known=_known(folds, eras),
        due=due,
        due_from=due_from,
        segments=_segments(folds, shared.asked),
        channel_first=first,
        channel_last=last,
    )


def _segment(rules: RuleSet, name: str) -> Segment:
    return next(segment for segment in rules.segments if segment.name == name)


def _carried(folds: Folds, eras: int) -> Numbers:
    """The signals of all touches by the rules of each era."""
    histories = folds[0].histories
    carried = np.empty((2, eras, len(histories.touches)), np.int64)
    for fold, folded in enumerate(folds):
        for number, era in enumerate(folded.eras):
            carried[fold, number] = signals_of(histories, era.rules)
    return carried


def _targets(folds: Folds, eras: int) -> tuple[Numbers, NDArray[np.int32]]:
    """The touches that are a stage_changed, and where each leads by the rules of each era."""
    histories = folds[0].histories
    told = [[targets_of(histories, era.rules) for era in folded.eras] for folded in folds]
    changes = told[0][0][0]
    targets = np.zeros((2, eras, len(changes)), np.int32)
    for fold, some in enumerate(told):
        for number, (_, own) in enumerate(some):
            targets[fold, number] = own
    return changes, targets


def _era(folded: Folded, number: int, shared: Shared) -> np.void:
    """Where names stand in the rules of an era, and where they stood in those before it."""
    era: np.void = np.full(1, NONE).astype(ERA)[0]
    since, rules = folded.eras[number]
    before = folded.eras[number - 1].rules if number else rules
    tracks = [track.name for track in rules.tracks]
    era["since"] = since
    _put(era["score"], shared.scores, [score.name for score in rules.scores])
    _put(era["track"], shared.tracks, tracks)
    _put(era["clock"], shared.clocks, [clock.name for clock in rules.clocks])
    _put(era["from_score"], (one.name for one in rules.scores), [one.name for one in before.scores])
    _put(era["from_track"], tracks, [one.name for one in before.tracks])
    _put(era["from_clock"], (one.name for one in rules.clocks), [one.name for one in before.clocks])
    for place, track in enumerate(rules.tracks):
        stages = [stage.name for stage in track.stages]
        if track.name in shared.tracks:
            names = shared.stages[shared.tracks.index(track.name)]
            _put(era["stage"][place], stages, names)
        earlier = next((one for one in before.tracks if one.name == track.name), None)
        if earlier is not None:
            _put(era["to_stage"][place], (stage.name for stage in earlier.stages), stages)
    return era


def _put(places: NDArray[np.int64], names: Iterable[str], among: Sequence[str]) -> None:
    """Where each name stands among others; NONE where it does not."""
    for index, name in enumerate(names):
        places[index] = among.index(name) if name in among else NONE


def _known(folds: Folds, eras: int) -> Numbers:
    most = max(len(era.rules.signals) for era in folds[0].eras)
    known = np.full((eras, eras, most), NONE)
    for one, mine in enumerate(folds[0].eras):
        for other, theirs in enumerate(folds[1].eras):
            names = [signal.name for signal in theirs.rules.signals]
            _put(known[one, other], (signal.name for signal in mine.rules.signals), names)
    return known


def _due(folds: Folds, shared: Shared, leads: Numbers) -> tuple[Numbers, Numbers]:
    """When clock runs are due, and where those of each lead and common clock begin."""
    due_from = np.zeros((2, len(leads), MAX_CLOCKS), np.int64)
    shift = 0
    for fold, folded in enumerate(folds):
        runs, names = folded.clock_runs, [clock.name for clock in folded.rules.clocks]
        keys = runs["lead"].astype(np.int64) * MAX_CLOCKS + runs["clock"]
        for number, name in enumerate(shared.clocks):
            wanted = leads * MAX_CLOCKS + names.index(name)
            due_from[fold, :, number] = shift + np.searchsorted(keys, wanted)
        shift += len(runs)
    return np.concatenate([folded.clock_runs["due"] for folded in folds]), due_from


def _segments(folds: Folds, asked: Sequence[str]) -> NDArray[np.void]:
    segments = np.zeros((2, len(asked)), SEGMENT)
    for fold, folded in enumerate(folds):
        for number, name in enumerate(asked):
            _fill_segment(segments[fold, number], _segment(folded.rules, name), folded)
    return segments


def _fill_segment(record: np.void, segment: Segment, folded: Folded) -> None:
    rules, scores = folded.rules, [score.name for score in folded.rules.scores]
    signals = {signal.name: index for index, signal in enumerate(rules.signals)}
    values: dict[str, Any] = {
        "asks_stage": bool(segment.stage),
        "score": NONE if segment.score is None else scores.index(segment.score),
        "at_least": -UNBOUNDED if segment.at_least is None else segment.at_least,
        "below": UNBOUNDED if segment.below is None else segment.below,
        "seen": bits(signals[name] for name in segment.seen),
        "not_seen": bits(signals[name] for name in segment.not_seen),
        "silent_us": segment.silent_for_us or 0,
        "owner": NONE if segment.has_owner is None else segment.has_owner,
        "asks_value": segment.value_minor is not None,
        "value_minor": segment.value_minor or 0,
        "currency": folded.histories.strings.ids([segment.value_currency or ""])[0] or NONE,
        "stage": _stage_bits(rules, segment.stage),
        "not_stage": _stage_bits(rules, segment.not_stage),
    }
    for name, value in values.items():
        record[name] = value


def _stage_bits(rules: RuleSet, dotted: Sequence[str]) -> list[int]:
    """By track: the stages named, as bits."""
    sets = [0] * MAX_TRACKS
    for index, track in enumerate(rules.tracks):
        names = {stage.name: place for place, stage in enumerate(track.stages)} | {"none": NO_STAGE}
        sets[index] = bits(at for stage, at in names.items() if f"{track.name}.{stage}" in dotted)
    return sets


def _channels(folds: Folds, asked: Sequence[str]) -> tuple[Numbers, Numbers]:
    """By dictionary id of a channel: the segments that it lets a lead be in, as bits."""
    most = int(folds[0].histories.touches["channel"].max(initial=0)) if asked else 0
    first, last = (np.full((2, most + 1), -1) for _ in range(2))
    strings = folds[0].histories.strings
    for fold, folded in enumerate(folds):
        for number, name in enumerate(asked):
            segment = _segment(folded.rules, name)
            for allowed, wanted in ((first, segment.first_channel), (last, segment.last_channel)):
                if wanted:
                    barred = ~np.isin(np.arange(most + 1), strings.ids(wanted))
                    allowed[fold, barred] &= ~np.int64(1 << number)
    return first, last
