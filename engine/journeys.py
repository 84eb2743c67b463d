"""How each lead fared on a track: where it stands, where it was and how it ended."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.folded import Folded
from engine.history import NEVER

JOURNEY = np.dtype(
    [
        ("lead", "<i8"),  # index into Histories.leads
        ("since", "<i8"),  # in the stage where it stands
        ("ended_at", "<i8"),  # first in a stage of the kind that it ended in; where it did
        ("stage", "<i4"),  # index
        ("visited", "<i4"),  # bit i: was in stage i
        ("won", "?"),
        ("lost", "?"),
    ]
)
_KINDS = ("open", "won", "lost", "parked")  # of stages
_WON, _LOST, _PARKED = 1, 2, 3


def journeys(folded: Folded, track: int) -> NDArray[np.void]:
    """JOURNEY of each lead that ever was in a track, by its index, as `reports.pipeline` says."""
    kinds = np.array([_KINDS.index(stage.kind) for stage in folded.rules.tracks[track].stages])
    rows = np.zeros(len(folded.states), JOURNEY)
    return rows[: travel(folded.entries, track, kinds, rows)]


@compiled
def travel(
    entries: NDArray[np.void], track: int, kinds: NDArray[np.int64], rows: NDArray[np.void]
) -> int:
    """Write a row per lead that has entries on a track; how many there are."""
    count, lead = 0, -1
    won_at, lost_at, last = NEVER, NEVER, 0
    for index in range(len(entries)):
        entry = entries[index]
        if entry["track"] != track:
            continue
        if entry["lead"] != lead:
            lead, count = entry["lead"], count + 1
            won_at, lost_at, last = NEVER, NEVER, 0
        row, kind = rows[count - 1], kinds[entry["stage"]]
        if kind == _WON:
            won_at = min(won_at, entry["entered"])
        elif kind == _LOST:
            lost_at = min(lost_at, entry["entered"])
        if kind != _PARKED:
            last = kind
        row["lead"], row["since"], row["stage"] = lead, entry["entered"], entry["stage"]
        row["visited"] |= 1 << entry["stage"]
        row["won"], row["lost"] = last == _WON, last == _LOST
        row["ended_at"] = won_at if last == _WON else lost_at
    return count
