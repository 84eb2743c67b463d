"""What can be wrong with who is to be one person, or two."""

from collections.abc import Sequence

from engine.errors.base import EngineError

_STRONG = "an address, a number or an id"


class Anonymous(EngineError):
    """A lead that nothing strong names can be linked with nobody."""

    code = "anonymous"
    exit_code = 3

    def __init__(self, lead: str, kind: str) -> None:
        super().__init__(
            f"the lead {lead} is known by its {kind} alone, which links cannot name; "
            f"wait until it gives {_STRONG}, or record a touchpoint of type identified "
            f"that names its {kind} beside one of these"
        )


class NotUnlinkable(EngineError):
    """A cookie or click is nobody's for good, so no unlink can be about it."""

    code = "not_unlinkable"
    exit_code = 3

    def __init__(self, identifier: str) -> None:
        super().__init__(
            f"{identifier} joins nobody, and no unlink can name it; to part it from a lead, "
            "retract the touchpoint that it came by, which `leadledger lead identity` names"
        )


class TooCommon(EngineError):
    """What a lead goes by stands for many people, so that a link with it joins nothing."""

    code = "too_common"
    exit_code = 3

    def __init__(self, lead: str, kind: str, crowd: tuple[str, int], limit: int) -> None:
        super().__init__(
            f"the lead {lead} goes by its {kind} alone, and that stands beside {crowd[1]:,} "
            f"identifiers of kind {crowd[0]}: with more than {limit} it is too common to join "
            "anybody; name the person by another identifier, or raise LEADLEDGER_TOO_COMMON"
        )


class OneAlready(EngineError):
    """Two names of one lead cannot be merged."""

    code = "one_already"
    exit_code = 3

    def __init__(self, lead: str) -> None:
        super().__init__(
            f"both names are of the lead {lead}, so there is nothing to merge; "
            "`leadledger lead identity` shows what joins them"
        )


class TwoAlready(EngineError):
    """Identifiers of two leads cannot be taken apart any more."""

    code = "two_already"
    exit_code = 3

    def __init__(self, leads: Sequence[str]) -> None:
        super().__init__(
            f"these are two leads already, {' and '.join(leads)}, so there is nothing to unmerge; "
            "name two identifiers of one lead"
        )


class SameIdentifier(EngineError):
    """An identifier cannot be taken apart from itself."""

    code = "same_identifier"
    exit_code = 3

    def __init__(self, identifier: str) -> None:
        super().__init__(
            f"both names are of {identifier}; name two identifiers of one lead, "
            "as `leadledger lead identity` lists them"
        )


class Overruled(EngineError):
    """A link was recorded, and something that happened later says otherwise."""

    code = "overruled"
    exit_code = 3

    def __init__(self, link: str, unlink: str, at: str) -> None:
        super().__init__(
            f"{link} is recorded, but the last word is that of {unlink}, which happened at {at} "
            "and unlinks the two; merge them again after that instant, or retract it"
        )


class NotKnown(EngineError):
    """Nothing of a lead was known at a position."""

    code = "not_known"
    exit_code = 4

    def __init__(self, position: int) -> None:
        super().__init__(
            f"nothing that counts was known of this lead at position {position}; "
            "ask for a later position or instant with --known-at"
        )
