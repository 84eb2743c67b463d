"""A shop in which history is replayed."""

from engine import replay
from engine.projections import generations, shadow
from engine.projections.runner import book_known, bring_up_to_date
from engine.projections.shadow import numbered
from engine.replay_runs import standing
from engine.rulefile import parse
from tests.read_side import DAY, RULES
from tests.shop import COLD_SOON, SMALL, about, stored
from tests.storing import Clock

WARM = RULES.replace('after_silence = "30d"', 'after_silence = "60d"')
THIRD = parse(WARM)
FAST = RULES.replace('after_silence = "30d"', 'after_silence = "2d"')
FOURTH = parse(FAST)


def nine_leads(shop, monkeypatch):
    """Nine leads under the rules SMALL at day 10; a replay takes three leads at once."""
    monkeypatch.setattr(shadow, "CHUNK", 3)
    shop.facts.clock = Clock(10 * DAY)
    shop.record(*(about(number, number * DAY) for number in range(1, 10)))
    shop.put_in_force(SMALL)
    bring_up_to_date(shop.facts, shop.models, 10 * DAY)
    return shop


def start(shop, text=COLD_SOON, **how):
    return replay.start(shop.facts, shop.models, replay.written(text, "test"), **how)


def promote(shop, run, **how):
    return replay.promote(shop.facts, shop.models, run.number, **how)


def revert(shop, run, **how):
    return replay.revert(shop.facts, shop.models, run.number, **how)


def drop(shop, run):
    return replay.drop(shop.facts, shop.models, run.number)


def in_force(shop):
    book = book_known(shop.facts)
    with shop.models.reading() as connection:
        return generations.in_force(connection, book, shop.facts.clock())


def shadow_of(shop, run):
    return numbered(shop.models, run.generation)


def states(shop):
    return [run.state for run in standing(shop.facts, shop.models)]


def cold(shop):
    """How many leads went cold, as readers see it."""
    visits = stored(shop.models, in_force(shop))[0]["stage_visits"]
    return sum(row[3] == "cold" for row in visits)
