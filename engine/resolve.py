"""Which stage a `stage_changed` means: by name, alias or label, in any language."""

import unicodedata
from collections.abc import Mapping

from engine.fold_touch import UNKNOWN_STAGE, UNRESOLVED
from engine.ruleset import RuleSet, Stage, Track, kept


class Resolver:
    """The stages of a rule set by all the names that they go by."""

    def __init__(self, rules: RuleSet) -> None:
        self._tracks = {track.name: i for i, track in enumerate(rules.tracks)}
        self._stages = [_known_as(track) for track in rules.tracks]

    def target(self, track: str | None, stage: str) -> int:
        """track * 32 + stage; 31 for a stage that the named track does not know; UNRESOLVED.

        Without a track the first that resolves the stage is meant; an unknown track
        resolves nothing.
        """
        name = _folded(stage)
        if track is not None:
            if track not in self._tracks:
                return UNRESOLVED
            index = self._tracks[track]
            return index * 32 + self._stages[index].get(name, UNKNOWN_STAGE)
        for index, stages in enumerate(self._stages):
            if name in stages:
                return index * 32 + stages[name]
        return UNRESOLVED


@kept
def resolver_of(rules: RuleSet) -> Resolver:
    """The resolver of a rule set, made once for each of the last few."""
    return Resolver(rules)


def _known_as(track: Track) -> Mapping[str, int]:
    """Names before aliases before labels; among equals the stage listed first."""
    known: dict[str, int] = {}
    for names in (lambda s: (s.name,), lambda s: s.aliases, _labels):
        for index, stage in enumerate(track.stages):
            for name in names(stage):
                known.setdefault(_folded(name), index)
    return known


def _labels(stage: Stage) -> tuple[str, ...]:
    return tuple(stage.label.values())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).strip().casefold())
