"""Stories: one lead's touchpoints, chapter by chapter, for as long as time allows.

Nothing here leaves the whole numbers, so that every machine tells the same stories.
"""

from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from engine.sample.business import (
    AFTER,
    ASKS,
    CRM,
    DOCUMENTS,
    LETTER,
    LOOKING,
    MAIL,
    ON_THE_SITE,
    ONLINE,
    PATHS,
    PAYS,
    PHONE,
    ROUTES,
    SHOP,
    STAGE_IN_THE_CRM,
    TALKING,
    TEAMS,
    WEB,
    Extra,
    Json,
    Via,
)
from engine.sample.people import Person, person

MINUTE, HOUR, DAY = 60, 3_600, 86_400  # seconds
DAYS = 90
LOCAL = timezone(timedelta(hours=7))  # both markets


def instant(at: int) -> str:
    """Seconds since 1970 as the tools here write it."""
    return datetime.fromtimestamp(at, LOCAL).isoformat()


def _is_open(at: int) -> bool:
    local = datetime.fromtimestamp(at, LOCAL)
    return local.weekday() < 5 and 8 <= local.hour < 18


class Story:
    """One lead's touchpoints so far, each with its arrival, and the clock they happen by."""

    def __init__(self, who: Person, random: Random, until: int) -> None:
        self.who, self.random, self.until = who, random, until
        self.at = until - random.randrange(DAYS * DAY)
        self.owner = random.choice(TEAMS[who.market])
        self.told: list[tuple[int, Json]] = []

    def chance(self, percent: int) -> bool:
        """Whether something that happens to so many in a hundred happens here."""
        return self.random.randrange(100) < percent

    def wait(self, least: int, most: int) -> None:
        """Let so many seconds pass."""
        self.at += self.random.randint(least, most)

    def wait_for_office(self) -> None:
        """Go on to the next working hour, where it is none now."""
        while not _is_open(self.at):
            self.at += self.random.randint(HOUR // 2, HOUR)

    def tell(self, type: str, via: Via, attributes: Json | None = None, **more: Any) -> None:
        """Add a touchpoint of now, unless that lies ahead."""
        if self.at > self.until:
            return
        source, channel = via
        touchpoint = {
            "source": source,
            "event_id": f"{self.who.number:05d}-{len(self.told) + 1:03d}",
            "type": type,
            "occurred_at": instant(self.at),
            "identifiers": [self.who.identifiers[0]],
            "channel": channel,
            **more,
            "attributes": attributes or {},
        }
        self.told.append((self._arrival(via), touchpoint))
        if self.random.randrange(80) == 0:
            self.told.append((self.at + self.random.randrange(DAY), touchpoint))

    def by_rep(self, type: str, via: Via, attributes: Json | None = None, **more: Any) -> None:
        """Add something that the lead's owner did."""
        self.tell(type, via, attributes, actor={"kind": "rep", "id": self.owner}, **more)

    def extras(self, menu: tuple[Extra, ...], count: int) -> None:
        """Add some of what happens by the way, in the menu's order."""
        picked = sorted(self.random.sample(range(len(menu)), count))
        for type, via, attributes in (menu[place] for place in picked):
            self.wait(20 * MINUTE, 30 * HOUR)
            self.tell(type, via, attributes)

    def _arrival(self, via: Via) -> int:
        if via == SHOP:  # the till reports at night
            return self.at - self.at % DAY + DAY
        late = self.random.randrange(5 * DAY) if self.random.randrange(25) == 0 else 0
        return self.at + self.random.randrange(90) + late


def lead(number: int, random: Random, until: int) -> list[tuple[int, Json]]:
    """One lead's touchpoints, each with its arrival in seconds; none happens after `until`."""
    story = Story(person(number, random), random, until)
    _discover(story)
    _look(story)
    if not story.who.known or not story.chance(64):
        return story.told
    _ask(story)
    if story.chance(22) and not _pause(story):
        return story.told
    if not _talk(story) or (story.chance(15) and not _pause(story)):
        return story.told
    if _quote(story):
        _keep(story)
    return story.told


def _discover(story: Story) -> None:
    routes = ROUTES if story.who.known else ONLINE
    route = story.random.choices(routes, [route.weight for route in routes])[0]
    more = {"campaign": route.campaign} if route.campaign else {}
    if route.type == "ad_clicked" and story.chance(20):
        story.tell("ad_impression", route.via, **more)
        story.wait(10, 2 * DAY)
    story.tell(route.type, route.via, dict(route.attributes), **more)


def _look(story: Story) -> None:
    random = story.random
    for _ in range(random.randrange(5)):
        story.wait(15, 20 * MINUTE if story.chance(70) else 2 * DAY)
        page = {"path": random.choice(PATHS), "seconds": random.randint(3, 400)}
        story.tell("page_viewed", WEB, page)
    if story.chance(15):
        story.tell("content_downloaded", WEB, {"kind": random.choice(DOCUMENTS)})
    story.extras(LOOKING if story.who.known else ON_THE_SITE, random.choice((0, 0, 0, 1, 2)))


def _ask(story: Story) -> None:
    """A form, and what it sets going: a record, an owner, mail."""
    who = story.who
    story.wait(MINUTE, 3 * HOUR)
    form = story.random.choice(("quote", "quote", "contact", "callback", "newsletter"))
    said = {"name": who.name, "email": who.email, "phone": who.phone, "text": ASKS[who.language]}
    personal = said | ({"company": who.company} if who.company else {})
    story.tell("form_submitted", WEB, {"form": form}, personal=personal)
    if story.chance(80):
        story.tell("consent_given", WEB, {"purpose": "marketing"})
    _tie_together(story)
    story.wait(30, 5 * MINUTE)
    story.tell("lead_created", CRM, actor={"kind": "system", "id": None}, personal=said)
    story.tell("assigned", CRM, {"owner": story.owner, "team": who.market})
    _mail(story)


def _tie_together(story: Story) -> None:
    """What tools say of who is who; the lead's own identifier comes first in all of it."""
    own = story.who.identifiers
    if story.chance(30):
        story.tell("identified", CRM, identifiers=list(own[:3]))
    if story.chance(4) and own[1]["kind"] != "anonymous_id":
        story.tell("identity_linked", CRM, {"reason": "asked"}, identifiers=list(own[:2]))
    if story.chance(2):
        colleague = {"kind": "external_id", "namespace": "works", "value": f"{story.who.number}"}
        two = {"identifiers": [own[0], colleague]}
        story.tell("identity_unlinked", CRM, {"reason": "a colleague"}, **two)


def _take_back(story: Story) -> None:
    """The last thing told was entered by mistake."""
    _, mistake = story.told[-1]
    named = {name: mistake[name] for name in ("source", "event_id")}
    story.tell("touchpoint_retracted", CRM, named | {"reason": "typed twice"}, identifiers=[])


def _mail(story: Story) -> None:
    story.tell("email_sent", MAIL, time_quality="sent", campaign=LETTER)
    story.wait(2, 10 * MINUTE)
    if story.chance(4):
        story.tell("email_bounced", MAIL, {"hard": story.chance(50)})
        return
    story.tell("email_delivered", MAIL, campaign=LETTER)
    if story.chance(60):
        story.wait(MINUTE, 20 * HOUR)
        story.tell("email_opened", MAIL, {"machine": story.chance(30)}, campaign=LETTER)
    if story.chance(25):
        story.tell("email_clicked", MAIL, campaign=LETTER)
    elif story.chance(6):
        story.tell("email_unsubscribed", MAIL)
        story.tell("consent_withdrawn", WEB, {"purpose": "marketing"})
    elif story.chance(2):
        story.tell("email_marked_spam", MAIL)


def _pause(story: Story) -> bool:
    """Weeks of silence; whether the lead comes back from it."""
    if story.chance(40):
        return False
    story.wait(31 * DAY, 48 * DAY)
    story.tell("email_clicked", MAIL, campaign=LETTER)
    story.wait(MINUTE, HOUR)
    story.tell("page_viewed", WEB, {"path": "/pricing", "seconds": 75})
    return True


def _talk(story: Story) -> bool:
    """Calls; whether they end in a lead worth a quote."""
    for _ in range(story.random.randrange(3)):
        _next_call(story)
        story.by_rep("call_attempted", PHONE)
    if story.chance(3):
        _take_back(story)
    if story.chance(22):
        return False
    _next_call(story)
    call = {"seconds": story.random.randint(20, 900), "direction": "out", "outcome": "talked"}
    story.by_rep("call_connected", PHONE, call)
    story.extras(TALKING, story.random.randrange(4))
    if story.chance(18):
        story.by_rep("disqualified", CRM, {"reason": "rents the roof"})
        return False
    answers = {need: story.chance(75) for need in ("budget", "authority", "need", "timing", "fit")}
    story.by_rep("qualified", CRM, {**answers, "by": story.random.choice(("marketing", "sales"))})
    if story.chance(8):
        story.by_rep("rejected", CRM, {"reason": "too early"})
        return False
    story.by_rep("accepted", CRM)
    return story.chance(80)


def _next_call(story: Story) -> None:
    story.wait(5 * MINUTE, 22 * HOUR)
    story.wait_for_office()


def _quote(story: Story) -> bool:
    """An offer and its end; whether it is a yes."""
    who, random = story.who, story.random
    currency, step = PAYS[who.market]
    minor = step * random.randint(38, 240)
    deal: Json = {"deal": f"deal-{who.number}"} | ({"account": who.company} if who.company else {})
    product = {"product": random.choice(("rooftop-5kw", "rooftop-10kw", "hybrid"))}
    offer = deal | {"amount": {"minor": minor, "currency": currency}}
    _next_call(story)
    story.by_rep("opportunity_opened", CRM, product, **offer)
    story.wait(HOUR, 4 * DAY)
    story.by_rep("proposal_sent", CRM, product, **offer)
    if story.chance(35):
        story.wait(DAY, 4 * DAY)
        story.by_rep("negotiated", CRM, {"about": "price", "by": "lead"}, **deal)
        offer = deal | {"amount": {"minor": minor // 100 * 95, "currency": currency}}
        story.by_rep("opportunity_updated", CRM, product, **offer)
    if story.chance(5):
        story.by_rep("stage_changed", CRM, {"stage": STAGE_IN_THE_CRM}, **deal)
    if story.chance(20):  # still waiting for an answer
        return False
    story.wait(2 * DAY, 16 * DAY)
    if _is_refused(story, deal):
        return False
    story.by_rep("won", CRM, product, **offer)
    return True


def _is_refused(story: Story, deal: Json) -> bool:
    """A no for about half; a few of those think again."""
    story.wait_for_office()
    if story.chance(48):
        return False
    reason = story.random.choice(("price", "competitor", "timing", "silence"))
    story.by_rep("lost", CRM, {"reason": reason}, **deal)
    if not story.chance(12):
        return True
    story.wait(5 * DAY, 20 * DAY)
    story.by_rep("reopened", CRM, **deal)
    story.wait(DAY, 6 * DAY)
    return False


def _keep(story: Story) -> None:
    story.wait(DAY, 4 * DAY)
    story.extras(AFTER, story.random.randint(3, 6))
    if story.chance(15):
        address = f"friend.{story.who.number}@example.org"
        friend = {"role": "friend", "kind": "email", "value": address}
        story.tell("referral_made", CRM, {"reward": "voucher"}, mentions=[friend])
