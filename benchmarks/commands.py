"""Commands on the sample: how long they work after imports, and in all.

$ python -m benchmarks.commands
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.common import Figure, show

RUNS = 5
WORK_S, WHOLE_S = 0.5, 2.0
TIMED = """
import sys, time
import engine.cli.main, {imports}
began = time.perf_counter()
try:
    engine.cli.main.cli({words!r})
except SystemExit:
    pass
print(time.perf_counter() - began, file=sys.stderr)
"""
IMPORTS = {
    "pipeline": "engine.cli.reports, engine.reading, engine.reports.pipeline, engine.store.facts",
    "lead show": "engine.cli.lead, engine.lead_names, engine.rulefile, engine.store.facts",
}


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        command("demo", "--folder", folder)
        database = str(Path(folder) / "leadledger.db")
        listed = json.loads(command("leads", "--limit", "1", "--json", "--db", database))
        lead = listed["leads"][0]["lead"]
        asked = {
            "pipeline": ["pipeline", "--db", database],
            "lead show": ["lead", "show", lead, "--db", database],
        }
        figures = [figure for name, words in asked.items() for figure in timed(name, words)]
    show("commands on the sample", figures)


def timed(name: str, words: list[str]) -> list[Figure]:
    """The median of some runs: the work after imports, and the whole command."""
    works, wholes = [], []
    for _ in range(RUNS):
        script = TIMED.format(imports=IMPORTS[name], words=words)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        works.append(float(done.stderr.split()[-1]))
        began = time.perf_counter()
        command(*words)
        wholes.append(time.perf_counter() - began)
    work, whole = median(works), median(wholes)
    return [
        Figure(f"{name}: work", f"{work:.2f} s", WORK_S / work, "of half a second", 1),
        Figure(f"{name}: whole command", f"{whole:.2f} s", WHOLE_S / whole, "of two seconds", 1),
    ]


def command(*words: str) -> str:
    """Run the real command."""
    executable = str(Path(sys.executable).with_name("leadledger"))
    return subprocess.run([executable, *words], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
