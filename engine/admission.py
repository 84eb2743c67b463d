"""Whether a canonical touchpoint may be recorded."""

from engine.catalogue import catalogue
from engine.errors import Refused
from engine.instants import END_OF_TIME, MINUTE_US
from engine.touchpoint import NEVER_FOLDED, STRONG_KINDS, Touchpoint

CLOCK_SKEW_US = 5 * MINUTE_US  # a sender's clock may be so far ahead of ours
LINKS = frozenset(("identity_linked", "identity_unlinked"))
STRONG_IN_A_LINK = 2


def admit(touchpoint: Touchpoint) -> None:
    """Let a touchpoint pass, or refuse it with the first reason that fits.

    Raises:
        Refused: Its type, time, channel, attributes or identifiers are not what they must be.
    """
    known = catalogue()
    if not known.knows_type(touchpoint.type):
        raise Refused("unknown_type", "type is neither in the catalogue nor custom (x_...)")
    if not 0 <= touchpoint.occurred_at < END_OF_TIME:
        raise Refused("time_out_of_range", "occurred_at must lie from 1970 up to 2100")
    if not known.knows_channel(touchpoint.channel):
        raise Refused("unknown_channel", "channel is neither in the catalogue nor custom (x_...)")
    _admit_attributes(touchpoint)
    if not touchpoint.identifiers and touchpoint.type not in NEVER_FOLDED:
        raise Refused("no_identifier", "identifiers name nobody")
    if touchpoint.occurred_at > touchpoint.received_at + CLOCK_SKEW_US:
        raise Refused("time_in_future", "occurred_at is more than 5 minutes after it was received")


def _admit_attributes(touchpoint: Touchpoint) -> None:
    built_in = catalogue().types.get(touchpoint.type)
    if built_in is None:
        return
    for name, attribute in built_in.needs.items():
        if not attribute.fits(touchpoint.attributes.get(name)):
            needed = f"{built_in.name} needs attributes.{name}, a {attribute.type}"
            raise Refused("bad_attribute", needed)
    if touchpoint.type in LINKS:
        strong = sum(one.kind in STRONG_KINDS for one in touchpoint.identifiers)
        if strong != STRONG_IN_A_LINK:
            raise Refused(
                "bad_attribute", f"{built_in.name} needs two strong identifiers, not {strong}"
            )
