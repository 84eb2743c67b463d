"""Touches of the type stage_changed, and where each leads by the stages of a rule set."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled, compiled_with_arrays
from engine.history import STRING, Histories, Kept
from engine.resolve import resolver_of
from engine.ruleset import RuleSet


class Named(NamedTuple):
    """The touches that are a stage_changed, and what they name."""

    changes: NDArray[np.int64]  # touches
    which: NDArray[np.int64]  # of each: its pair
    pairs: list[tuple[str | None, str]]  # track and stage, each once


_named: Kept[Named] = Kept()


def targets_of(histories: Histories, rules: RuleSet) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The touches that are a stage_changed, and where each leads."""
    named = _named.of(histories) or _named.keep(histories, _named_in(histories))
    resolver = resolver_of(rules)
    targets = [resolver.target(track, stage) for track, stage in named.pairs]
    return named.changes, np.array(targets, np.int32)[named.which]


def _named_in(histories: Histories) -> Named:
    (stage_changed,) = histories.strings.ids(["stage_changed"])
    changes = np.flatnonzero(histories.touches["type"] == stage_changed)
    if not len(changes) or not stage_changed:
        return Named(np.zeros(0, np.int64), np.zeros(0, np.int64), [])
    where = histories.touches, histories.attributes, histories.attribute_at, changes
    named = [texts_of(*where, name) for name in histories.strings.ids(["track", "stage"])]
    pairs, which = np.unique(named[0] << 32 | named[1] & 0xFFFFFFFF, return_inverse=True)
    tracks = histories.strings.texts(np.maximum(pairs >> 32, 0).tolist())
    stages = histories.strings.texts((pairs & 0xFFFFFFFF).tolist())
    told = zip(pairs.tolist(), tracks, stages, strict=True)
    return Named(changes, which, [(track if pair >> 32 else None, at) for pair, track, at in told])


@compiled
def text_of(attributes, span, name):
    """The dictionary id of a text attribute; 0: absent, -1: no text."""
    for index in range(span[0], span[1]):
        if name != 0 and attributes[index]["name"] == name:
            return attributes[index]["bits"] if attributes[index]["tag"] == STRING else np.int64(-1)
    return np.int64(0)


@compiled_with_arrays
def texts_of(touches, attributes, attribute_at, chosen, name):
    """`text_of` for chosen touches."""
    found = np.empty(len(chosen), np.int64)
    for index in range(len(chosen)):
        first = attribute_at[chosen[index]]
        span = (first, first + touches[chosen[index]]["attributes"])
        found[index] = text_of(attributes, span, name)
    return found
