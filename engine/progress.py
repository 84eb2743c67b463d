"""How long work tells how far it has come."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # how much is done, and how much there is in all


def quiet(done: int, total: int) -> None:
    """Say nothing."""
