"""What all benchmarks share: the machine in one line, and a table of ratios and floors."""

import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One line of a benchmark's table."""

    name: str
    value: str  # with its unit
    ratio: float | None = None
    of: str = ""  # what the ratio is of
    floor: float | None = None  # the ratio must be at least this

    @property
    def holds(self) -> bool | None:
        """Whether the ratio is at or above its floor; None where none was set."""
        return None if self.floor is None or self.ratio is None else self.ratio >= self.floor


class Stopwatch:
    """Seconds on the wall and on the processor, summed over everything measured."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure a block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def machine() -> str:
    """Processor, load, and the versions that matter."""
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def rate(count: int, seconds: float) -> str:
    """How many in a second, and how long one takes."""
    return f"{count / seconds / 1000:,.1f} k/s ({seconds / count * 1e6:.1f} µs)"


def show(title: str, figures: Sequence[Figure], console: Console | None = None) -> bool:
    """Print the table; returns whether every floor holds."""
    table = Table(title=title, caption=machine(), title_justify="left")
    for heading in ("what", "figure", "ratio", "floor", ""):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x {figure.of}".strip()
        floor = "" if figure.floor is None else f"{figure.floor:.2f}x"
        verdict = {None: "", True: "holds", False: "FAILS"}[figure.holds]
        table.add_row(figure.name, figure.value, ratio, floor, verdict)
    (console or Console()).print(table)
    return all(figure.holds is not False for figure in figures)


def _processor() -> str:
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    )
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
