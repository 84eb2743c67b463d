"""What can be wrong with a set-up and its files, and the way out of it.

Nothing is changed and no lock is taken. Each check returns what it found in order,
or raises; whatever it raises becomes a finding, so that one fault hides no other.
"""

import dataclasses
import os
import pwd
import shlex
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine import doctor_store, mapfile, rulefile
from engine.catalogue import catalogue, currencies, placeholders
from engine.codec import schema_fingerprint
from engine.doctor_store import DEFAULT_RULES, Place, Wrong
from engine.errors import EngineError, StoreMissing
from engine.projections import database
from engine.settings import IDENTIFIER_KEY, KEY_BYTES, WORKSPACE_KEY, Settings
from engine.store.facts import file_of, models_beside
from engine.store.faults import told_clearly
from engine.store.schema import FACTS

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE, SOUND_SQLITE = (3, 35, 0), (3, 51, 3)
ROOM_BYTES = 256 << 20  # the log at its longest, its way into the file, and something to spare
ZONES = ("UTC", "Asia/Ho_Chi_Minh", "Asia/Bangkok")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check came to; `fix` is empty where nothing is wrong."""

    check: str
    ok: bool
    what: str
    fix: str = ""

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return dataclasses.asdict(self)


def examine(environ: Mapping[str, str], db: str | None) -> list[Finding]:
    """Look at program, keys, disk and database; never raises, changes nothing, shows no key."""
    findings = [_look(name, check) for name, check in PROGRAM.items()]
    try:
        place = _place(environ, db)
    except EngineError as error:
        return [*findings, _told("settings", error)]
    findings += [_look(name, check, place) for name, check in AROUND.items()]
    with ExitStack() as stack:
        facts = _opened(stack, place.facts, FACTS, "database", findings)
        if facts is None:
            return findings
        findings += [_look(name, check, place, facts) for name, check in WITHIN.items()]
        if place.models.exists() and place.models.stat().st_size:
            models = _opened(stack, place.models, database.FORMAT, "read_models", findings)
            if models is not None:
                findings.append(_look("checkpoint", doctor_store.stand, place, facts, models))
    return findings
