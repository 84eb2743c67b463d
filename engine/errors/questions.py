"""What can be wrong with a question."""

from collections.abc import Iterable

from engine.errors.base import EngineError


class UnknownName(EngineError):
    """A name that the rule set, or a report, does not have."""

    code = "unknown_name"
    exit_code = 4

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"there is no {kind} {name!r} (known: {listed}); use one of these")


class BadBreakdown(EngineError):
    """What a report was to be broken down by is nothing that leads have."""

    code = "bad_breakdown"
    exit_code = 2

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem}; use one or two of source, channel, owner, month, "
            "campaign.NAME and attributes.NAME"
        )


class NotObservable(EngineError):
    """A figure that a funnel without a time limit does not have."""

    code = "not_observable"
    exit_code = 2

    def __init__(self, funnel: str, kind: str) -> None:
        super().__init__(
            f"nobody in the funnel {funnel!r} can be known to be {kind}, since it limits no time; "
            "give it a window, or a step a within, or ask who reached a step"
        )


class NoSuchLead(EngineError):
    """Nobody is called so."""

    code = "no_such_lead"
    exit_code = 4

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"there is no lead by this {kind}; name it by its id as `leadledger leads` lists it, "
            "or by its primary identifier, such as email:an@example.vn or crm_id:hubspot:991"
        )


class NotYet(EngineError):
    """Nothing of a lead had happened at an instant."""

    code = "not_yet"
    exit_code = 4

    def __init__(self, as_of: str) -> None:
        super().__init__(
            f"nothing of this lead had happened by {as_of}; ask for a later instant with --as-of"
        )
