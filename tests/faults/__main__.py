"""The kill run by hand; see tests/faults/run."""

import argparse
import os
import random
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.consuming import Pipeline
from tests.faults.killing import KillRun
from tests.faults.running import new_warm
from tests.services.brokers import Broker, jars
from tests.services.janitor import watched_folder
from tests.services.postgres import OwnPostgres

FOLDED_NAIVELY = 200_000  # touchpoints; more would take the naive model hours


def main() -> int:
    """Start the servers, kill, ask the oracles, tell; the exit code."""
    asked = _asked()
    folder = watched_folder(os.getpid())
    print(f"seed {asked.seed}; logs and databases in {folder} until the end", flush=True)
    broker = Broker(folder / "kafka", jars())
    broker.start()
    warm = new_warm()
    held = True
    for kind in ("sqlite", "postgres") if asked.database == "both" else (asked.database,):
        place = folder / kind
        place.mkdir()
        url = _new_server(folder) if kind == "postgres" else None
        with closing(Pipeline(warm, broker, place, url)) as pipeline:
            run = KillRun(pipeline, asked.seed, asked.kills, asked.touchpoints)
            held &= _carried_out(run, kind)
    warm.close()
    broker.stop()
    return 0 if held else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/faults/run", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="of consumer and runner together")
    parser.add_argument("--touchpoints", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    return parser.parse_args()


def _new_server(folder: Path) -> str:
    server = OwnPostgres(folder / "postgres")
    server.start()
    return server.new_database()


def _carried_out(run: KillRun, kind: str) -> bool:
    """Do it, and tell what it came to; whether all held."""
    begun = time.monotonic()

    def progress(line: str) -> None:
        print(f"{kind} {time.monotonic() - begun:6.0f} s: {line}", flush=True)

    run.run(progress)
    kills = run.kills
    print(f"{kind}: {kills.total:,} kills in {kills.seconds:.0f} s, {run.starts:,} starts")
    for place, count in sorted(kills.by_place.items()):
        print(f"  {count:6,} at {place}")
    try:
        for line in run.check(FOLDED_NAIVELY):
            print(f"  {line}")
    except AssertionError as differs:
        print(f"{kind}: DIFFERS: {str(differs)[:4000]}")
        return False
    print(f"{kind}: all oracles agree", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
