"""What funnels, clocks, calendars and segments of a valid rule file mean."""

import datetime as dt

from engine.rulefile import parse
from engine.ruleset import Clock, Exclusion, Segment, Step, Trigger
from tests.rule_faults import SIGNALS, TRACK

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def test_a_funnel_keeps_steps_and_exclusions():
    (funnel, strict) = parse(
        f"""{SIGNALS}{TRACK}
        [[funnel]]
        name = "f"
        entry = "every"
        window = "90d"
        [[funnel.step]]
        signal = "visit"
        label = {{ en = "Came" }}
        [[funnel.step]]
        enters = "life.busy"
        within = "30d"
        [[funnel.exclude]]
        signal = "call"
        after = 1
        before = 2
        [[funnel]]
        name = "g"
        order = "strict"
        universe = "visit"
        [[funnel.step]]
        signal = "visit"
        """
    ).funnels
    assert funnel.steps == (
        Step(Trigger(signal="visit"), label={"en": "Came"}),
        Step(Trigger(enters="life.busy"), 30 * DAY),
    )
    assert funnel.exclusions == (Exclusion("call", 1, 2),)
    assert (funnel.order, funnel.entry, funnel.window_us) == ("ordered", "every", 90 * DAY)
    assert (strict.order, strict.entry, strict.universe) == ("strict", "first", ("visit",))


def test_a_clock_runs_by_its_calendar():
    rules = parse(
        f"""{SIGNALS}{TRACK}
        [[clock]]
        name = "k"
        start = {{ enters = "life.busy" }}
        stop = {{ signal = "call" }}
        cancel = {{ enters = "life.parked" }}
        within = "1h"
        calendar = "office"
        [[calendar]]
        name = "office"
        zone = "Asia/Ho_Chi_Minh"
        hours = {{ mon = ["13:30-17:30", "08:30-12:00"], sat = "00:00-24:00" }}
        holidays = ["2026-03-03", "2026-02-17", "2026-03-03"]
        """
    )
    assert rules.clocks == (
        Clock(
            "k",
            Trigger(enters="life.busy"),
            Trigger(signal="call"),
            HOUR,
            Trigger(enters="life.parked"),
            "office",
        ),
    )
    (office,) = rules.calendars
    assert office.zone == "Asia/Ho_Chi_Minh"
    assert office.hours == (((510, 720), (810, 1050)), (), (), (), (), ((0, 1440),), ())
    assert office.holidays == ("2026-02-17", "2026-03-03")


def test_spans_that_touch_are_one():
    (calendar,) = parse(
        'name="a"\n[[calendar]]\nname="c"\nhours={sun=["10:00-11:00", "09:00-10:00"]}'
    ).calendars
    assert calendar.hours[6] == ((540, 660),)


def test_a_calendar_takes_over_the_zone_of_the_rule_set():
    calendar = '[[calendar]]\nname = "c"\nhours = { mon = "09:00-10:00" }\n'
    assert parse(f'name = "a"\n{calendar}').calendars[0].zone == "UTC"
    there = parse(f'name = "a"\nzone = "Asia/Bangkok"\n{calendar}')
    assert (there.zone, there.calendars[0].zone) == ("Asia/Bangkok", "Asia/Bangkok")


def test_a_country_stands_for_its_public_holidays_from_2000_to_2049():
    (calendar,) = parse(
        'name = "a"\n[[calendar]]\nname = "c"\nhours = { mon = "09:00-10:00" }\nholidays = "VN"'
    ).calendars
    days = [dt.date.fromisoformat(day) for day in calendar.holidays]
    assert days == sorted(days)
    assert (days[0].year, days[-1].year) == (2000, 2049)
    assert {dt.date(2026, 4, 30), dt.date(2026, 5, 1), dt.date(2026, 9, 2)} <= set(days)
    assert dt.date(2026, 2, 17) in days  # Tết, by the moon


def test_a_segment_keeps_every_part():
    (segment,) = parse(
        f"""{SIGNALS}
        [[score]]
        name = "s"
        {TRACK}
        [[segment]]
        name = "all"
        label = {{ en = "All" }}
        [segment.where]
        stage = "life.none"
        not_stage = ["life.busy", "life.bought"]
        score = "s"
        below = 1
        seen = "visit"
        not_seen = ["call"]
        silent_for = "3d"
        first_channel = "email"
        last_channel = ["sms", "x_zalo"]
        has_owner = false
        value_at_least = {{ minor = 0, currency = "VND" }}
        """
    ).segments
    assert segment == Segment(
        "all",
        stage=("life.none",),
        not_stage=("life.busy", "life.bought"),
        score="s",
        below=1_000_000,
        seen=("visit",),
        not_seen=("call",),
        silent_for_us=3 * DAY,
        first_channel=("email",),
        last_channel=("sms", "x_zalo"),
        has_owner=False,
        value_minor=0,
        value_currency="VND",
        label={"en": "All"},
    )
