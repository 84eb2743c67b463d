"""Who is who: every question answered by looking through all that is known.

An identifier is (precedence, digest), as on a `Touch`. A lead is named by the
identifiers that it is: a component of strong ones, or one weak one alone.
"""

from functools import cached_property

from tests.naive.touchpoints import LINKS, PRECEDENCE, STRONG, Identifier, Touch, folded, retracted

Who = frozenset[Identifier]

TOO_COMMON = 10  # different identifiers of one strong kind that one identifier may appear with
ANONYMOUS_ID, CLICK_ID = PRECEDENCE.index("anonymous_id"), PRECEDENCE.index("click_id")


def is_strong(who: Identifier) -> bool:
    return who[0] < len(STRONG)


def strong(touch: Touch) -> list[Identifier]:
    """The strong identifiers of a touchpoint, by precedence, then by digest."""
    return [who for who in touch.identifiers if is_strong(who)]


def weak(touch: Touch, kind: int) -> list[Identifier]:
    """The weak identifiers of one kind of a touchpoint, by digest."""
    return [who for who in touch.identifiers if who[0] == kind]


class Identity:
    """What is known of who is who; `known` are accepted touchpoints in order of arrival."""

    def __init__(self, known: list[Touch], limit: int = TOO_COMMON) -> None:
        self.known, self.limit = known, limit
        self.folded = folded(known)
        void = retracted(known)
        facts = [touch for touch in known if touch.type in LINKS and touch.id not in void]
        self.facts = sorted(facts, key=lambda touch: touch.happening_order)

    # Evidence

    @cached_property
    def strong(self) -> list[Identifier]:
        """Every strong identifier that a folded touchpoint, a link or an unlink names."""
        return sorted({who for touch in (*self.folded, *self.facts) for who in strong(touch)})

    def facts_about(self, one: Identifier, other: Identifier) -> list[Touch]:
        """The links and unlinks of a pair, in happening order."""
        return [fact for fact in self.facts if {one, other} <= set(fact.identifiers)]

    def unlinked(self, one: Identifier, other: Identifier) -> bool:
        """Whether the last explicit fact about a pair says that the two are not one."""
        facts = self.facts_about(one, other)
        return bool(facts) and facts[-1].type == "identity_unlinked"

    def evidence(self, one: Identifier, other: Identifier) -> list[Touch]:
        """What joins two strong identifiers directly, in happening order; nothing if void."""
        if one == other or not {one, other}.isdisjoint(self.too_common):
            return []
        if self.unlinked(one, other):
            return []
        together = [touch for touch in self.folded if {one, other} <= set(touch.identifiers)]
        links = [fact for fact in self.facts_about(one, other) if fact.type == "identity_linked"]
        return sorted(together + links, key=lambda touch: touch.happening_order)

    # Too common

    def company(self, who: Identifier, kind: int) -> set[Identifier]:
        """The other identifiers of one kind that an identifier appears with."""
        return {
            other
            for touch in self.folded
            if who in touch.identifiers
            for other in touch.identifiers
            if other[0] == kind and other != who
        }

    @cached_property
    def too_common(self) -> set[Identifier]:
        return {
            who
            for who in self.strong
            if any(len(self.company(who, kind)) > self.limit for kind in range(len(STRONG)))
        }

    # Components

    @cached_property
    def joined(self) -> dict[Identifier, set[Identifier]]:
        """For each strong identifier the others that it is joined with directly."""
        return {
            one: {other for other in self.strong if self.evidence(one, other)}
            for one in self.strong
        }

    def component(self, who: Identifier) -> Who:
        """All strong identifiers that joins lead to from one, itself included."""
        found = {who}
        while more := {other for one in found for other in self.joined[one]} - found:
            found |= more
        return frozenset(found)

    def components(self) -> set[Who]:
        return {self.component(who) for who in self.strong}

    # Whose a touchpoint is

    def telling(self, touch: Touch) -> list[Identifier]:
        """The strong identifiers of a touchpoint that are not too common."""
        return [who for who in strong(touch) if who not in self.too_common]

    def lead_of(self, touch: Touch) -> Who:
        """The lead that a folded touchpoint belongs to."""
        if strong(touch):
            return self.component((self.telling(touch) or strong(touch))[0])
        choice = weak(touch, ANONYMOUS_ID) or weak(touch, CLICK_ID)
        for who in choice:
            owner = self.owner(who, touch)
            if owner is not None:
                return owner
        return frozenset({choice[0]})

    def owner(self, who: Identifier, touch: Touch) -> Who | None:
        """Whose a weak identifier is at a touchpoint that has no strong one."""
        before, after = self.claims(who, touch)
        if before:
            return self.lead_of(before[-1])
        if after:
            return self.lead_of(after[0])
        return None

    def claims(self, who: Identifier, touch: Touch) -> tuple[list[Touch], list[Touch]]:
        """What says whose a weak identifier is, before a touchpoint and after it."""
        claims = [claim for claim in self.folded if self.claims_for(who, claim)]
        now = touch.happening_order
        before = [claim for claim in claims if claim.happening_order < now]
        return before, [claim for claim in claims if claim.happening_order > now]

    def claims_for(self, who: Identifier, claim: Touch) -> bool:
        """Whether a touchpoint says whose a weak identifier is."""
        if who not in claim.identifiers:
            return False
        if who[0] == CLICK_ID and not strong(claim):
            return bool(weak(claim, ANONYMOUS_ID))
        return bool(self.telling(claim))

    # Leads

    def leads(self) -> dict[Who, list[Touch]]:
        """The folded touchpoints of each lead that has any, in happening order."""
        found: dict[Who, list[Touch]] = {}
        for touch in self.folded:
            found.setdefault(self.lead_of(touch), []).append(touch)
        return found

    def names(self) -> dict[tuple[str, str], tuple[str, str]]:
        """For each folded touchpoint, by id, the first one of its lead: what exports go by."""
        return {touch.id: of[0].id for of in self.leads().values() for touch in of}

    def goes_by(self, lead: Who) -> Identifier:
        """The identifier that a lead's id is made from: the one recorded first.

        On whatever touchpoint: one that is retracted or never folded counts. Of several
        that the same touchpoint brought, the first by precedence, then by digest.
        """
        return next(who for touch in self.known for who in touch.identifiers if who in lead)
