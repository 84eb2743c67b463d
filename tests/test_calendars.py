"""Calendars: where the open hours that are laid out end."""

import pytest

from engine.folded import OPEN
from engine.history import NEVER
from engine.instants import parse_instant
from tests.read_side import folded, touch

LAST = 18_263  # open hours from 2099-12-31T09:00 to the end of 2149, one a day
RULES = """
name = "patience"
[[signal]]
name = "asked"
type = "form_submitted"
[[signal]]
name = "called"
type = "call_connected"
[[clock]]
name = "reply"
start = {{ signal = "asked" }}
stop = {{ signal = "called" }}
within = "{hours}h"
calendar = "an_hour_a_day"
[[calendar]]
name = "an_hour_a_day"
zone = "UTC"
hours = {{ {hours_of_days} }}
"""
DAYS = ", ".join(f'{day} = ["09:00-10:00"]' for day in "mon tue wed thu fri sat sun".split())


def run(hours, as_of):
    """The one run of the clock: when it is due, and what became of it."""
    asked = touch(parse_instant("2099-12-31T09:00:00Z"), type="form_submitted")
    rules = RULES.format(hours=hours, hours_of_days=DAYS)
    (one,) = folded(rules, {"lead": [asked]}, parse_instant(as_of)).clock_runs
    return int(one["due"]), int(one["outcome"])


@pytest.mark.parametrize("as_of", ["2099-12-31T09:00:00Z", "2200-01-01T00:00:00Z"])
def test_the_last_open_hour_that_counts_is_that_of_the_last_day_of_2149(as_of):
    assert run(LAST, as_of) == (parse_instant("2149-12-31T10:00:00Z"), OPEN)


@pytest.mark.parametrize("hours", [LAST + 1, 8_000_000])
def test_what_takes_longer_is_never_due(hours):
    assert run(hours, "2200-01-01T00:00:00Z") == (NEVER, OPEN)
