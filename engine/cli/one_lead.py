"""What commands about one lead have in common: which lead, and from where it is looked at."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.cli import output
from engine.cli.options import Position
from engine.cli.rules import ID_DIGITS
from engine.cli.session import Session

if TYPE_CHECKING:
    from engine.reading import View

FEW = 500  # touchpoints that plain Python folds sooner than machine code is loaded


def asked(opened: Session, lead: str, where: Mapping[str, Any]) -> "tuple[int, View]":
    """The number of the lead that is meant as known then, and from where to look.

    Decides how its few touchpoints are folded, so nothing that folds may be loaded before.
    """
    from engine.compiled import leave_plain

    known_at = opened.position(where["known_at"])
    number = found(opened, lead, known_at)
    if opened.facts.touchpoint_count(number) <= FEW:
        leave_plain()
    known = None if known_at is None else Position(known_at)
    return number, opened.view({**where, "known_at": known})


def found(opened: Session, lead: str, known_at: int | None = None) -> int:
    """The number of the lead that is meant, as known at a position."""
    from engine.lead_names import find
    from engine.privacy import IdentifierKey

    key = IdentifierKey(opened.settings.identifier_key)
    return find(opened.facts, lead, key, opened.settings.phone_region, known_at)


def seen_from(view: "View") -> str:
    """From where a lead is looked at, and whose clocks are shown, as titles say it."""
    from engine.instants import format_instant

    known = "" if view.known_at is None else f", as known at #{view.known_at}"
    return f"as of {output.moment(format_instant(view.as_of), view.rules.zone)}{known}"


def rules_of(called: Mapping[str, str]) -> str:
    """A rule set as people tell it from others."""
    return f"{called['name']} {called['id'][:ID_DIGITS]}"


def named(touchpoint: Mapping[str, str]) -> str:
    """A touchpoint by what tells it from all others."""
    return f"{touchpoint['source']} {touchpoint['event_id']}"


def timed(cause: Mapping[str, Any]) -> str:
    """The timed move that a cause is; nothing where it is a touchpoint."""
    return f"{cause['timer']}, move {cause['move']}" if "timer" in cause else ""
