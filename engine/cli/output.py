"""How commands print: JSON for machines, tables and bars for people."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

BAR = 18  # characters
WIDTH = 120  # where the output is no terminal


def emit(document: Any) -> None:
    """One JSON document on a line."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
    sys.stdout.buffer.flush()


def emit_lines(documents: Iterable[Any]) -> None:
    """JSON Lines."""
    import msgspec

    encoder = msgspec.json.Encoder()
    for document in documents:
        sys.stdout.buffer.write(encoder.encode(document) + b"\n")
    sys.stdout.buffer.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """A table; the first `left` columns are words, the others figures."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        bars = BAR if not column else None
        drawn.add_column(
            Text(column), justify="left" if index < left else "right", min_width=bars, no_wrap=True
        )
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width, highlight=False).print(drawn)


def bar(part: float, whole: float) -> str:
    """A bar as long as the part of the whole; what is not nothing is at least a sliver."""
    eighths = round(8 * BAR * part / whole) if whole else 0
    if part and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + "".join(["", *"▏▎▍▌▋▊▉"][eighths % 8])


def percent(rate: float | None) -> str:
    """A rate for people; a dash where there is none."""
    return "–" if rate is None else f"{100 * rate:.1f} %"


def days(figure: float | None) -> str:
    """Microseconds as days for people."""
    return "–" if figure is None else f"{figure / 86_400_000_000:.1f} d"


def count(figure: int | None) -> str:
    """A number with its thousands apart."""
    return "–" if figure is None else f"{figure:,}"


def money(amounts: dict[str, int] | None) -> str:
    """Amounts by currency, a line each, in the major unit and rounded for reading."""
    some = {currency: minor for currency, minor in (amounts or {}).items() if minor}
    return (
        "\n".join(f"{_major(minor, currency)} {currency}" for currency, minor in some.items())
        or "–"
    )


def moment(instant: str) -> str:
    """An instant of a document, to the minute."""
    return f"{instant[:10]} {instant[11:16]} UTC"


def _major(minor: int, currency: str) -> str:
    from engine.catalogue import currencies

    amount = minor / 10 ** currencies()[currency]
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(amount) >= size:
            return f"{amount / size:,.2f}{unit}"
    return f"{amount:,.2f}"


def words(label: dict[str, str], name: str, language: str) -> str:
    """The label in a language, else in English, else the name."""
    return label.get(language) or label.get("en") or name


def note(text: str) -> None:
    """Something to know beside the result."""
    click.echo(text, err=True)
