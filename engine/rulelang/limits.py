"""What only shows when all tables are read: sums over the file, and cycles of timed moves."""

from collections.abc import Iterator

from engine.rulelang.reader import Path
from engine.ruleset import Move, Score, Track, When

MAX_EARNS = 64
MAX_WINDOWED = 64
Finding = tuple[Path, str]


def findings(scores: tuple[Score, ...], tracks: tuple[Track, ...]) -> Iterator[Finding]:
    """Every fault of this kind; indexes are those of the file where nothing else is wrong."""
    yield from too_many_earns(scores)
    yield from too_many_windowed(tracks)
    yield from cycles(tracks)


def too_many_earns(scores: tuple[Score, ...]) -> Iterator[Finding]:
    """The first earning rule over the limit, counted over all scores."""
    total = sum(len(score.earns) for score in scores)
    room = MAX_EARNS
    for index, score in enumerate(scores):
        if len(score.earns) > room:
            message = f"the file has {total} earning rules, at most {MAX_EARNS} go"
            yield ("score", index, "earn", room), message
            return
        room -= len(score.earns)


def too_many_windowed(tracks: tuple[Track, ...]) -> Iterator[Finding]:
    """The first windowed count with which `at_least` adds up to too much, over all tracks."""
    total = 0
    for index, number, when in _conditions(tracks):
        if when.count and when.count.within_us is not None:
            total += when.count.at_least
            if total > MAX_WINDOWED:
                message = f"windowed counts add up to {total} by here, at most {MAX_WINDOWED} go"
                yield ("track", index, "move", number, "when", "count", "at_least"), message
                return


def _conditions(tracks: tuple[Track, ...]) -> Iterator[tuple[int, int, When]]:
    for index, track in enumerate(tracks):
        for number, move in enumerate(track.moves):
            if move.when:
                yield index, number, move.when


def cycles(tracks: tuple[Track, ...]) -> Iterator[Finding]:
    """Each timed move that closes a cycle of timed moves on its track."""
    for index, track in enumerate(tracks):
        onward: dict[str, set[str]] = {}
        for number, move in enumerate(track.moves):
            closed = [stage for stage in _sources(move) if _leads(move.to, stage, onward)]
            if closed:
                way = f"{closed[0]} to {move.to} and, in the end, back to {closed[0]}"
                message = f"timed moves go round in a circle: from {way}"
                yield ("track", index, "move", number), message
            for stage in set(_sources(move)) - set(closed):
                onward.setdefault(stage, set()).add(move.to)


def _sources(move: Move) -> tuple[str, ...]:
    timed = move.timer is not None
    return tuple(stage for stage in move.sources if timed and stage != move.to)


def _leads(start: str, end: str, onward: dict[str, set[str]]) -> bool:
    reached, ahead = {start}, [start]
    while ahead:
        for stage in onward.get(ahead.pop(), set()) - reached:
            reached.add(stage)
            ahead.append(stage)
    return end in reached
