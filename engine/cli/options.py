"""Options that commands share, and the types of their values."""

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

import click

MANY_DIGITS = 20  # more than any instant has
POSITION_DIGITS = 15  # at most; microseconds have had more since 2001
Command = TypeVar("Command", bound=Callable[..., Any])


class Instant(click.ParamType["int | date"]):
    """RFC 3339 with an offset, a date, or integer microseconds since 1970 UTC."""

    name = "instant|date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "int | date":
        """Microseconds, UTC; of a date the day, which begins when the rules' zone says."""
        from engine.errors import BadInstant
        from engine.instants import format_instant, parse_date, parse_instant

        if isinstance(value, int | date):
            return value  # converted already
        digits = value.isascii() and value.removeprefix("-").isdigit() and len(value) < MANY_DIGITS
        try:
            if day := parse_date(value):
                return day
            at = int(value) if digits else parse_instant(value)
            format_instant(at)  # an instant that no calendar has is refused here
            return at
        except BadInstant as error:
            self.fail(f"{error}, or a date like 2026-03-01", param, ctx)


class Position(int):
    """How many touchpoints were recorded by then, where another integer is an instant."""


class KnownAt(click.ParamType["Position | int | date"]):
    """A position, or when it was the last: an instant or a date."""

    name = "position|instant|date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Position | int | date":
        """A position, microseconds, UTC, or a day."""
        if isinstance(value, int | date):
            return value  # converted already
        digits = value.removeprefix("#")
        if digits.isascii() and digits.isdigit() and len(digits) <= POSITION_DIGITS:
            return Position(digits)
        if value.startswith(("#", "-")):
            self.fail(f"'{value}' is no position: they count from #0 on", param, ctx)
        try:
            return Instant().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message}, or a position like #4711", param, ctx)


def database(command: Command) -> Command:
    """`--db`: which database."""
    return click.option(
        "--db",
        metavar="URL",
        help="The database: sqlite:///FILE, a path, or postgresql://USER@HOST/DATABASE.  "
        "[env: LEADLEDGER_DATABASE_URL; "
        "default: a file in your data folder, which `leadledger doctor` names]",
    )(command)


def metrics_port(command: Command) -> Command:
    """`--metrics-port`: where a process that runs long shows its metrics."""
    return click.option(
        "--metrics-port",
        type=click.IntRange(0, 65_535),
        metavar="PORT",
        help="Show metrics to Prometheus on this port; 0 takes a free one.  "
        "[env: LEADLEDGER_METRICS_PORT, and LEADLEDGER_METRICS_HOST for the address; "
        "default: none, on 127.0.0.1]",
    )(command)


def as_json(command: Command) -> Command:
    """`--json`: for machines."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on standard output."
    )(command)


def reading(command: Command) -> Command:
    """What every command that reads state takes."""
    rules = click.option(
        "--rules",
        metavar="FILE|NAME|ID",
        envvar="LEADLEDGER_RULES",
        help="Judge all of history by these rules: a file, one that ships (`leadledger rules "
        "list`), or a published one (`leadledger rules log`).  "
        "[env: LEADLEDGER_RULES; default: the rule book]",
    )
    as_of = click.option(
        "--as-of",
        type=Instant(),
        help="The state at this instant, past or future, such as 2026-03-01T08:00:00+07:00; "
        "a date means where that day begins in the rules' time zone.  [default: now]",
    )
    return database(rules(as_of(known_at(command))))


def known_at(command: Command) -> Command:
    """`--known-at`: what was not recorded by then is left out."""
    return click.option(
        "--known-at",
        type=KnownAt(),
        help="Only what was recorded up to this position, such as '#4711', or up to this instant, "
        "such as 2026-03-01T08:00:00+07:00; "
        "a date means where that day begins in the rules' time zone.  [default: all]",
    )(command)


def breakdown(command: Command) -> Command:
    """`--by`, once or twice, and how many values of each."""
    by = click.option(
        "--by",
        multiple=True,
        metavar="DIMENSION",
        help="Break down by source, channel, owner, month, campaign.NAME or attributes.NAME; "
        "twice for both together.",
    )
    top = click.option(
        "--top",
        type=click.IntRange(min=1),
        default=50,
        show_default=True,
        metavar="N",
        help="Values of each dimension shown; the rest is (other).",
    )
    return by(top(command))


def limit(command: Command) -> Command:
    """`--limit`: of a list."""
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=50,
        show_default=True,
        metavar="N",
        help="List so many at most.",
    )(command)


def language(command: Command) -> Command:
    """`--lang`: of labels."""
    return click.option(
        "--lang",
        type=click.Choice(("en", "vi", "th")),
        default="en",
        envvar="LEADLEDGER_LANG",
        show_default=True,
        show_envvar=True,
        help="The language of labels in tables.",
    )(command)
