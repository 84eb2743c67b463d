"""Whole exports as of any instant, known at any position, by any rules: what the model says."""

import pytest

from tests.answers import World

STORES, FAMILIES = 10, 50
QUESTIONS, ANSWERS = 10, 2_000  # of a store


@pytest.mark.parametrize("seed", range(STORES))
def test_every_answer_is_that_of_the_naive_model(seed, tmp_path, say):
    questions, answers = World(seed, tmp_path, FAMILIES).ask(QUESTIONS, ANSWERS)

    say(f"store {seed}: {questions} questions, {answers:,} answers, as the naive model has them")
