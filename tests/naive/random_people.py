"""Random evidence of who is who: few people, shared computers and phones, links that disagree."""

import copy
from collections.abc import Callable
from itertools import combinations
from random import Random

from tests.naive.random_histories import Delivery, Teller, arrivals, written
from tests.naive.random_rules import chance
from tests.naive.rules import Rules, read_rules
from tests.naive.touchpoints import LINKS, STRONG

FEW = 3  # more than so many of one kind, and an identifier is too common: met often
OFFICE: list[Delivery] = [
    {"kind": "phone", "value": "+84900000099"},
    {"kind": "phone", "value": "+84900000098"},
    {"kind": "email", "value": "team@x.io"},
    {"kind": "crm_id", "namespace": "crm", "value": "office"},
]
COMPUTERS: list[Delivery] = [{"kind": "anonymous_id", "value": f"pc{n}"} for n in range(2)]
CLICKS: list[Delivery] = [{"kind": "click_id", "value": f"c{n}"} for n in range(4)]
NOBODY: list[Delivery] = [
    {"kind": "email", "value": "n/a"},
    {"kind": "phone", "value": "0"},
    {"kind": "email", "value": "NoReply@x.io"},
    {"kind": "crm_id", "value": " unknown "},
]
VISITS = ["page_viewed", "page_viewed", "ad_clicked", "stage_changed", "x_visit"]
FORMS = ["form_submitted", "form_submitted", "identified", "stage_changed", "purchased"]
RECORDS = ["identified", "lead_created", "assigned", "won", "opportunity_updated"]
CALLS = ["call_connected", "call_attempted", "x_ping"]


def person(random: Random, number: int) -> list[Delivery]:
    """All that one person goes by."""
    email = {"kind": "email", "value": f"p{number}@x.io"}
    names: list[Delivery] = [email, {"kind": "anonymous_id", "value": f"a{number}"}]
    more: list[Delivery] = [
        {"kind": "crm_id", "namespace": "crm", "value": str(number)},
        {"kind": "crm_id", "value": str(number)},  # another one for every source
        {"kind": "user_id", "value": f"u{number}"},
        {"kind": "email", "value": f"p{number}+news@x.io"},
        {"kind": "phone", "value": f"+8490000000{number}"},
        {"kind": "external_id", "namespace": "shop", "value": f"x{number}"},
        {"kind": "anonymous_id", "value": f"b{number}"},
    ]
    return names + [one for one in more if chance(random, 60)]


class PeopleTeller(Teller):
    """Tells what people do who leave traces of themselves and of others."""

    def __init__(self, random: Random, rules: Rules) -> None:
        count = random.choice([2, 3, 4, 5, 6, 7, 8])
        self.office = random.sample(OFFICE, random.choice([1, 1, 2]))
        self.calls = random.choice([3, 10, 16])
        self.persons = [person(random, number) for number in range(count)]
        super().__init__(random, rules, [one for names in self.persons for one in names])
        self.pairs: list[list[Delivery]] = []  # strong ones that stood on one touchpoint
        self.linked: list[list[Delivery]] = []  # whom a link or an unlink was about
        self.linked_at: list[int] = []
        self.links: list[tuple[str, str]] = []
        self.evidence: list[tuple[str, str]] = []
        self.office_evidence: list[tuple[str, str]] = []

    # Who is on a touchpoint

    def strong(self, names: list[Delivery], most: int) -> list[Delivery]:
        found = [one for one in names if one["kind"] in STRONG]
        return self.random.sample(found, min(len(found), 1 + self.random.randrange(most)))

    def cookies(self, names: list[Delivery]) -> list[Delivery]:
        """Of one's own or of a shared computer; now and then two."""
        own = [one for one in names if one["kind"] == "anonymous_id"]
        count = 2 if chance(self.random, 25) else 1
        return self.random.sample([*own, *COMPUTERS], count)

    def clicks(self) -> list[Delivery]:
        return self.random.sample(CLICKS, 2 if chance(self.random, 30) else 1)

    def some(self, percent: int, who: list[Delivery]) -> list[Delivery]:
        return who if chance(self.random, percent) else []

    def visitor(self, names: list[Delivery]) -> list[Delivery]:
        return self.cookies(names) + self.some(35, self.clicks())

    def clicker(self, names: list[Delivery]) -> list[Delivery]:
        return self.clicks()

    def writer(self, names: list[Delivery]) -> list[Delivery]:
        beside = self.some(70, self.cookies(names)) + self.some(20, self.clicks())
        return self.strong(names, 2) + beside

    def on_record(self, names: list[Delivery]) -> list[Delivery]:
        other = self.random.choice(self.persons)  # one card for two, by mistake
        return self.strong(names, 3) + self.some(12, self.strong(other, 1))

    def caller(self, names: list[Delivery]) -> list[Delivery]:
        """By an office phone or the like, which says little of who it is."""
        office = self.random.choice(self.office)
        if chance(self.random, 20):
            return [office, *self.some(70, self.cookies(names)), *self.some(60, self.clicks())]
        beside = self.some(30, self.strong(names, 1)) + self.some(15, self.cookies(names))
        return [office, names[0], *beside, *self.some(10, self.clicks())]

    # What is told

    def scene(self) -> tuple[str, list[Delivery]]:
        """A type, and whom a touchpoint of it names."""
        scenes: list[tuple[list[str], Callable[[list[Delivery]], list[Delivery]]]] = [
            *[(VISITS, self.visitor)] * 5,
            *[(FORMS, self.writer)] * 5,
            *[(CALLS, self.caller)] * self.calls,
            *[(RECORDS, self.on_record)] * 3,
            *[(["ad_clicked"], self.clicker)] * 2,
        ]
        kinds, who = self.random.choice(scenes)
        return self.random.choice(kinds), who(self.random.choice(self.persons))

    def touchpoint(self, steps: int) -> Delivery:
        draw, at = self.random.randrange(100), self.at(steps)
        if draw < 15:
            return self.link(at)
        if draw < 27:
            return self.tell("touchpoint_retracted", self.stranger(), self.target(), at)
        if draw < 30:
            return self.tell("ad_spend_reported", self.stranger(), {}, at)
        kind, who = self.scene()
        return self.tell(kind, self.distinct(who), self.attributes(kind), at) | self.extras(kind)

    def link(self, at: int) -> Delivery:
        """That two are one, or are not; now and then at the instant of another such fact."""
        if self.linked_at and chance(self.random, 40):
            at = self.random.choice(self.linked_at)
        self.linked_at.append(at)
        pair = self.pair()
        self.linked.append(pair)
        beside = self.some(8, self.cookies(list(self.people)))
        return self.tell(self.random.choice(LINKS), pair + beside, {"reason": "said so"}, at)

    def tell(self, kind: str, who: list[Delivery], attributes: Delivery, at: int) -> Delivery:
        random = self.random
        source, event_id = random.choice(["web", "crm"]), f"e{len(self.ids)}"
        told: Delivery = {
            "source": source,
            "event_id": event_id,
            "type": kind,
            "occurred_at": written(random, at),
            "identifiers": copy.deepcopy(who),
        }
        if attributes:
            told["attributes"] = attributes
        if chance(random, 20):
            told["sequence"] = random.choice([1, -1])
        self.remember(told, who)
        return told

    def remember(self, told: Delivery, who: list[Delivery]) -> None:
        name = (told["source"], told["event_id"])
        self.ids.append(name)
        if told["type"] in LINKS:
            self.links.append(name)
        elif told["type"] == "touchpoint_retracted":
            self.retractions.append(name)
        elif len(who) > 1:
            crowded = any(one in self.office for one in who)
            (self.office_evidence if crowded else self.evidence).append(name)
            strong = [one for one in who if one["kind"] in STRONG]
            self.pairs += map(list, combinations(strong, 2))

    def pair(self) -> list[Delivery]:
        """Two strong ones: about whom there is a fact already, or evidence, or nothing."""
        draw = self.random.randrange(100)
        if self.linked and draw < 50:
            return self.random.choice(self.linked)
        if self.pairs and draw < 80:
            return self.random.choice(self.pairs)
        strong = [one for one in (*self.people, *self.office) if one["kind"] in STRONG]
        return self.random.sample(strong, 2)

    def target(self) -> Delivery:
        """What a retraction voids: mostly evidence, now and then what is still to come."""
        ahead = [(source, f"e{len(self.ids) + n}") for source in ("web", "crm") for n in range(6)]
        told = [self.evidence, self.office_evidence, self.links, self.retractions, self.ids]
        source, event_id = self.random.choice(self.random.choice([*told, ahead]) or ahead)
        return {"source": source, "event_id": event_id}

    def stranger(self) -> list[Delivery]:
        """Named where it says nothing of who is who."""
        return self.some(15, self.random.sample(list(self.people), 2))

    def distinct(self, who: list[Delivery]) -> list[Delivery]:
        """In any order, each once, perhaps beside what names nobody."""
        once = [one for place, one in enumerate(who) if one not in who[:place]]
        once += self.some(6, [self.random.choice(NOBODY)])
        return self.random.sample(once, len(once))


def random_people(random: Random, rules: str, size: int = 50) -> list[Delivery]:
    """Deliveries in order of arrival, about `size` of them, of two to eight people.

    What rule 2 of identity calls too common is met often where its number is `FEW`.
    """
    teller = PeopleTeller(random, read_rules(rules))
    steps = 3 + random.randrange(12)
    count = size // 2 + random.randrange(size)
    return arrivals(random, [teller.touchpoint(steps) for _ in range(count)])
