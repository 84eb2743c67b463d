"""What is sent: families of leads that tell random histories, each touchpoint several times.

A family is made from its number alone, so that whoever checks makes it again instead of
remembering it; those of a short run are remembered all the same. Among the copies are other
tellings of a touchpoint, ids that are used twice, and messages that nobody can accept.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from engine.canonical import canonicalise
from engine.codec import decode, encode
from engine.privacy import IdentifierKey
from engine.rulefile import shipped
from engine.touchpoint import Touchpoint
from tests.naive.families import of_family
from tests.naive.random_histories import Delivery, random_history
from tests.naive.random_people import random_people
from tests.naive.touchpoints import Edge
from tests.naive.units import DAY, SECOND, instant_us
from tests.storing import touch

KEY = bytes(range(32, 64))
RULES = shipped()["default"].read_text()
OTHER_RULES = RULES.replace('after_silence = "30d"', 'after_silence = "29d"')
SILENCES = (30 * DAY, 29 * DAY)  # what makes a lead fall due while the run goes on
SOON = 300 * SECOND
MOST_COPIES = 20
LATER = 0.2  # of the copies come with some later slice
HOSTILE = 0.02  # of what is sent
Message = tuple[int, bytes | None]  # partition, value


class Said(NamedTuple):
    """One telling of a touchpoint."""

    delivery: Delivery
    touchpoint: Touchpoint
    mark: bytes  # of all that it says

    @property
    def id(self) -> tuple[str, str]:
        return self.touchpoint.source, self.touchpoint.event_id


def mark(touchpoint: Touchpoint) -> bytes:
    """What tells a telling from all others, whenever it was received."""
    return blake2b(encode(replace(touchpoint, received_at=0)), digest_size=16).digest()


@dataclass(frozen=True)
class World:
    """Families by number."""

    seed: int
    now: int  # when the run began: microseconds, UTC

    @lru_cache(1_000)  # noqa: B019 - a run has one world
    def family(self, number: int) -> list[Said]:
        """What is told of one family, in the order of a first telling."""
        random = Random(f"{self.seed} {number}")
        tell = random.choice((random_history, random_people))
        told = [one for one in tell(random, RULES) if Edge(KEY).deliver(one) is None]
        shift = self._shift(random, told)
        said = []
        for one in told:
            one = of_family(one, number) | {"occurred_at": instant_us(one["occurred_at"]) + shift}
            if Edge(KEY, self.now).deliver(one) is None:
                touchpoint = canonicalise(one, self.now, IdentifierKey(KEY)).touchpoint
                said.append(Said(one, touchpoint, mark(touchpoint)))
        return said

    def _shift(self, random: Random, told: list[Delivery]) -> int:
        """Most families end long ago; some fall silent for long enough during the run."""
        last = max((instant_us(one["occurred_at"]) for one in told), default=0)
        upto = self.now - random.randrange(130) * DAY
        if random.random() < 0.3:
            upto = self.now + random.randrange(SOON) - random.choice((0, *SILENCES))
        return upto - last


@dataclass
class Feed:
    """The messages of a run, slice by slice, and what they come to."""

    world: World
    touchpoints: int
    slices: int
    partitions: int
    families: int = 0  # told so far
    told: int = 0  # touchpoints with ids of their own, so far
    messages: int = 0
    copies: Counter[bytes] = field(default_factory=Counter)  # by mark
    hostile: Counter[str] = field(default_factory=Counter)  # by the reason to come

    def __iter__(self) -> Iterator[list[Message]]:
        random = Random(f"{self.world.seed} feed")
        later: dict[int, list[bytes | None]] = defaultdict(list)
        for number in range(self.slices):
            values = later.pop(number, [])
            while self.told < self.touchpoints * (number + 1) // self.slices:
                self._tell(random, number, values, later)
            for _ in range(round(len(values) * HOSTILE)):
                reason, value = random.choice(_hostile())
                self.hostile[reason] += 1
                values.append(_cut(random, value) if reason == "cut" else value)
            random.shuffle(values)
            self.messages += len(values)
            yield [(random.randrange(self.partitions), value) for value in values]
        self.hostile["undecodable"] += self.hostile.pop("cut", 0)

    def _tell(
        self,
        random: Random,
        number: int,
        values: list[bytes | None],
        later: dict[int, list[bytes | None]],
    ) -> None:
        """Put all copies of one more family among what this slice sends, and later ones."""
        family = self.world.family(self.families)
        self.families += 1
        self.told += len({one.id for one in family})
        for one in family:
            for _ in range(_copies(random)):
                self.copies[one.mark] += 1
                received_at = self.world.now + random.randrange(SECOND)
                value = encode(replace(one.touchpoint, received_at=received_at))
                then = number
                if random.random() < LATER:
                    then = random.randrange(number, self.slices)
                (values if then == number else later[then]).append(value)


def _copies(random: Random) -> int:
    """From 1 to 20; three on average."""
    return random.choices((1, random.randint(2, 4), random.randint(5, MOST_COPIES)), (60, 28, 12))[
        0
    ]


@lru_cache(maxsize=1)
def _hostile() -> list[tuple[str, bytes | None]]:
    """Messages that cannot be accepted, by the reason; `cut`: to be cut short somewhere."""
    nobody = replace(touch("n", "email:ann"), identifiers=())
    return [
        ("undecodable", b"\x00"),
        ("undecodable", None),
        ("undecodable", encode(touch("t", "email:ann")) + b"\x00"),
        ("unknown_schema", b"\xc3\x01" + bytes(8)),
        ("not_canonical", encode(touch("e\u0301", "email:ann"))),
        ("unknown_type", encode(touch("t", "email:ann", type="nonsense"))),
        ("no_identifier", encode(nobody)),
        ("time_in_future", encode(touch("f", "email:ann", occurred_at=2_000_000_000_000_000))),
        *[("cut", encode(touch("c", "email:ann", channel="email")))] * 4,
    ]


def _cut(random: Random, value: bytes | None) -> bytes:
    assert value is not None
    return value[: random.randrange(10, len(value) - 1)]


def said_by(stored: bytes) -> tuple[Touchpoint, bytes]:
    """A stored touchpoint, and its mark."""
    touchpoint = decode(stored)
    return touchpoint, mark(touchpoint)
