"""What commands have in common that record what people say by hand: whose hand, and why."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.cli.session import Session, session

if TYPE_CHECKING:
    from engine.by_hand import Hand

Command = TypeVar("Command", bound=Callable[..., Any])


def _why(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("say why in a few words", ctx, param)
    return value


def reason(command: Command) -> Command:
    """`--reason`: whoever says so says why."""
    return click.option(
        "--reason",
        required=True,
        callback=_why,
        help="Why; kept in clear with your name and the time, so name nobody in it.",
    )(command)


@contextmanager
def hand_on(db: str | None, reason: str) -> "Iterator[tuple[Session, Hand]]":
    """A session, and the hand of whoever runs the command."""
    from engine.compiled import leave_plain

    leave_plain()  # nothing is folded
    from engine.by_hand import Hand
    from engine.privacy import IdentifierKey

    with session(db) as opened:
        key = IdentifierKey(opened.settings.identifier_key)
        yield opened, Hand(getpass.getuser(), reason, key, opened.workspace_key)
