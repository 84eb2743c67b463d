"""Instants: RFC 3339 outside, microseconds inside."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInstant
from engine.instants import format_instant, parse_instant

SECONDS = 1_772_326_800  # 2026-03-01T01:00:00Z


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-03-01T01:00:00Z", SECONDS * 10**6),
        ("2026-03-01t01:00:00z", SECONDS * 10**6),
        ("2026-03-01 01:00:00-00:00", SECONDS * 10**6),
        ("2026-03-01T08:00:00.123456+07:00", SECONDS * 10**6 + 123_456),
        ("2026-03-01T08:00:00.5+07:00", SECONDS * 10**6 + 500_000),
        ("2026-03-01T08:00:00.123456999999+07:00", SECONDS * 10**6 + 123_456),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("2017-01-01T06:59:60.25+07:00", 1_483_228_800_250_000),
    ],
)
def test_an_instant_is_read_to_the_microsecond(text, at):
    assert parse_instant(text) == at


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-03-01T01:00:00", "no offset"),
        ("2026-03-01", "no RFC 3339"),
        ("2026-03-01T01:00Z", "no RFC 3339"),
        ("20260301T010000Z", "no RFC 3339"),
        ("2026-W09-7T01:00:00Z", "no RFC 3339"),
        ("2026-03-01T01:00:00+0700", "no RFC 3339"),
        ("2026-03-01T01:00:00,5Z", "no RFC 3339"),
        ("2026-03-01T01:00:00Z\n", "no RFC 3339"),
        ("2026-03-01T24:00:00Z", "no RFC 3339"),
        ("2026-03-01T01:00:00+24:00", "no RFC 3339"),
        ("\uff12026-03-01T01:00:00Z", "no RFC 3339"),
        ("2026-02-29T01:00:00Z", "no such day"),
        ("0000-01-01T00:00:00Z", "no such day"),
        ("2026-03-01T01:00:61Z", "no such day"),
        ("2016-12-31T23:58:60Z", "leap second"),
        ("", "no RFC 3339"),
    ],
)
def test_what_is_no_instant_is_refused_without_being_quoted(text, problem):
    with pytest.raises(BadInstant, match=problem) as caught:
        parse_instant(text)
    assert not text.strip() or text not in str(caught.value).partition(";")[0]


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1)),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_the_offset_changes_how_it_is_written_and_not_when_it_is(moment, zone):
    utc = moment.replace(tzinfo=UTC)
    at = parse_instant(utc.astimezone(zone).isoformat())
    assert format_instant(at) == utc.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_what_is_written_is_read_back(at):
    assert parse_instant(format_instant(at)) == at


@pytest.mark.parametrize("at", [-62_135_596_800_000_001, 253_402_300_800_000_000, 2**63])
def test_years_beyond_9999_cannot_be_written(at):
    with pytest.raises(BadInstant, match="outside the years 1 to 9999"):
        format_instant(at)
