"""Progress of long work, on standard error: a bar on a terminal, a line per tenth elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], None]  # done, in all
WORTH_SHOWING = 20_000  # of whatever is counted; less is over before anybody looks


@contextmanager
def progress(what: str, least: int = WORTH_SHOWING) -> Iterator[Report]:
    """A function to call with (done, in all)."""
    if sys.stderr.isatty():
        with _bar(what, least) as report:
            yield report
    else:
        yield _Lines(what, least)


class _Lines:
    """Says so each time another tenth is done."""

    def __init__(self, what: str, least: int) -> None:
        self._what, self._least, self._tenth = what, least, 0

    def __call__(self, done: int, total: int) -> None:
        if total < self._least:
            return
        tenth = 10 * done // total
        if tenth > self._tenth:
            self._tenth = tenth
            print(f"{self._what}: {10 * tenth} %", file=sys.stderr)


@contextmanager
def _bar(what: str, least: int) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None, visible=False)

        def report(done: int, total: int) -> None:
            bars.update(task, completed=done, total=max(total, 1), visible=total >= least)

        yield report
