"""Progress of long work, on standard error: a bar on a terminal, a line per tenth elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], None]  # done, in all
WORTH_SHOWING = 20_000  # of whatever is counted; less is over before anybody looks


@contextmanager
def progress(what: str, least: int = WORTH_SHOWING, unit: str = "") -> Iterator[Report]:
    """A function to call with (done, in all); with a unit these are shown, and how fast it goes."""
    if sys.stderr.isatty():
        with _bar(what, least, unit) as report:
            yield report
    else:
        yield _Lines(what, least, unit)


class _Lines:
    """Says so each time another tenth is done."""

    def __init__(self, what: str, least: int, unit: str) -> None:
        self._what, self._least, self._unit, self._tenth = what, least, unit, 0
        self._begun: tuple[float, int] | None = None  # when, and how much was done by then

    def __call__(self, done: int, total: int) -> None:
        if total < self._least:
            return
        self._begun = self._begun or (time.monotonic(), done)
        tenth = 10 * done // total
        if tenth > self._tenth:
            self._tenth = tenth
            print(f"{self._what}: {10 * tenth} %{self._rest(done, total)}", file=sys.stderr)

    def _rest(self, done: int, total: int) -> str:
        if not self._unit or self._begun is None:
            return ""
        when, before = self._begun
        told = f", {done:,} of {total:,} {self._unit}"
        if done == before:
            return told
        rate = (done - before) / max(time.monotonic() - when, 1e-6)
        return f"{told}, {rate:,.0f} a second, {(total - done) / rate:,.0f} s left"


@contextmanager
def _bar(what: str, least: int, unit: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Counts(ProgressColumn):
        """Done, in all, and how many a second."""

        def render(self, task: Task) -> Text:
            rate = "" if task.speed is None else f" {task.speed:,.0f}/s"
            return Text(f"{task.completed:,.0f} of {task.total or 0:,.0f} {unit}{rate}")

    counts = (Counts(),) if unit else ()
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), *counts, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None, visible=False)

        def report(done: int, total: int) -> None:
            bars.update(task, completed=done, total=max(total, 1), visible=total >= least)

        yield report
