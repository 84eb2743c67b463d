"""The announcer that stays: it tells what comes about until it is told to stop, and has it sent.

One process announces at a time, others stand by. It sleeps until something is recorded or the
next instant comes at which something is due.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from engine import metrics
from engine.announcement import KINDS
from engine.announcements import Announcer, Begun
from engine.errors import AnnouncerBusy, SinkAway
from engine.instants import format_instant
from engine.projections.follower import (
    LONGEST_S,
    PASSING,
    SHORTEST_S,
    STANDBY_S,
    Patience,
    Stopped,
    pause,
)
from engine.projections.turns import FOLLOWING, FileTurns, Turns
from engine.sinks.sending import MakeSink, OpenFacts, send_some, sending
from engine.store import announcements as ledger
from engine.store.announcements import Stand
from engine.store.facts import Facts, file_of, is_server

SECOND_US = 1_000_000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Office:
    """Over which facts it is announced, and to whom."""

    url: str  # of the facts
    name: str  # that they are shown by
    open_facts: OpenFacts
    soon_us: int | None = None  # before a clock's time is up
    sinks: Sequence[MakeSink] = ()

    def turns(self) -> Turns:
        """By which one process announces at a time."""
        if not is_server(self.url):
            return FileTurns(file_of(self.url))
        from engine.projections.postgres_turns import PostgresTurns  # its driver takes a while

        return PostgresTurns(self.url, "facts")


class Once(NamedTuple):
    """What telling all that there was came to."""

    begun: Begun | None  # where it began by that
    kinds: Counter[str]  # told, by kind
    stand: Stand
    problems: list[SinkAway]  # what is wrong with sinks


def announce(office: Office, stopping: Callable[[], bool]) -> None:
    """Announce until `stopping()`; the step that is open is finished.

    What passes, such as a database that is away, is waited for; whatever else is wrong ends it.

    Raises:
        StoreReadOnly, StoreCorrupt, BadSetting: See there.
    """

    def stop_between(done: int, total: int) -> None:
        if done < total and stopping():
            raise Stopped

    patience, standing_by = Patience(stopping, "announce"), False
    while not stopping():
        try:
            with office.open_facts() as facts, closing(office.turns()) as turns:
                while not stopping():
                    with turns.take(FOLLOWING, wait=False) as taken:
                        if taken:
                            announcer = Announcer(facts, office.soon_us, stop_between)
                            _stay(office, facts, announcer, turns, stopping, patience)
                        elif not standing_by:
                            log.info("another process announces for %s: standing by", facts.name)
                        standing_by = not taken
                    pause(STANDBY_S, stopping)
        except Stopped:
            return
        except PASSING as error:
            patience.wait(error)


def _stay(
    office: Office,
    facts: Facts,
    announcer: Announcer,
    turns: Turns,
    stopping: Callable[[], bool],
    patience: Patience,
) -> None:
    """Step on and on, and rest while there is nothing to do."""
    log.info("announcing for %s", facts.name)
    metrics.told(dict.fromkeys(KINDS, 0))
    begun, pause_s = announcer.begin(), SHORTEST_S
    if begun is not None:
        log.info("%s", said(begun))
    announcer.load_code()
    with sending(office.sinks, office.open_facts) as tell:
        while not stopping():
            told = announcer.step()
            metrics.database_up(True)
            patience.reset()
            tell(told is not None and bool(told.kinds))
            pause_s = SHORTEST_S if told is not None else min(2 * pause_s, LONGEST_S)
            turns.rest(min(pause_s, _until(announcer.next_at, facts.clock())))


def _until(at: int | None, now: int) -> float:
    """Seconds until an instant, 0 where it has come; long where there is none."""
    return LONGEST_S if at is None else max(0, at - now) / SECOND_US


def begin_with_everything(office: Office, announcer: Announcer) -> Begun:
    """Let announcing begin at the first position.

    Raises:
        AnnouncerBusy: Another process announces.
        AnnouncedAlready: Something is told.
    """
    with _alone(office):
        begun = announcer.begin(from_beginning=True)
        assert begun is not None, "it begins again"
        return begun


def announce_once(office: Office, announcer: Announcer) -> Once:
    """Tell all that there is to tell now, and have it sent.

    Raises:
        AnnouncerBusy: Another process announces.
    """
    with _alone(office), office.open_facts() as facts:
        begun, kinds = announcer.begin(), Counter[str]()
        while (told := announcer.step()) is not None:
            kinds += told.kinds
        problems = [_sent(facts, make) for make in office.sinks]
        with facts.snapshot() as connection:
            stand = ledger.stand(connection)
        assert stand is not None, "it has begun"
        return Once(begun, kinds, stand, [one for one in problems if one is not None])


@contextmanager
def _alone(office: Office) -> Iterator[None]:
    with closing(office.turns()) as turns, turns.take(FOLLOWING, wait=False) as taken:
        if not taken:
            raise AnnouncerBusy(office.name)
        yield


def _sent(facts: Facts, make: MakeSink) -> SinkAway | None:
    """Send to a sink what it has not taken yet; what is wrong with it."""
    with closing(make()) as sink:
        try:
            while send_some(facts, sink):
                pass
        except SinkAway as error:
            return error
    return None


def said(begun: Begun) -> str:
    """Where announcing begins, in words."""
    stages = ", ".join(f"{count:,} in {stage}" for stage, count in begun.stages.most_common())
    what = f"announcing begins at position {begun.stand.position:,}"
    if not begun.stand.position:
        return f"{what}: all that came about is told"
    at = format_instant(begun.stand.settled_to)
    return f"{what}, as of {at}, and tells nothing of what came before ({stages or 'no leads'})"
