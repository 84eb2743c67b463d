"""Faulty and sound rule files that several tests start from."""

import pytest

from engine.errors import Fault, RulesInvalid
from engine.rulefile import parse

SIGNALS = """
name = "shop"
[[signal]]
name = "visit"
type = "page_viewed"
[[signal]]
name = "call"
type = "call_connected"
"""
TRACK = """
[[track]]
name = "life"
[[track.stage]]
name = "new"
[[track.stage]]
name = "parked"
kind = "parked"
[[track.stage]]
name = "busy"
[[track.stage]]
name = "bought"
kind = "won"
"""
FAULTY = """\
label = { en = "Bad", fr = "Mauvais" }
zone = "Asia/Saigonn"
started = 2026-01-01

[[signal]]
name = "visit"
typ = "page_viewed"
type = 1.0

[[signal]]
name = "Call"
attributes.seconds = { at_least = nan, matches = "(" }

[[score]]
name = "engagement"
half_life = "30min"
floor = 1
[[score.earn]]
signal = ["visit"]
points = 5.1234567
every = "7d"

[[track]]
name = "life"
[[track.stage]]
name = "none"
[[track.stage]]
name = "mql"
[[track.move]]
to = "mlq"
when = { score = "engagement" }

[[segment]]
name = "hot"
where = {}
"""
SOUND = """\
name = "a"
[[signal]]
name = "visit"
type = "page_viewed"
[[score]]
name = "s"
[[track]]
name = "life"
stage = [{ name = "new" }, { name = "old" }, { name = "cold", kind = "parked" }]
"""
HERE = 1 + SOUND.count("\n")  # the line after


def faults_of(text: str) -> list[Fault]:
    """The faults that a text is refused with."""
    with pytest.raises(RulesInvalid) as caught:
        parse(text)
    return caught.value.faults
