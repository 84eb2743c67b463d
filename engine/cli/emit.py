"""`emit`: touchpoints from standard input to the topic."""

import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.cli.kafka import kafka_settings, topic_option
from engine.cli.options import as_json, database
from engine.cli.progress import progress
from engine.cli.session import session

if TYPE_CHECKING:
    from engine.emit import Emitted, Emitter, Refusal
    from engine.errors import EngineError

REFUSED, AWAY, INTERRUPTED = 3, 7, 130  # exit codes
PATIENCE_S = 60.0  # with the broker, for the last acknowledgements
HASTE_S = 5.0  # the same once there is no more hope, or somebody wants us to stop
LOOK_EVERY_S = 0.5
READ_BYTES = 1 << 16
BYTES_WORTH_SHOWING, ROWS_WORTH_TELLING = 4 << 20, 100_000


@click.command("emit", short_help="Send touchpoints from standard input to Kafka.")
@topic_option
@click.option(
    "--spool",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="LEADLEDGER_SPOOL",
    show_envvar=True,
    help="A folder for what cannot be sent while Kafka is away; the next run sends it.",
)
@database
@as_json
def emit_command(topic: str | None, spool: Path | None, db: str | None, as_json: bool) -> None:
    """Send touchpoints, a JSON object a line as in docs/formats.md, to the topic.

    Each is made canonical, sealed and acknowledged by all replicas. Rows that cannot be
    accepted are named on standard error with the reason (exit code 3). Where Kafka is
    away, what was read waits in the spool, or is named (exit code 7). To send the same
    again does no harm. Ctrl-C ends it in order.

    \b
        $ leadledger emit < touchpoints.jsonl
        $ tail -F web.jsonl | leadledger emit --spool /var/spool/leadledger
    """
    kafka = kafka_settings(topic)
    from engine.emit import Emitter
    from engine.kafka import topics

    if spool is None:
        topics.shape(kafka)  # without one there is no point in reading what cannot go out
    with session(db, create=True) as opened, _Stop() as stop:
        emitter = Emitter(opened.edge, kafka, spool, _tell_refusal)
        failure = _run(emitter, stop)
        counts = emitter.counts
    _show(counts, emitter, as_json)
    if stop.asked:
        output.note(f"stopped: what comes after row {counts.received:,} was not read")
        raise SystemExit(INTERRUPTED)
    if failure is not None:
        raise failure
    raise SystemExit(AWAY if counts.spooled else REFUSED if counts.refused else 0)


class _Stop:
    """Ctrl-C and SIGTERM: what was read is seen through; the second time, nothing is."""

    def __init__(self) -> None:
        self.asked = False
        self._reading = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Stop":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def chunks(self, source: IO[bytes]) -> Iterator[bytes]:
        """What comes, as it comes, until it ends or somebody asks."""
        read = getattr(source, "read1", source.read)
        try:
            while not self.asked:
                self._reading = True
                data = read(READ_BYTES)
                self._reading = False
                if not data:
                    return
                yield data
        except _StopReading:
            return

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._reading:
            self._reading = False
            raise _StopReading


class _StopReading(Exception):
    """Leaves a read that may never return."""


def _run(emitter: "Emitter", stop: _Stop) -> "EngineError | None":
    """Emit what comes and see it through; the error that ended it early."""
    from engine.errors import EngineError, NotAcknowledged

    failure: EngineError | None = None
    try:
        with progress("Emitting", BYTES_WORTH_SHOWING) as report:
            _pump(emitter, stop, report)
        _see_through(emitter, stop)
    except EngineError as error:
        failure = error
    try:
        emitter.close(HASTE_S)
    except NotAcknowledged as error:
        failure = failure or error
    return failure


def _pump(emitter: "Emitter", stop: _Stop, report: Callable[[int, int], None]) -> None:
    source = sys.stdin.buffer
    size, done, told = _size(source), 0, 0
    for lines, read in _lines(stop.chunks(source), stop):
        emitter.emit(lines)
        done += read
        if size:
            report(min(done, size), size)
        elif (rows := emitter.counts.received) >= told + ROWS_WORTH_TELLING:
            told = rows
            output.note(f"{rows:,} rows read, {emitter.counts.sent:,} acknowledged")


def _lines(chunks: Iterator[bytes], stop: _Stop) -> Iterator[tuple[list[bytes], int]]:
    """Lines as soon as they are whole, but the blank ones, and how many bytes were read.

    Of one that is too long to be taken only so much comes as shows it.
    """
    from engine.strict_json import MAX_LINE

    rest, passing_over = b"", False
    for chunk in chunks:
        head, *tail = chunk.split(b"\n")
        rest += b"" if passing_over else head
        lines = []
        if tail:
            lines = [rest, *tail[:-1]]
            rest, passing_over = tail[-1], False
        if len(rest) > MAX_LINE:
            lines.append(rest)
            rest, passing_over = b"", True
        yield [line for line in lines if line.strip()], len(chunk)
    if rest.strip() and not stop.asked:  # else it may be half a line
        yield [rest], 0


def _see_through(emitter: "Emitter", stop: _Stop) -> None:
    """Wait for acknowledgements as long as there are some, or all that is left is on disk."""
    acknowledged, patient_until = -1, 0.0
    while not stop.asked and not emitter.drain(LOOK_EVERY_S):
        counts = emitter.counts
        if emitter.problem is not None and not counts.waiting:
            return
        if counts.sent > acknowledged:
            acknowledged, patient_until = counts.sent, time.monotonic() + PATIENCE_S
        elif time.monotonic() > patient_until:
            return


def _size(source: IO[bytes]) -> int:
    """The bytes of a file; 0 of a pipe or a terminal, where nobody knows."""
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _tell_refusal(refusal: "Refusal") -> None:
    output.note(output.plain(f"row {refusal.number:,}: {refusal.reason}: {refusal.detail}"))


def _show(counts: "Emitted", emitter: "Emitter", as_json: bool) -> None:
    first = emitter.outstanding
    if as_json:
        names = ("received", "refused", "sent", "spooled", "waiting")
        document = {name: getattr(counts, name) for name in names}
        output.emit({**document, "first_waiting": first})
        return
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(counts.refused.items()))
    refused = f"{sum(counts.refused.values()):,} refused" + (f" ({reasons})" if reasons else "")
    click.echo(f"{counts.received:,} rows: {counts.sent:,} acknowledged, {refused}")
    if counts.spooled:
        why = f" ({emitter.problem})" if emitter.problem else ""
        click.echo(f"{counts.spooled:,} wait in the spool; the next run sends them{why}")
    if first is not None:
        click.echo(f"{counts.waiting:,} are not acknowledged: send again from row {first:,} on")
