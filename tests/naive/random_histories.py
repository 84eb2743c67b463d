"""Random histories: dense, few leads, times on a coarse grid."""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.naive.random_rules import CHANNELS, chance, decomposed
from tests.naive.rules import Rules, read_rules
from tests.naive.units import DAY, instant_text, instant_us

Delivery = dict[str, Any]
HOUR = DAY // 24
# Beside changes of the clocks in Berlin, New York and Lord Howe, and beside Tết
STARTS = ["2025-10-30", "2026-03-06", "2026-02-14", "2025-10-24", "2026-03-27", "2026-04-03"]
LETTERS = "eEé\uff45"  # of 1, 1, 2 and 3 bytes
SOURCES = ["web", "crm", "mail"]
PEOPLE: list[Delivery] = [
    {"kind": "user_id", "value": "u0"},
    {"kind": "email", "value": "p0@x.io"},
    {"kind": "anonymous_id", "value": "a0"},
    {"kind": "phone", "value": "+84900000001"},
    {"kind": "external_id", "namespace": "shop", "value": "x0"},
    {"kind": "crm_id", "namespace": "crm", "value": "7"},
    {"kind": "crm_id", "value": "7"},
    {"kind": "click_id", "value": "c0"},
    {"kind": "email", "value": "ánh@x.io"},
]
PAGES = ["/pricing", "/", "/pricing/vn", "/blog"]
NUMBERS: list[Any] = [1, 2, 0.1, 0.5, True, 1.0, 2.5, "1", 0, -1]
TYPES = [
    *["page_viewed"] * 7,
    *["form_submitted"] * 5,
    *["stage_changed"] * 4,
    *["call_connected"] * 2,
    *["x_ping"] * 2,
    *["won"] * 2,
    *["touchpoint_retracted"] * 3,
    *["assigned", "opportunity_opened", "opportunity_updated", "lost"],
    *["call_attempted", "x_visit", "x_quote", "email_opened", "email_replied", "email_clicked"],
    *["email_unsubscribed", "meeting_held", "ad_clicked", "identified", "purchased"],
    *["ad_spend_reported", "consent_given"],
]
DEALS = ("won", "opportunity_opened", "opportunity_updated", "x_quote", "purchased", "page_viewed")
FAULTS: list[tuple[str, Delivery]] = [
    ("unknown_type", {"type": "teleported"}),
    ("unknown_type", {"type": "teleported", "channel": "tv", "identifiers": []}),
    ("unknown_channel", {"channel": "tv"}),
    ("unknown_channel", {"channel": "tv", "type": "assigned", "attributes": {}}),
    ("time_out_of_range", {"occurred_at": -1}),
    ("time_out_of_range", {"occurred_at": "2100-01-01T00:00:00Z", "channel": "tv"}),
    ("bad_attribute", {"type": "assigned", "attributes": {"team": "a"}}),
    ("bad_attribute", {"type": "stage_changed", "attributes": {"stage": 7}, "identifiers": []}),
    ("bad_attribute", {"type": "touchpoint_retracted", "attributes": {"source": "web"}}),
    ("bad_attribute", {"type": "identity_linked", "identifiers": [PEOPLE[0]]}),
    ("no_identifier", {"type": "page_viewed", "identifiers": []}),
    ("not_canonical", {"occurred_at": "2026-03-01T00:00:00"}),
    ("not_canonical", {"identifiers": [{**PEOPLE[3], "namespace": "x"}], "type": "teleported"}),
]


def written(random: Random, at: int) -> str | int:
    """One of the forms in which an instant may come."""
    if not 0 <= at < 2**52:
        return at
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    local = (utc + timedelta(hours=7)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    forms: list[str | int] = [
        instant_text(at),
        at,
        f"{local}+07:00",
        f"{instant_text(at)[:-1]}789Z",
    ]
    return random.choice(forms)


class Teller:
    """Tells random touchpoints of a few people."""

    def __init__(self, random: Random, rules: Rules, people: Sequence[Delivery]) -> None:
        self.random, self.rules, self.people = random, rules, people
        self.start = instant_us(f"{random.choice(STARTS)}T00:00:00Z")
        self.ids: list[tuple[str, str]] = []
        self.retractions: list[tuple[str, str]] = []

    def at(self, steps: int) -> int:
        """On a grid of six hours mostly; now and then beside it or far away."""
        slip = self.random.choice([0, 0, 0, 0, 0, 1, -1, HOUR // 2, HOUR, 60 * DAY])
        return self.start + self.random.randrange(steps) * 6 * HOUR + slip

    def touchpoint(self, steps: int) -> Delivery:
        random = self.random
        kind = random.choice(TYPES)
        source, event_id = random.choice(SOURCES), f"{random.choice(LETTERS)}{len(self.ids)}"
        told: Delivery = {
            "source": source,
            "event_id": event_id,
            "type": kind,
            "occurred_at": written(random, self.at(steps)),
            "identifiers": [] if kind in ANONYMOUS else [dict(random.choice(self.people))],
        }
        attributes = self.attributes(kind)
        if attributes:
            told["attributes"] = attributes
        told |= self.extras(kind)
        self.ids.append((source, event_id))
        if kind == "touchpoint_retracted":
            self.retractions.append((source, event_id))
        return told

    def attributes(self, kind: str) -> Delivery:
        pick = self.random.choice
        if kind == "page_viewed":
            return {"path": pick(PAGES), "seconds": pick([30, 5, 60, "30"])}
        if kind == "form_submitted":
            return {"form": pick(["demo", "trial", "Demo"])}
        if kind == "stage_changed":
            return self.stage()
        if kind == "call_connected":
            return {"seconds": pick([90, 30, 5]), "direction": "out"}
        if kind == "assigned":
            return {"owner": pick(["rep-1", "rep-2"])}
        if kind == "email_opened":
            return {"machine": pick([False, True])}
        if kind == "touchpoint_retracted":
            known = self.retractions if chance(self.random, 15) else self.ids
            source, event_id = pick([*known, ("web", "e5"), ("crm", "e9"), ("web", "none")])
            return {"source": source, "event_id": event_id}
        return {"n": pick(NUMBERS)} if kind.startswith("x_") else {}

    def stage(self) -> Delivery:
        """A stage in one of its spellings, with or without a track."""
        random = self.random
        if not self.rules.tracks or chance(random, 10):
            return {"stage": "nowhere", **({"track": "sales"} if chance(random, 50) else {})}
        track = random.choice(self.rules.tracks)
        stage = random.choice(track.stages)
        spelling = random.choice([stage.name, *stage.aliases, *stage.labels])
        spelling = random.choice(
            [spelling, f" {spelling.upper()} ", decomposed(spelling), spelling.title()]
        )
        other = random.choice([*self.rules.tracks, track]).name
        told = random.choice([None, track.name, None, other, "no_such_track"])
        return {"stage": spelling} | ({} if told is None else {"track": told})

    def extras(self, kind: str) -> Delivery:
        random, pick = self.random, self.random.choice
        said: Delivery = {}
        if kind in DEALS and chance(random, 20 if kind == "page_viewed" else 75):
            said["amount"] = {"minor": pick([500, 100, 1000, 0, -5]), "currency": pick(MONEY)}
        if chance(random, 50):
            said["channel"] = pick(CHANNELS)
        if chance(random, 30):
            said["sequence"] = pick([1, 0, -1, 2])
        if chance(random, 30):
            said["campaign"] = pick(CAMPAIGNS)
        if chance(random, 30):
            said["actor"] = {"kind": pick(["rep", "system", "lead"]), "id": pick(["r1", None])}
        if chance(random, 20):
            said["time_quality"] = pick(["received", "date", "sent", "exact"])
        if chance(random, 15):
            said |= {"deal": "d1", "account": pick(["acme", None])}
        if chance(random, 10):
            said["mentions"] = [{"role": "referrer", "kind": "email", "value": "p0@x.io"}]
        return copy.deepcopy(said)


ANONYMOUS = ("touchpoint_retracted", "ad_spend_reported")
MONEY = ["VND", "VND", "USD"]
CAMPAIGNS: list[Delivery] = [
    {"source": "google", "name": "Tết"},
    {"source": "google", "name": None, "medium": "cpc"},
    {"source": "mail", "name": "big spam"},
]


def retold(random: Random, told: Delivery) -> Delivery:
    """The same touchpoint in another form: a duplicate of it."""
    again = copy.deepcopy(told)
    again["occurred_at"] = written(random, instant_us(told["occurred_at"]))
    if chance(random, 50):
        defaults = {"sequence": 0, "time_quality": "exact", "channel": "other", "mentions": []}
        empty: Delivery = {"attributes": {}, "deal": None, "amount": None, "identifiers": []}
        again = {**defaults, **empty, **again}
    for who in again.get("identifiers", []):
        if who["kind"] == "email" and chance(random, 50):
            who["value"] = f" {decomposed(who['value']).upper()}"
        if who["kind"] == "crm_id":
            who.setdefault("namespace", told["source"])
    if again.get("campaign"):
        again["campaign"] = {"term": None, **again["campaign"]}
    return again


def contradicted(random: Random, told: Delivery) -> Delivery:
    """Another touchpoint under the same id; a later one, if the quality is `received`, is none."""
    other = copy.deepcopy(told)
    change = random.choice(["occurred_at", "sequence", "type", "time_quality", "deal"])
    if change == "occurred_at":
        other[change] = instant_us(told["occurred_at"]) + 6 * HOUR
    elif change == "sequence":
        other[change] = 7
    elif change == "type":
        other[change] = "trained"
    else:
        other[change] = "date" if told.get(change) != "date" else "sent"
    return other


def arrivals(random: Random, told: list[Delivery]) -> list[Delivery]:
    """Mostly in the order of happening, some late, some twice, some under a used id."""
    order = sorted(told, key=lambda one: instant_us(one["occurred_at"]))
    for place in range(len(order)):
        if chance(random, 25):
            order.insert(random.randrange(len(order)), order.pop(place))
    for one in list(order):
        if chance(random, 12):
            make = contradicted if chance(random, 40) else retold
            order.insert(random.randrange(len(order) + 1), make(random, one))
    return order


def random_history(
    random: Random, rules: str, size: int = 25, *, joined: bool = False
) -> list[Delivery]:
    """Deliveries in order of arrival, about `size` of them.

    Every touchpoint has at most one identifier, unless `joined`: then some have two, and
    which touchpoints are one lead is a question for identity.
    """
    people = random.sample(PEOPLE, random.choice([1, 2, 1, 3]))
    teller = Teller(random, read_rules(rules), people)
    count, steps = 1 + random.randrange(2 * size), 4 + random.randrange(20)
    told = [teller.touchpoint(steps) for _ in range(count)]
    if joined:
        for one in told:
            if one["identifiers"] and chance(random, 20):
                one["identifiers"].append(dict(random.choice(PEOPLE)))
    history = arrivals(random, told)
    for place in range(len(history)):
        if chance(random, 4):
            history[place] = {**history[place], **copy.deepcopy(random.choice(FAULTS)[1])}
    return history
