"""Who is who against the naive model: any order, any batches, incremental as rebuilt."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

from engine import lifecycle
from engine.book import Book
from engine.codec import decode
from engine.edge import Edge, Row
from engine.folding import fold
from engine.privacy import WorkspaceKey
from engine.projections import runner
from engine.projections.database import Models
from engine.projections.generations import read, ready_generations
from engine.projections.projection import PROJECTIONS
from engine.rulefile import parse
from engine.states import funnel_documents, state_documents
from engine.store.append import append
from engine.store.facts import Facts, models_of
from engine.store.rebuild import TABLES, rebuild, rebuild_evidence
from engine.store.rulebook import WrittenRules
from engine.touchpoint import Encoded
from tests import storeless
from tests.naive import run
from tests.naive.random_people import FEW, random_people
from tests.naive.random_rules import chance, random_rules
from tests.storing import seeds_over_each
from tests.strategies import random_instants, settled_history, shuffled_deliveries

WORKSPACE = WorkspaceKey(bytes(32))
STATES = """
SELECT state FROM stored_events WHERE stored_events.rowid <= ? ORDER BY stored_events.rowid
"""


def exported(facts, rules, at, known_at=None):
    folded = fold(facts.histories(known_at=known_at), Book.always(parse(rules)), at)
    states = [{k: v for k, v in d.items() if k != "lead"} for d in state_documents(folded)]
    return states, {f.name: list(funnel_documents(folded, f.name)) for f in folded.rules.funnels}


def people_case(seed):
    random = Random(seed)
    rules = random_rules(random)
    history = settled_history(random_people(random, rules, size=40))
    return random, rules, history, random_instants(random, rules, history)


def told(random, facts, history):
    """Record a history in other batches and another order; yields after each batch."""
    facts.too_common = FEW
    edge = Edge(storeless.KEY, facts.keyring(WORKSPACE))
    for batch in shuffled_deliveries(random, history):
        rows = [Row(origin="test", line=i, data=b"", value=one) for i, one in enumerate(batch)]
        arrivals = edge.accept(rows, storeless.RECEIVED_AT)
        yield lifecycle.record(facts, arrivals, workspace_key=WORKSPACE)


@seeds_over_each(sqlite=60, postgresql=10)
def test_leads_are_those_of_the_naive_model_in_whatever_order_evidence_comes(seed, facts_url):
    random, rules, history, instants = people_case(seed)
    expected = run(rules, history, instants, identity=FEW)
    with Facts.open(facts_url) as facts:
        for _ in told(random, facts, history):
            pass
        reads = [exported(facts, rules, at) for at in instants]
    assert reads == [(read.states, read.funnels) for read in expected.reads]


def publish(facts, text):
    rules = parse(text)
    facts.publish(WrittenRules(rules.id, rules.name, text))


def rows(models):
    with models.reading() as connection:
        return read(connection, ready_generations(connection)[-1], PROJECTIONS)


@seeds_over_each(sqlite=60, postgresql=10)
def test_read_models_kept_up_to_date_are_those_derived_anew(seed, facts_url):
    random, rules, history, _ = people_case(1000 + seed)
    with Facts.open(facts_url) as facts:
        publish(facts, rules)
        models = Models.open(models_of(facts_url))
        for number, _ in enumerate(told(random, facts, history)):
            if number % 3 == 0 or chance(random, 30):
                runner.bring_up_to_date(facts, models, storeless.RECEIVED_AT)
        runner.bring_up_to_date(facts, models, storeless.RECEIVED_AT)
        kept = rows(models)
        runner.rebuild(facts, models, storeless.RECEIVED_AT)
        anew = rows(models)
        models.close()
    for name, table in anew.items():
        assert kept[name].rows() == table.rows(), name


@seeds_over_each(sqlite=4, postgresql=8)
def test_consumers_that_race_and_a_runner_beside_them_leave_what_one_would(seed, facts_url):
    random, rules, history, instants = people_case(4000 + seed)
    expected = run(rules, history, instants, identity=FEW)
    shares = [random.sample(history, len(history)), random.choices(history, k=len(history))]

    def consume(share):
        with Facts.open(facts_url) as facts:
            for _ in told(Random(seed), facts, share):
                pass

    with Facts.open(facts_url) as facts:
        publish(facts, rules)
    models = Models.open(models_of(facts_url))
    with ThreadPoolExecutor(2) as pool, Facts.open(facts_url) as facts:
        facts.too_common = FEW
        consumers = [pool.submit(consume, share) for share in shares]
        while not all(consumer.done() for consumer in consumers):
            runner.bring_up_to_date(facts, models, storeless.RECEIVED_AT)
        for consumer in consumers:
            consumer.result()
        reads = [exported(facts, rules, at) for at in instants]
        runner.bring_up_to_date(facts, models, storeless.RECEIVED_AT)
        caught_up = rows(models)
        runner.rebuild(facts, models, storeless.RECEIVED_AT)
        anew = rows(models)
    models.close()
    assert reads == [(read.states, read.funnels) for read in expected.reads]
    assert {name: table.rows() for name, table in caught_up.items()} == {
        name: table.rows() for name, table in anew.items()
    }


def kept(facts):
    """All that is kept beside the streams, table by table."""
    with facts.snapshot() as connection:
        return {
            table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}").fetchall()))
            for table in TABLES
        }


@seeds_over_each(sqlite=20, postgresql=6)
def test_what_is_kept_of_identity_is_made_again_from_the_streams_alone(seed, facts_url):
    random, _, history, _ = people_case(2000 + seed)
    with Facts.open(facts_url) as facts:
        for _ in told(random, facts, history):
            pass
        before = kept(facts)
        for make_again in (rebuild, rebuild_evidence):
            with facts.transaction() as connection:
                assert make_again(connection) == facts.head()
            assert kept(facts) == before


@seeds_over_each(sqlite=30, postgresql=6)
def test_leads_known_at_a_position_are_those_of_the_touchpoints_up_to_it(seed, facts_url, tmp_path):
    random, rules, history, (*_, at) = people_case(3000 + seed)
    with Facts.open(facts_url) as facts:
        for _ in told(random, facts, history):
            pass
        known_at = random.randint(1, facts.head())
        known = exported(facts, rules, at, known_at)
        with facts.snapshot() as connection:
            states = connection.execute(STATES, (known_at,)).fetchall()
    with Facts.open(tmp_path / "then.db") as then:
        then.too_common = FEW
        with then.transaction() as connection:
            append(connection, then.memory, [Encoded(decode(data), data) for (data,) in states])
        assert exported(then, rules, at) == known
