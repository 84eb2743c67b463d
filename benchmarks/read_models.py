"""Read models against recording, in one run: all leads new, then two touchpoints more for each.

    $ python -m benchmarks.read_models --leads 10000

Both times the leads that were touched are read, folded, derived and replaced in
one transaction, in tables that are there already. Compiling comes first and is
not timed, nor is making the touchpoints.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from benchmarks.common import Figure, Stopwatch, rate, show
from engine import lifecycle
from engine.codec import encode
from engine.instants import DAY_US
from engine.privacy import WorkspaceKey
from engine.projections.database import Models
from engine.projections.runner import bring_up_to_date
from engine.rulefile import file_of, parse, read
from engine.store.facts import Facts, models_of
from engine.store.rulebook import WrittenRules
from engine.touchpoint import Arrival, Campaign, Encoded, Identifier, Money, Touchpoint

BATCH = 1000
FIRST, MORE = 20, 2  # touchpoints a lead
START = 1_760_000_000_000_000
SPAN = 90 * DAY_US
NOW = START + 2 * SPAN
TYPES = {  # how often each comes: mostly attention, now and then a step forward
    "page_viewed": 40,
    "email_opened": 20,
    "ad_clicked": 10,
    "email_clicked": 10,
    "content_downloaded": 6,
    "form_submitted": 4,
    "call_connected": 4,
    "price_asked": 2,
    "meeting_held": 2,
    "opportunity_opened": 1,
    "proposal_sent": 1,
}
ENDS = ("won", "lost", "page_viewed", "page_viewed")
CHANNELS = ("organic_search", "paid_search", "email", "direct", "referral", "phone")
WORKSPACE_KEY = WorkspaceKey(bytes(32))


def touchpoints(leads: int, each: int, start: int, seed: int) -> Iterator[Touchpoint]:
    """So many touchpoints of every lead, all leads mixed, by time."""
    chance = random.Random(seed)
    digests = [sha256(str(lead).encode()).hexdigest() for lead in range(leads)]
    turns = [lead for lead in range(leads) for _ in range(each)]
    chance.shuffle(turns)
    types = chance.choices([*TYPES], [*TYPES.values()], k=len(turns))
    left = dict.fromkeys(range(leads), each)
    for number, lead in enumerate(turns):
        left[lead] -= 1
        at = start + number * SPAN // len(turns)
        yield Touchpoint(
            source="web",
            event_id=f"{chance.getrandbits(64):016x}",
            type=types[number] if left[lead] else chance.choice(ENDS),
            occurred_at=at,
            received_at=at + 250_000,
            content=f"{chance.getrandbits(128):032x}",
            identifiers=(Identifier("email", digests[lead]),),
            channel=chance.choice(CHANNELS),
            campaign=Campaign(source="google", medium="cpc", name=f"c-{lead % 50}"),
            amount=Money(chance.randrange(10**9), "VND"),
            attributes={"path": f"/page/{number % 300}", "seconds": number % 90},
        )


def record(facts: Facts, made: Iterator[Touchpoint]) -> Stopwatch:
    """Record in batches of 1,000."""
    watch = Stopwatch()
    arrivals = [
        Arrival(origin="benchmark", line=line, data=b"", encoded=Encoded(one, encode(one)))
        for line, one in enumerate(made, 1)
    ]
    for start in range(0, len(arrivals), BATCH):
        with watch.running():
            lifecycle.record(facts, arrivals[start : start + BATCH], workspace_key=WORKSPACE_KEY)
    return watch


def derive(facts: Facts, models: Models, now: int) -> Stopwatch:
    """Bring the read models up to an instant."""
    watch = Stopwatch()
    with watch.running():
        bring_up_to_date(facts, models, now)
    return watch


def main() -> bool:
    """Run both; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--leads", type=int, default=10_000)
    parser.add_argument("--rules", default="default", help="a shipped rule set or a file")
    given = parser.parse_args()
    leads, text = given.leads, read(file_of(given.rules))
    rules = parse(text, given.rules)
    figures = []
    with tempfile.TemporaryDirectory() as folder, Facts.open(Path(folder, "facts.db")) as facts:
        facts.publish(WrittenRules(rules.id, rules.name, text))
        models = Models.open(models_of(facts.path))
        record(facts, touchpoints(leads=1, each=1, start=START, seed=1))
        derive(facts, models, NOW)
        for each, start, floor in ((FIRST, START, 4.0), (MORE, START + SPAN, 1.0)):
            count = each * leads
            recorded = record(facts, touchpoints(leads, each, start, seed=each))
            derived = derive(facts, models, NOW)
            ratio = recorded.wall / derived.wall
            figures += [
                Figure(f"recording {each} touchpoints a lead", rate(count, recorded.wall)),
                Figure("  deriving and replacing", rate(count, derived.wall), ratio, "", floor),
                Figure("  per lead", rate(leads, derived.wall)),
            ]
        models.close()
    return show(f"Read models of {leads:,} leads", figures)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
