"""Readers of names that stand for something defined elsewhere in the file."""

from engine.nearest import did_you_mean
from engine.rulelang.reader import Node, Reader, Table, shown
from engine.rulelang.values import points, text


def signal(node: Node) -> str:
    """The name of a signal of the file."""
    return _reference(node, "signal", node.reading.names.signals)


def score(node: Node) -> str:
    """The name of a score of the file."""
    return _reference(node, "score", node.reading.names.scores)


def calendar(node: Node) -> str:
    """The name of a calendar of the file."""
    return _reference(node, "calendar", node.reading.names.calendars)


def stage_of(stages: tuple[str, ...], *more: str) -> Reader[str]:
    """The reader of a stage of one track, or of one of the words besides."""

    def reader(node: Node) -> str:
        return _reference(node, "stage of this track", (*stages, *more))

    return reader


def _reference(node: Node, kind: str, known: tuple[str, ...]) -> str:
    if text(node) not in known:
        hint = did_you_mean(node.data, known)
        raise node.wrong(f"no {kind} is called {shown(node.data)}; {hint}")
    return text(node)


def place(node: Node) -> str:
    """`track.stage`, or `track.none`."""
    return _place(node, len(node.reading.names.tracks), "none")


def earlier_place(tracks: int) -> Reader[str]:
    """The reader of a place on one of the first so many tracks."""

    def reader(node: Node) -> str:
        return _place(node, tracks, "none")

    return reader


def entry(node: Node) -> str:
    """`track.stage`: what a lead can enter."""
    return _place(node, len(node.reading.names.tracks))


def _place(node: Node, tracks: int, *more: str) -> str:
    track, dot, stage = text(node).partition(".")
    known = dict(node.reading.names.tracks)
    if not dot:
        raise node.wrong(f"{shown(node.data)} is no place: write it as track.stage")
    if track not in known:
        raise node.wrong(f"no track is called {shown(track)}; {did_you_mean(track, known)}")
    if track not in dict(node.reading.names.tracks[:tracks]):
        raise node.wrong(f"track {shown(track)} is not listed earlier than this one")
    options = (*known[track], *more)
    if stage not in options:
        raise node.wrong(f"{track} has no stage {shown(stage)}; {did_you_mean(stage, options)}")
    return text(node)


def bounds(opened: Table) -> tuple[str | None, int | None, int | None]:
    """`score` with `at_least`, `below` or both: the score, and the bounds in micro-points."""
    asked = opened.take("score", score, None)
    at_least = opened.take("at_least", points, None)
    below = opened.take("below", points, None)
    opened.only_with("at_least", "score")
    opened.only_with("below", "score")
    if "score" in opened and "at_least" not in opened and "below" not in opened:
        opened.fault("needs `at_least`, `below` or both", "score")
    return asked, at_least, below
