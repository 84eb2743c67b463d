"""What a history of people meets: counted by asking what were so if one thing were otherwise."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations

from tests.naive.identity import ANONYMOUS_ID, CLICK_ID, Identity, Who, is_strong, strong, weak
from tests.naive.touchpoints import LINKS, STRONG, Identifier, Touch

WITHOUT_END = 10**9
KINDS = {ANONYMOUS_ID: "cookie", CLICK_ID: "click"}


class Met:
    """Counts what the accepted touchpoints of a history, in order of arrival, meet."""

    def __init__(self, known: list[Touch], limit: int) -> None:
        self.met: Counter[str] = Counter()
        self.known = known
        self.arrived = {touch.id: number for number, touch in enumerate(known)}
        self.now = Identity(known, limit)
        self.nobody_common = Identity(known, WITHOUT_END)
        kept = [touch for touch in known if touch.type != "touchpoint_retracted"]
        self.nothing_void = Identity(kept, limit)
        self.halfway = Identity(known[: len(known) // 2], limit)

    def count(self) -> Counter[str]:
        """How often each feature is met."""
        for one, other in combinations(self.now.strong, 2):
            self.pair(one, other)
        for who in self.now.strong:
            self.common(who)
        for touch in self.now.folded:
            self.touch(touch)
        self.owners_over_time()
        self.retractions()
        self.knowing()
        self.leads()
        return +self.met

    def note(self, about: str, **holds: object) -> None:
        """Count what holds of something."""
        for name, value in holds.items():
            self.met[f"{about}:{name}"] += bool(value)

    # Pairs

    def pair(self, one: Identifier, other: Identifier) -> None:
        now = self.now
        evidence, facts = now.evidence(one, other), now.facts_about(one, other)
        together = [touch for touch in now.folded if {one, other} <= set(touch.identifiers)]
        common = not {one, other}.isdisjoint(now.too_common)
        linked = [fact for fact in facts if fact.type == "identity_linked"]
        self.note(
            "pair",
            joined_by_a_touchpoint=evidence and together,
            joined_by_a_link_alone=evidence and not together,
            joined_by_others=not evidence and other in now.component(one),
            linked_with_a_too_common_one=common and linked and not now.unlinked(one, other),
        )
        if facts:
            self.explicit(facts)
        if now.unlinked(one, other) and together and not common:
            last = facts[-1].happening_order
            self.note(
                "unlink",
                parts=other not in now.component(one),
                leaves_another_way=other in now.component(one),
                voids_what_was_before=any(touch.happening_order < last for touch in together),
                voids_what_comes_after=any(touch.happening_order > last for touch in together),
            )

    def explicit(self, facts: list[Touch]) -> None:
        """What the links and unlinks of a pair, in happening order, say."""
        last, before = facts[-1], [fact for fact in facts if fact.type != facts[-1].type]
        linked = last.type == "identity_linked"
        late = max(facts, key=lambda fact: self.arrived[fact.id])
        self.note(
            "pair",
            unlinked_by_a_later_fact=before and not linked,
            linked_again=before and linked,
            last_fact_arrived_before_another=late.type != last.type,
            facts_disagree_at_one_instant=any(fact.at == last.at for fact in before),
            fact_repeated=len(facts) > len(before) + 1,
        )

    # Too common

    def common(self, who: Identifier) -> None:
        now, more = self.now, len(self.nobody_common.component(who)) > 1
        sizes = {kind: len(now.company(who, kind)) for kind in range(len(STRONG))}
        if who not in now.too_common:
            self.note(
                "too_common",
                just_not=now.limit in sizes.values(),
                healed_by_a_retraction=who in self.nothing_void.too_common,
            )
            return
        others = sorted(self.nobody_common.component(who) - {who})
        self.note(
            "too_common",
            at_all=True,
            fell_apart=more,
            by_its_own_kind=sizes[who[0]] > now.limit,
            parts_others=any(b not in now.component(a) for a, b in combinations(others, 2)),
        )

    # Touchpoints

    def touch(self, touch: Touch) -> None:
        named, telling = strong(touch), self.now.telling(touch)
        if named:
            self.note(
                "strong",
                first_is_too_common=telling and telling[0] != named[0],
                all_too_common=not telling,
                of_several_leads=len({self.now.component(who) for who in telling}) > 1,
            )
            return
        cookies, clicks = weak(touch, ANONYMOUS_ID), weak(touch, CLICK_ID)
        self.several(cookies or clicks, touch)
        for who in (cookies or clicks)[:1]:
            self.owned(who, touch)
        owned = [self.now.owner(who, touch) is not None for who in (*cookies, *clicks)]
        self.note(
            "cookie",
            unowned_beside_an_owned_click=cookies
            and not any(owned[: len(cookies)])
            and any(owned[len(cookies) :]),
        )

    def owned(self, who: Identifier, touch: Touch) -> None:
        """Whose one weak identifier is, and what says so."""
        now, kind = self.now, KINDS[who[0]]
        before, after = now.claims(who, touch)
        by = before[-1] if before else after[0] if after else None
        common = self.nobody_common.claims(who, touch)
        sides = {now.lead_of(claim) for claim in (*before[-1:], *after[:1])}
        self.note(
            kind,
            owned_before=before,
            owned_after=after and not before,
            unowned=by is None,
            between_two_owners=len(sides) > 1,
            unowned_because_too_common=by is None and any(common),
            told_by_an_earlier_one_because_too_common=by and common[0][-1:] != before[-1:],
        )
        if kind == "click" and by is not None:
            person = any(map(is_strong, now.lead_of(by)))
            since = replace(touch, identifiers=by.identifiers)
            self.note(
                kind,
                by_strong=strong(by),
                by_the_cookie_of_a_person=not strong(by) and person,
                by_the_cookie_of_nobody=not strong(by) and not person,
                whose_cookie_changed_hands_since=not strong(by)
                and now.lead_of(since) != now.lead_of(by),
            )

    def several(self, choice: list[Identifier], touch: Touch) -> None:
        """What several weak identifiers of one kind say together."""
        if len(choice) < 2:
            return
        owners = [self.now.owner(who, touch) for who in choice]
        sure = {owner for owner in owners if owner is not None}
        self.note(
            f"several_{KINDS[choice[0][0]]}s",
            none_owned=not sure,
            first_not_owned=sure and owners[0] is None,
            with_two_owners=len(sure) > 1,
        )

    def owners_over_time(self) -> None:
        """Weak identifiers that bring touchpoints to more than one person."""
        brought: dict[Identifier, set[Who]] = defaultdict(set)
        for touch in self.now.folded:
            choice = weak(touch, ANONYMOUS_ID) or weak(touch, CLICK_ID)
            if not strong(touch) and len(choice) == 1:
                brought[choice[0]].add(self.now.lead_of(touch))
        for who, leads in brought.items():
            self.note(KINDS[who[0]], switched_owner=len(leads) > 1)

    # Facts of what is known

    def retractions(self) -> None:
        arrived = {touch.id: touch for touch in self.known}
        for touch in self.known:
            if touch.type != "touchpoint_retracted":
                continue
            target = arrived.get((touch.attributes["source"], touch.attributes["event_id"]))
            if target is None or target.type == touch.type:
                self.note("retraction", of_a_retraction=target is not None)
                continue
            ahead = self.arrived[touch.id] < self.arrived[target.id]
            kind = target.type if target.type in LINKS else "a_touchpoint"
            evidence = kind in LINKS or len(target.identifiers) > 1
            self.note("retraction", **{f"of_{kind}_{'before' if ahead else 'after'}_it": evidence})

    def knowing(self) -> None:
        """What the second half of the arrivals changes for touchpoints of the first."""
        joined, parted = changes(self.halfway, self.now)
        self.note("later_known", joins=joined, parts=parted)
        joined, parted = changes(self.nothing_void, self.now)
        self.note("retractions", join=joined, part=parted)

    def leads(self) -> None:
        for lead, touches in self.now.leads().items():
            self.note(
                "lead",
                of_several_streams=len({touch.stream for touch in touches}) > 1,
                anonymous=not any(map(is_strong, lead)),
                goes_by_another_than_its_first=self.now.goes_by(lead) != min(lead),
                goes_by_what_is_not_folded=self.goes_by_what_is_not_folded(lead),
            )
        for touch in self.known:
            self.note(
                "named_beside_the_point", at_all=touch.type in BESIDE_THE_POINT and touch.stream
            )

    def goes_by_what_is_not_folded(self, lead: Who) -> bool:
        first = next(touch for touch in self.known if not lead.isdisjoint(touch.identifiers))
        return first not in self.now.folded and len(lead) > 1


BESIDE_THE_POINT = ("touchpoint_retracted", "ad_spend_reported")


def changes(earlier: Identity, later: Identity) -> tuple[int, int]:
    """How many pairs of touchpoints are one lead only later, and how many only earlier."""
    before, after = earlier.names(), later.names()
    both = sorted(before.keys() & after.keys())
    moved = Counter(
        (before[one] == before[other], after[one] == after[other])
        for one, other in combinations(both, 2)
    )
    return moved[False, True], moved[True, False]


def identity_features(known: list[Touch], limit: int) -> Counter[str]:
    """How often each feature of identity is met by accepted touchpoints, in order of arrival."""
    return Met(known, limit).count()


TO_BE_MET = frozenset(
    """
    pair:joined_by_a_touchpoint pair:joined_by_a_link_alone pair:joined_by_others
    pair:unlinked_by_a_later_fact pair:linked_again pair:last_fact_arrived_before_another
    pair:facts_disagree_at_one_instant pair:fact_repeated pair:linked_with_a_too_common_one
    unlink:parts unlink:leaves_another_way
    unlink:voids_what_was_before unlink:voids_what_comes_after
    too_common:at_all too_common:just_not too_common:fell_apart too_common:parts_others
    too_common:by_its_own_kind too_common:healed_by_a_retraction
    strong:first_is_too_common strong:all_too_common strong:of_several_leads
    cookie:owned_before cookie:owned_after cookie:unowned cookie:between_two_owners
    cookie:switched_owner cookie:unowned_because_too_common
    cookie:told_by_an_earlier_one_because_too_common cookie:unowned_beside_an_owned_click
    click:owned_before click:owned_after click:unowned click:between_two_owners
    click:switched_owner click:unowned_because_too_common
    click:told_by_an_earlier_one_because_too_common
    click:by_strong click:by_the_cookie_of_a_person click:by_the_cookie_of_nobody
    click:whose_cookie_changed_hands_since
    several_cookies:none_owned several_cookies:first_not_owned several_cookies:with_two_owners
    several_clicks:none_owned several_clicks:first_not_owned several_clicks:with_two_owners
    retraction:of_identity_linked_before_it retraction:of_identity_linked_after_it
    retraction:of_identity_unlinked_before_it retraction:of_identity_unlinked_after_it
    retraction:of_a_touchpoint_before_it retraction:of_a_touchpoint_after_it
    retraction:of_a_retraction retractions:join retractions:part
    later_known:joins later_known:parts named_beside_the_point:at_all
    lead:of_several_streams lead:anonymous
    lead:goes_by_another_than_its_first lead:goes_by_what_is_not_folded
    """.split()
)
