"""Consumers and runner, killed over and over while touchpoints come in.

Each life ends by SIGKILL: at a place that has a name, or somewhere. What is sent is let out
slice by slice, one a kill, so that every life finds something to do. Everything but the
moments of random kills follows from the seed.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.consuming import Pipeline, Process
from tests.faults.running import CONSUMER, RUNNER, Run

ANYWHERE = "anywhere"
ONCE_A_LIFE = ("consumer.claimed", "aside.sent")
PLACES = {
    CONSUMER: (
        "consumer.polled",
        "consumer.decoded",
        "consumer.recorded",
        "consumer.kept",
        "consumer.committed",
        *ONCE_A_LIFE,
    ),
    RUNNER: ("runner.derived", "runner.replaced", "runner.moved", "runner.kept"),
}
FILLING = ("runner.begun", "runner.filled", "runner.ready")  # reached once rules change
LONGEST_LIFE_S = 1.2
NEVER_REACHED_S = 3.0
LOOK_EVERY_S = 0.01
TOLD_EVERY = 50  # kills
BATCH = 100


@dataclass
class Slot:
    """A place at which one process after another lives and is killed."""

    name: str
    module: str
    settings: dict[str, object]
    process: Process | None = None
    place: str = ANYWHERE
    until: float = 0.0


@dataclass
class Kills:
    """What a run came to."""

    by_place: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.by_place.total()


class KillRun(Run):
    """One database, a consumer and a runner, so many kills and touchpoints."""

    def __init__(self, pipeline: Pipeline, seed: int, kills: int, touchpoints: int) -> None:
        super().__init__(pipeline, seed, touchpoints, slices=max(1, kills - kills // 10))
        self.wanted = kills
        self.kills = Kills()
        self._random = Random(f"{seed} kills")
        self._slots = [
            Slot("consumer", CONSUMER, {"BATCH": BATCH, "SESSION_SECONDS": 6, "INSTANCE": "one"}),
            Slot("runner", RUNNER, {}),
        ]

    def run(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Kill so often; then let all end in order."""
        begun = time.monotonic()
        self.send(3)
        while self.kills.total < self.wanted:
            for slot in self._slots:
                if slot.process is None:
                    self._begin(slot)
                elif self._is_over(slot) and self.kills.total % TOLD_EVERY == 0:
                    progress(f"{self.kills.total:,} kills, {self.feed.told:,} touchpoints sent")
            time.sleep(LOOK_EVERY_S)
        for slot in self._slots:
            if slot.process is not None:
                slot.process.kill()
        progress("the last ones may live")
        self.drain(*[self.start(slot.module, slot.name) for slot in self._slots])
        self.kills.seconds = time.monotonic() - begun

    def _begin(self, slot: Slot) -> None:
        """Start the next life of a slot, and decide on its end."""
        slot.place = self._place(slot)
        settings, longest_s = dict(slot.settings), NEVER_REACHED_S
        if slot.place == ANYWHERE:
            longest_s = self._random.uniform(0.05, LONGEST_LIFE_S)
        else:
            often = slot.module == CONSUMER and slot.place not in ONCE_A_LIFE
            settings["CRASH_AT"] = f"{slot.place}:{self._random.randint(1, 3) if often else 1}"
        slot.process = self.start(slot.module, slot.name, **settings)
        self.pipeline.started.remove(slot.process)  # there will be thousands
        slot.until = time.monotonic() + longest_s

    def _place(self, slot: Slot) -> str:
        """Where the next life is to end."""
        if slot.module == RUNNER and self._random.random() < 0.2:
            self.publish_rules()
            return self._random.choice(FILLING)
        if self._random.random() < 0.3:
            return ANYWHERE
        return self._random.choice((ANYWHERE, *PLACES[slot.module]))

    def _is_over(self, slot: Slot) -> bool:
        """Whether a life is over; if so, it is counted and the next messages are let out."""
        process = slot.process
        assert process is not None
        if process.code is None and time.monotonic() < slot.until:
            return False
        if process.code is None:
            slot.place = ANYWHERE
            process.kill()
        if process.code != -signal.SIGKILL:
            raise AssertionError(f"the {slot.name} ended by itself:\n{process.said()[-4000:]}")
        self.kills.by_place[slot.place] += 1
        slot.process = None
        self.send()
        return True
