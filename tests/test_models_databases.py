"""Read models are the same in SQLite and in PostgreSQL, kept up and rebuilt, to the last byte."""

import json
from contextlib import ExitStack, closing
from random import Random

import psycopg
import pytest

from engine import reading
from engine.book import Book
from engine.edge import Edge, Row
from engine.errors import ReadModelsDamaged
from engine.lifecycle import record
from engine.privacy import IdentifierKey
from engine.projections.database import Models
from engine.projections.projection import READ_MODELS
from engine.reading import Question
from engine.rulefile import parse, read, shipped
from engine.sample import touchpoints
from engine.store.facts import models_of
from tests.read_side import DAY
from tests.shop import OTHER, SMALL, Shop, about
from tests.storing import WORKSPACE_KEY

pytestmark = pytest.mark.services

NOW = 1_790_000_000_000_000
KEY = IdentifierKey(bytes(range(32)))


@pytest.fixture
def both(tmp_path, facts_database):
    """A shop in each kind of database."""
    Models.discard(models_of(facts_database))
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Shop(where))) for where in (tmp_path, facts_database)]


def deliver(shop, lines):
    rows = [Row(origin="test", line=number, data=line) for number, line in enumerate(lines)]
    edge = Edge(KEY, shop.facts.keyring(WORKSPACE_KEY))
    record(shop.facts, edge.accept(rows, NOW), workspace_key=WORKSPACE_KEY)


def batches(chance, lines):
    while lines:
        size = chance.randint(1, 120)
        yield lines[:size]
        lines = lines[size:]


@pytest.mark.parametrize(("rules", "seed"), [("default", 0), ("aida", 1)])
def test_both_kinds_hold_the_same_rows_kept_up_or_rebuilt(both, rules, seed):
    chance, text = Random(seed), read(shipped()[rules])
    rules = parse(text)
    for shop in both:
        shop.publish(text)
    told = touchpoints(now=NOW, leads=40, seed=seed)
    lines = [json.dumps(one, ensure_ascii=False).encode() for one in told]
    chance.shuffle(lines)  # most come late
    now = NOW - 60 * DAY
    for batch in batches(chance, lines):
        now += chance.randrange(20 * DAY)
        for shop in both:
            deliver(shop, batch)
            if chance.random() < 0.5:
                shop.keep_up(now, rules)
    kept = [shop.keep_up(now, rules) and shop.stored() for shop in both]
    assert kept[0] == kept[1]
    assert sum(map(len, kept[0][0].values())) > 100
    for shop in both:
        shop.rebuild(now, chunk=7, rules=rules)
        assert shop.stored() == kept[0]


def test_what_is_asked_is_answered_alike(both):
    for shop in both:
        shop.record(*(about(number, number * DAY, type="price_asked") for number in range(1, 10)))
    for asked in (
        {},
        {"as_of": 4 * DAY},
        {"book": Book.always(OTHER)},
        {"as_of": 30 * DAY, "book": Book.always(OTHER)},
    ):
        for shop in both:
            shop.put_in_force(SMALL)
        question = Question(Book.always(SMALL), now=12 * DAY, **asked)
        ours, theirs = (reading.frames(one.facts, one.models, question) for one in both)
        for model in READ_MODELS:
            assert ours[model].equals(theirs[model]), (asked, model.name)
            assert ours[model].schema == theirs[model].schema


def test_words_are_ordered_by_their_bytes_whatever_the_database_goes_by(both):
    both[1].keep_up(DAY)
    collations = (
        "SELECT DISTINCT collation_name FROM information_schema.columns "
        "WHERE table_schema = 'models' AND data_type = 'text'"
    )
    with both[1].models.reading() as connection:
        assert connection.execute(collations).fetchall() == [("C",)]


def test_tables_that_are_half_gone_are_said_to_hold_no_fact_and_can_be_discarded(facts_database):
    Models.discard(facts_database)
    Models.open(facts_database).close()
    with psycopg.connect(facts_database) as connection:
        connection.execute("ALTER TABLE models.generations RENAME TO something")
    with pytest.raises(ReadModelsDamaged):
        Models.open(facts_database)
    Models.discard(facts_database)
    shop = Shop(facts_database)
    shop.record(about(1, 0))
    assert shop.keep_up(DAY).checkpoint == 2
    shop.close()
