"""How long all others wait while one identifier carries half of the traffic.

    $ python -m benchmarks.hot --rate 1000 --seconds 30

Kafka, consumer, database and runner are real. The runner moves by whole batches, so what
others wait is what all wait. Rounds without and with the hot identifier take turns.
"""

import argparse
import random
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import parts
from benchmarks.beside import messages
from benchmarks.common import Figure, show
from benchmarks.parts import POSTGRES, SQLITE, Eye, Load, Servers
from benchmarks.pipeline import LIMIT_S, SETTLE_S, WIDE, calm, warm
from consumers.settings import STANDARD

HALF = 0.5
MOST = 1.5  # times as long, at most


def waited(servers: Servers, kind: str, hot: float, given: argparse.Namespace) -> float:
    """Seconds that 99 in 100 touchpoints wait at most until they are visible."""
    url, topic = servers.new_database(kind), servers.new_topic()
    count = int(given.rate * (given.seconds + SETTLE_S))
    made = messages(count, random.getrandbits(32), hot)
    with (
        Eye.on(url) as eye,
        parts.runner(url, servers.folder) as runner,
        parts.consumer(url, topic, STANDARD, servers.folder) as consumer,
    ):
        warm(eye, runner)
        return calm(eye, Load(topic), made, given.rate, (runner, consumer))[1]


def main() -> bool:
    """Measure, and print the table; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rate", type=int, default=1000, help="touchpoints a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder, Servers.started(Path(folder)) as servers:
        for kind in (SQLITE, POSTGRES):
            rounds = [
                [waited(servers, kind, hot, given) for hot in (0, HALF)]
                for _ in range(given.rounds)
            ]
            plain, hot = (median(some) for some in zip(*rounds, strict=True))
            figures += [
                Figure(f"{kind}, without: p99", f"{plain * 1000:.0f} ms", LIMIT_S / plain),
                Figure("  with: p99", f"{hot * 1000:.0f} ms", MOST * plain / hot, "of 1.5 x", 1),
            ]
    title = f"{given.rate:,} touchpoints a second for {given.seconds} s, half of them one lead's"
    return show(title, figures, WIDE)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
