"""A naive model of the semantics: the oracle that the engine is compared with.

Plain Python from the written rules alone. It imports nothing of the product, so
that a mistake in one is not a mistake in both; where two ways are open it takes
the one that reads like the definition, however slow.
"""

from tests.naive.model import KEY, Outcome, Read, run

__all__ = ["KEY", "Outcome", "Read", "run"]
