"""Killed wherever it may be, the pipeline ends where it would have ended anyway."""

import os
import random
from contextlib import closing

import pytest

from tests.consuming import Pipeline
from tests.faults.killing import KillRun
from tests.faults.running import new_warm

pytestmark = pytest.mark.services
KILLS, TOUCHPOINTS = 150, 25_000  # over each database
SEED = "LEADLEDGER_TEST_SEED"  # one that failed, to be tried again


@pytest.fixture(scope="module")
def warm():
    """Forks consumers and runners off."""
    made = new_warm()
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_anywhere_all_ends_as_if_nothing_had_happened(
    kind, warm, kafka, request, tmp_path, say
):
    url = request.getfixturevalue("database") if kind == "postgresql" else None
    seed = int(os.environ.get(SEED) or random.randrange(10**6))
    print(f"to try this again: {SEED}={seed}")
    with closing(Pipeline(warm, kafka, tmp_path, url)) as pipeline:
        run = KillRun(pipeline, seed, KILLS, TOUCHPOINTS)
        run.run()
        compared = run.check()
    say(f"{kind}: {run.kills.total} kills in {run.kills.seconds:.0f} s, seed {seed}")
    for line in compared:
        say(f"{kind}: {line}")
