"""How long to wait before trying again."""

import random


class Backoff:
    """Waits that double up to a longest, each cut by up to a half: so that waiters come apart."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self.failures = 0  # one after the other

    def next_s(self) -> float:
        """How long to wait after one more failure, in seconds."""
        wait_s = min(self._first_s * 2.0 ** min(self.failures, 16), self._longest_s)
        self.failures += 1
        return wait_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It went well: the next wait is a first one."""
        self.failures = 0
