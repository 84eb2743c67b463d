"""How commands print: JSON for machines, tables and bars for people."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from unicodedata import category

import click

BAR = 18  # characters
SHORT_BAR, SHORTEST_BAR = 6, 3  # where there is little room, and next to none
EIGHTHS: tuple[str, ...] = ("", *"▏▎▍▌▋▊▉")
WIDE, TIGHT = 3, 2  # characters between columns
COMMANDING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's categories
HARMLESS = "\n\u200c\u200d"  # line ends of cells, and joiners within words
FOLDED, FIRST_FOLDED = 8, 12  # how narrow words may get; the first column names its row


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


def plain(text: str) -> str:
    """A text with what would speak to the terminal, or turn the line about, written as escapes."""
    return "".join(
        letter if letter in HARMLESS or category(letter) not in COMMANDING else _escaped(letter)
        for letter in text
    )


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """A table; the first `left` columns are words, the others figures, an unnamed one bars.

    On a terminal that is too narrow headings break, bars shrink and words wrap; nothing is cut off.
    """
    from rich.console import Console
    from rich.text import Text

    columns = [plain(column) for column in columns]
    body = [tuple(map(plain, row)) for row in rows]
    room = Console().width if sys.stdout.isatty() else None
    widths, gap = _fit(columns, body, left, room)
    console = Console(width=_total(widths, gap), highlight=False)
    with console.capture() as captured:  # printing by itself it would exit when its reader has gone
        if title:
            console.print(Text(plain(title), "italic"), soft_wrap=True)
        console.print(_drawn(columns, body, left, widths, gap))
    click.echo("".join(f"{line.rstrip()}\n" for line in captured.get().split("\n")[:-1]), nl=False)


def _drawn(
    columns: Sequence[str], body: Sequence[Sequence[str]], left: int, widths: list[int], gap: int
) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, gap - 2))
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        justify: Literal["left", "right"] = "left" if index < left else "right"
        drawn.add_column(Text(column), justify=justify, width=width, overflow="fold")
    for row in body:
        cells = zip(columns, row, widths, strict=True)
        drawn.add_row(*(Text(cell if name else _shorter(cell, wide)) for name, cell, wide in cells))
    return drawn


def _fit(
    columns: Sequence[str], body: Sequence[Sequence[str]], left: int, room: int | None
) -> tuple[list[int], int]:
    """How wide each column is, and how far they lie apart."""
    cells = [[row[index] for row in body] for index in range(len(columns))]
    heads = [_width(head.split()) for head in columns]  # broken at spaces
    bars = [index for index, head in enumerate(columns) if not head]
    words = [index for index in range(left) if index not in bars]
    natural = [BAR if i in bars else _width([columns[i], *cells[i]]) for i in range(len(columns))]
    if room is None or _total(natural, WIDE) <= room:
        return natural, WIDE
    widths = [BAR if i in bars else max(heads[i], _width(cells[i])) for i in range(len(columns))]
    whole = [
        max(heads[i], _width(word for text in cells[i] for word in text.split())) for i in words
    ]
    for narrower in (
        dict.fromkeys(bars, SHORT_BAR),
        dict(zip(words, whole, strict=True)),
        dict.fromkeys(bars, SHORTEST_BAR),
        dict.fromkeys(words[1:], FOLDED),
        dict.fromkeys(words[:1], FIRST_FOLDED),
    ):
        _shrink(widths, narrower, room)
    return widths, TIGHT


def _shrink(widths: list[int], floors: Mapping[int, int], room: int) -> None:
    """Take from the column with most above its floor, until all fit or none has any."""
    while _total(widths, TIGHT) > room:
        spare = {index: widths[index] - floor for index, floor in floors.items()}
        widest = max(spare, key=spare.__getitem__, default=None)
        if widest is None or spare[widest] <= 0:
            return
        widths[widest] -= 1


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * len(widths) + 1


def _width(texts: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max((cell_len(line) for text in texts for line in text.split("\n")), default=0)


def bar(part: float, whole: float) -> str:
    """A bar as long as the part of the whole; what is not nothing is at least a sliver."""
    eighths = round(8 * BAR * part / whole) if whole else 0
    return _blocks(max(eighths, 1) if part else 0)


def _blocks(eighths: int) -> str:
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8]


def _shorter(drawn: str, width: int) -> str:
    """The same bar where a whole one is so wide."""
    if width == BAR or not drawn:
        return drawn
    eighths = 8 * drawn.count("█") + sum(map(EIGHTHS.index, drawn.strip("█")))
    return _blocks(max(round(eighths * width / BAR), 1))


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


def clock(instant: str, zone: str) -> str:
    """An instant of a document as clocks in a zone show it; in UTC, and with Z, where none do."""
    from engine.instants import on_clocks, parse_instant

    shown = on_clocks(parse_instant(instant), zone)
    if shown is None:
        return f"{instant[:10]} {instant[11:19]}Z"
    return shown.replace(tzinfo=None).isoformat(" ", "seconds")


def moment(instant: str, zone: str) -> str:
    """An instant of a document, to the minute, with the zone that all clocks beside it show."""
    shown = clock(instant, zone)
    return f"{shown[:16]} {'UTC' if shown.endswith('Z') else zone}"


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
