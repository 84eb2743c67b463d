"""Run the parts of ./check one after another; each prints a line with its outcome and time."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent  # unresolved: the environment's, not the interpreter's
PYTEST = (sys.executable, "-m", "pytest", "-n", "2")
USAGE, INTERRUPTED = 2, 130
# Tests start Python hundreds of times: modules are compiled once, and out of the sources' way.
KEPT = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BIN.parent / "pycache")}
_PROGRESS = re.compile(r"^[.sxXFE]+ *(\[ *\d+%\])?$|^bringing up nodes|^\d+ workers? \[|^$")


@dataclass(frozen=True)
class Part:
    """One thing that must hold, and the command that says whether it does."""

    name: str
    about: str
    command: Sequence[str | Path]
    environment: dict[str, str] = field(default_factory=dict)
    tells: bool = False  # its output is worth reading even when all is well


PARTS = (
    Part("format", "code is laid out by ruff", (BIN / "ruff", "format", "--check", ".")),
    Part("lint", "ruff finds no fault", (BIN / "ruff", "check", ".")),
    Part(
        "types",
        "mypy --strict over engine/, consumers/ and benchmarks/",
        (BIN / "mypy", "--strict", "engine", "consumers", "benchmarks"),
    ),
    Part("layers", "modules import downwards only", (BIN / "lint-imports",)),
    Part("tests", "every test", PYTEST, tells=True),
    Part(
        "uncompiled",
        "the fold's tests once more as plain Python",
        (*PYTEST, "-m", "uncompiled"),
        {"NUMBA_DISABLE_JIT": "1"},
        tells=True,
    ),
)


def main(names: Sequence[str]) -> int:
    """Run the named parts, or all; 0 when all pass, 1 when one fails."""
    known = {part.name: part for part in PARTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        helped = unknown[0] in ("-h", "--help")
        print("usage: ./check [PART...]\n", file=sys.stdout if helped else sys.stderr)
        for part in PARTS:
            print(f"  {part.name:11} {part.about}", file=sys.stdout if helped else sys.stderr)
        return 0 if helped else USAGE
    started = time.monotonic()
    outcomes = [run(known[name]) for name in names or known]
    print(f"took {time.monotonic() - started:.0f} s")
    print(f"check: {outcomes.count(True)} passed, {outcomes.count(False)} failed")
    return 0 if all(outcomes) else 1


def run(part: Part) -> bool:
    """Run one part; its output is shown where it failed, or tells something."""
    if sys.stdout.isatty():
        print(f"{part.name:11} ...", end="\r", flush=True)
    started = time.monotonic()
    outcome = subprocess.run(
        [str(word) for word in part.command],
        cwd=ROOT,
        env=os.environ | KEPT | part.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    passed = outcome.returncode == 0
    print(f"{part.name:11} {'ok' if passed else 'FAILED':6} {time.monotonic() - started:6.1f} s")
    if part.tells or not passed:
        kept = (line for line in outcome.stdout.splitlines() if not _PROGRESS.match(line))
        print("\n".join(kept), flush=True)
    return passed


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
