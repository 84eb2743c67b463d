"""Statistics of times: exact means, linear quantiles, calendar days of the rule set's zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instants import parse_instant
from engine.reports.times import Spans, mean, quantiles, spans, statistics


def between(begun, ended, zone):
    instants = (pl.Series([parse_instant(text)]) for text in (begun, ended))
    return spans(*instants, zone, np.ones(1, np.bool_))


def test_figures_of_a_few_times():
    taken = Spans(np.array([40, 10, 20, 30]), np.array([4, 1, 2, 3]))
    assert statistics(taken) == {
        "n": 4,
        "mean_us": 25.0,
        "median_us": 25.0,
        "p90_us": pytest.approx(37.0),  # 30 + 0.7 of the way to 40
        "mean_days": 2.5,
        "median_days": 2.5,
        "p90_days": pytest.approx(3.7),
    }


def test_figures_of_nothing_are_null_and_not_zero():
    nothing = statistics(Spans(np.array([], np.int64), np.array([], np.int64)))
    assert nothing.pop("n") == 0
    assert set(nothing.values()) == {None}


def test_days_are_midnights_passed_in_the_zone():
    begun, ended = "2026-03-01T16:30:00Z", "2026-03-01T17:30:00Z"  # 23:30 to 00:30 in Viet Nam
    assert between(begun, ended, "Asia/Ho_Chi_Minh").days.tolist() == [1]
    assert between(begun, ended, "UTC").days.tolist() == [0]


def test_a_day_of_23_hours_is_a_day():
    taken = between("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "Europe/Berlin")
    assert (taken.us.tolist(), taken.days.tolist()) == ([23 * 3600 * 10**6], [1])


@given(
    st.sampled_from(["UTC", "Asia/Ho_Chi_Minh", "Africa/Monrovia", "America/Sao_Paulo"]),
    st.lists(st.integers(-12, 12), min_size=30),
    st.integers(-500, 500),
)
def test_days_of_many_instants_are_those_of_each(zone, steps, days_from):
    base = (days_from * 86_400 + 63_593_070) * 10**6  # about when Monrovia left -0:44:30
    instants = [base + step * 917_000_001 for step in steps]  # a quarter of an hour, about
    begun, ended = pl.Series([0] * len(instants)), pl.Series(instants)
    many = spans(begun, ended, zone, np.ones(len(instants), np.bool_)).days.tolist()
    of_each = [
        (datetime.fromtimestamp(at / 10**6, ZoneInfo(zone)).date() - _first(zone)).days
        for at in instants
    ]
    assert many == of_each


def _first(zone):
    return datetime.fromtimestamp(0, ZoneInfo(zone)).date()


def test_a_mean_is_exact_where_the_sum_leaves_64_bits():
    assert mean(np.array([2**62, 2**62 + 4, 2**62 + 2])) == float(2**62 + 2)


@given(st.lists(st.integers(0, 10**15), min_size=1), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values, share):
    [ours] = quantiles(np.array(values), [share])
    assert ours == pytest.approx(np.quantile(values, share, method="linear"), rel=1e-12)
