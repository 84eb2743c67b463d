"""What can be wrong with a question."""

from collections.abc import Iterable, Sequence

from engine.errors.base import EngineError
from engine.nearest import did_you_mean

CANDIDATES = 5  # listed at most


class UnknownName(EngineError):
    """A name that the rule set, or a report, does not have."""

    code = "unknown_name"
    exit_code = 4

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no {kind} {name!r}; {did_you_mean(name, known)}")


class BadBreakdown(EngineError):
    """What a report was to be broken down by is nothing that leads have."""

    code = "bad_breakdown"
    exit_code = 2

    def __init__(self, problem: str, guessed: str = "") -> None:
        fix = "use one or two of source, channel, owner, month, campaign.NAME and attributes.NAME"
        super().__init__(f"{problem}; {f'{guessed} {fix}'.lstrip()}")


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

    def __init__(self, kind: str, guessed: str = "") -> None:
        fix = (
            "name it by its id as `leadledger leads` lists it, or 6 characters or more of its "
            "beginning, or by an identifier, such as email:an@example.vn or crm_id:hubspot:991"
        )
        super().__init__(f"there is no lead by this {kind}; {f'{guessed} {fix}'.lstrip()}")


class SeveralLeads(EngineError):
    """Something names more than one lead; `leads` are their ids."""

    code = "several_leads"
    exit_code = 4

    def __init__(self, kind: str, leads: Sequence[str]) -> None:
        more = len(leads) - CANDIDATES
        listed = ", ".join(leads[:CANDIDATES]) + (f" and {more} more" if more > 0 else "")
        super().__init__(
            f"there are {len(leads)} leads by this {kind}: {listed}; name one by its id"
        )
        self.leads = list(leads)


class NotYet(EngineError):
    """Nothing of a lead had happened at an instant, as far as was known at a position."""

    code = "not_yet"
    exit_code = 4

    def __init__(self, as_of: str, known_at: int | None = None) -> None:
        if known_at is None:
            told = f"had happened by {as_of}; ask for a later instant with --as-of"
        else:
            told = (
                f"that had happened by {as_of} was known at #{known_at}; ask for a later instant "
                "with --as-of, or a later position with --known-at"
            )
        super().__init__(f"nothing of this lead {told}")


class NoSuchTouchpoint(EngineError):
    """No touchpoint has an id."""

    code = "no_such_touchpoint"
    exit_code = 4

    def __init__(self, source: str, event_id: str) -> None:
        super().__init__(
            f"no touchpoint {source} {event_id} is recorded; name its source and event id as "
            "`leadledger lead history` shows them, or retract it before it comes with --anyway"
        )


class RetractedAlready(EngineError):
    """A touchpoint was retracted before."""

    code = "retracted_already"
    exit_code = 3

    def __init__(self, name: str, at: str, who: str | None, reason: str) -> None:
        by = f" by {who}" if who else ""
        why = f" ({reason})" if reason else ""
        super().__init__(
            f"{name} was retracted at {at}{by}{why} and counts nowhere since; "
            "once is enough, so nothing was recorded"
        )


class RetractionStands(EngineError):
    """A retraction cannot be taken back."""

    code = "retraction_stands"
    exit_code = 3

    def __init__(self, name: str, voided: str) -> None:
        super().__init__(
            f"{name} is a retraction, and to retract it would have no effect; for {voided} "
            "to count again, record what it said under another event id"
        )
