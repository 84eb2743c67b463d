"""The engine against the naive model: random rule sets, random histories, many instants."""

import os
import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings

from engine import lifecycle
from engine.book import Book
from engine.edge import Edge, Row
from engine.folding import fold
from engine.privacy import WorkspaceKey
from engine.rulefile import parse
from engine.states import funnel_documents, state_documents
from engine.store.facts import Facts
from tests import storeless
from tests.folded_digest import digest
from tests.naive import run
from tests.storing import seeds_over_each
from tests.strategies import (
    TO_BE_MET,
    cases,
    features,
    not_met,
    random_case,
    seeded_cases,
    settled_history,
    shuffled_deliveries,
)

SWEEPS, SWEEP = 4, 350
ALONE = 30  # cases of the part that runs uncompiled
WORKSPACE = WorkspaceKey(bytes(32))


def differences(case):
    """What the naive model and the engine do not agree on."""
    expected = case.outcome()
    taken = storeless.take(case.history)
    assert (taken.aside, taken.duplicates) == (expected.aside, expected.duplicates)
    reads = storeless.exports(case.rules, taken.accepted, case.instants)
    for read, wanted in zip(reads, expected.reads, strict=True):
        assert read["states"] == wanted.states
        assert read["funnels"] == wanted.funnels
    return expected


@pytest.mark.parametrize("sweep", range(SWEEPS))
def test_the_engine_comes_to_what_the_naive_model_comes_to(sweep, say):
    met = Counter()
    for _seed, case in seeded_cases(SWEEP, first=sweep * SWEEP):
        met += features(case.rules, case.history, differences(case))
    rarest = sorted((met[name], name) for name in TO_BE_MET)[:3]
    say(
        f"sweep {sweep}: {SWEEP} random rule sets and histories, {sum(met.values()):,} features "
        f"met, the rarest {', '.join(f'{name} ({n})' for n, name in rarest)}"
    )
    seldom = not_met(met, at_least=10)
    assert not seldom, f"met too seldom to say anything: {seldom}"


@given(case=cases(size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_hypothesis_thinks_of_comes_out_the_same(case):
    differences(case)


@pytest.mark.uncompiled
def test_some_of_them_come_out_the_same_uncompiled():
    for _seed, case in seeded_cases(ALONE, first=5_000):
        differences(case)


def test_compiled_and_uncompiled_give_the_same_bytes():
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "tests.folded_digest", str(ALONE)]

    plain = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert plain.stdout.strip() == digest(ALONE)


@seeds_over_each(sqlite=40, postgresql=24)
def test_order_batches_and_repetition_of_deliveries_never_matter(seed, facts_url):
    random = Random(seed)
    case = random_case(random, 30)
    expected = run(case.rules, settled_history(case.history), case.instants)

    with Facts.open(facts_url) as facts:
        edge = Edge(storeless.KEY, facts.keyring(WORKSPACE))
        for batch in shuffled_deliveries(random, case.history):
            rows = [Row(origin="test", line=i, data=b"", value=one) for i, one in enumerate(batch)]
            arrivals = edge.accept(rows, storeless.RECEIVED_AT)
            lifecycle.record(facts, arrivals, workspace_key=WORKSPACE)
        reads = [exported(facts, case.rules, at) for at in case.instants]

    assert reads == [(read.states, read.funnels) for read in expected.reads]


def exported(facts, rules, at):
    folded = fold(facts.histories(), Book.always(parse(rules)), at)
    states = [{k: v for k, v in d.items() if k != "lead"} for d in state_documents(folded)]
    return states, {f.name: list(funnel_documents(folded, f.name)) for f in folded.rules.funnels}
