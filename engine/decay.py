"""How scores fade: by half in 4096 ticks, on an absolute grid, in integers.

The factors M[r] = round(2 ** (22 - r / 4096)) are shipped, not computed, so that
every machine has the same.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.ruleset import RuleSet, Score

TICK_BITS = 12
TICKS_PER_HALF_LIFE = 1 << TICK_BITS
TICK_MASK = TICKS_PER_HALF_LIFE - 1
FACTOR_BITS = 22
MAX_HALVINGS = 40  # beyond, the sum would leave int64, and nothing is left
FACTORS: NDArray[np.int64] = np.array(
    Path(__file__).with_name("decay_factors.txt").read_text().split(), dtype=np.int64
)


def tick_us(score: Score) -> int:
    """How long a tick of a score takes; 0: it does not fade."""
    return (score.half_life_us or 0) // TICKS_PER_HALF_LIFE


def scores_at(
    scores: NDArray[np.int64], last_at: NDArray[np.int64], rules: RuleSet, as_of: int
) -> NDArray[np.int64]:
    """Micro-points of `last_at` (n x scores), brought forward to an instant as the fold does it."""
    forward = scores[:, : len(rules.scores)].copy()
    for index, score in enumerate(rules.scores):
        if tick := tick_us(score):
            ticks = as_of // tick - last_at // tick
            forward[:, index] = _faded(forward[:, index], ticks)
    return forward


def _faded(points: NDArray[np.int64], ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    halvings = ticks >> TICK_BITS
    shift = FACTOR_BITS + np.minimum(halvings, MAX_HALVINGS)
    half = np.int64(1) << (shift - 1)
    kept = (np.abs(points) * FACTORS[ticks & TICK_MASK] + half) >> shift
    return np.where(halvings > MAX_HALVINGS, 0, np.sign(points) * kept)
