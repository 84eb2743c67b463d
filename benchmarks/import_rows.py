"""Importing a large CSV file: how fast, and that memory stays bounded.

    $ python -m benchmarks.import_rows --rows 1000000

The file is written first; the import runs in a process of its own, whose peak
memory the kernel tells. Once rows have an id, once their ids rest on how many
equal rows came before, so that every row has to be remembered.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import Figure, rate, show
from engine.edge import Edge
from engine.importer import import_file
from engine.instants import format_instant
from engine.mapfile import load
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.store.facts import Facts

LIMIT_MB = 600
PER_LEAD = 10  # rows
START = 1_760_000_000_000_000
STEP_US = 7_000_000
WITH_ID = """
name = "with_id"
[[touchpoint]]
source = "bench"
event_id = "{id}"
type = "page_viewed"
occurred_at = "{at}"
identifiers = [{ kind = "user_id", value = "{lead}" }]
channel = { column = "channel", values = { ads = "paid_search", mail = "email", web = "direct" } }
attributes.path = "/{page}"
attributes.seconds = { column = "seconds", as = "integer" }
"""
WITHOUT_ID = WITH_ID.replace("with_id", "without_id").replace('event_id = "{id}"\n', "")


def write_rows(path: Path, rows: int) -> None:
    """Rows of leads all mixed, by time."""
    chance = random.Random(1)
    leads = max(rows // PER_LEAD, 1)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,at,lead,channel,page,seconds\n")
        for number in range(rows):
            at = format_instant(START + number * STEP_US)
            channel = ("ads", "mail", "web")[number % 3]
            lead = chance.randrange(leads)
            file.write(f"{number},{at},u{lead},{channel},p{number % 300},{number % 90}\n")


def import_here(folder: Path, mapping: str) -> dict[str, float]:
    """Import the file in this process; what it took, and the most memory that it had."""
    workspace_key = WorkspaceKey(bytes(32))
    with Facts.open(folder / f"{mapping}.db") as facts:
        edge = Edge(IdentifierKey(bytes(32)), facts.keyring(workspace_key))
        begun = time.perf_counter()
        rows = load(str(folder / f"{mapping}.toml"))
        done = import_file(facts, edge, folder / "rows.csv", rows, workspace_key=workspace_key)
        seconds = time.perf_counter() - begun
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"recorded": done.recorded, "seconds": seconds, "peak_mb": peak_kb / 1024}


def import_apart(folder: Path, mapping: str) -> dict[str, float]:
    """The same in a new process."""
    command = [sys.executable, "-m", "benchmarks.import_rows", "--apart", str(folder), mapping]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def figures(folder: Path, mapping: str, rows: int) -> list[Figure]:
    """Speed and memory of one import; it must have recorded every row."""
    took = import_apart(folder, mapping)
    if took["recorded"] != rows:
        raise SystemExit(f"{took['recorded']} of {rows} rows were recorded")
    name = mapping.replace("_", " ")
    return [
        Figure(f"rows {name}", rate(rows, took["seconds"])),
        Figure(
            f"  memory, of {LIMIT_MB} MB",
            f"{took['peak_mb']:,.0f} MB",
            ratio=LIMIT_MB / took["peak_mb"],
            floor=1.0,
        ),
    ]


def run(rows: int) -> list[Figure]:
    """Every figure of this benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "rows.csv", rows)
        found = []
        for mapping, toml in (("with_id", WITH_ID), ("without_id", WITHOUT_ID)):
            (folder / f"{mapping}.toml").write_text(toml, encoding="utf-8")
            found += figures(folder, mapping, rows)
        return found


def main() -> bool:
    """Read the arguments, run, print the table; whether every floor holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--apart", nargs=2, metavar=("FOLDER", "MAPPING"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.apart:
        print(json.dumps(import_here(Path(given.apart[0]), given.apart[1])))
        return True
    return show(f"Import of {given.rows:,} rows", run(given.rows))


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
