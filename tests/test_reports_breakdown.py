"""Breakdowns: every row is in one bucket, and what is missing or small has a name."""

import json
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadBreakdown
from engine.instants import parse_instant
from engine.reports.breakdown import By, buckets


def leads(owners, **columns):
    base = {
        "lead": list(range(len(owners))),
        "owner": pl.Series(owners, dtype=pl.String),
        "first_values": ["{}"] * len(owners),
        "first_at": [0] * len(owners),
    }
    return pl.DataFrame(base | columns)


def sizes(frame, by, zone="UTC"):
    found = buckets(frame["lead"], frame, by, zone)
    return [(*bucket.by.values(), len(bucket.rows)) for bucket in found]


def test_the_largest_come_first_then_by_name_and_what_is_missing_last():
    frame = leads(["b", None, "a", "c", "c", None, None])
    assert sizes(frame, By(("owner",))) == [("c", 2), ("a", 1), ("b", 1), ("(none)", 3)]


def test_what_is_beyond_the_top_is_other_and_none_is_not_among_it():
    frame = leads(["a", "a", "b", "b", "c", "d", None])
    assert sizes(frame, By(("owner",), top=2)) == [
        ("a", 2),
        ("b", 2),
        ("(other)", 2),
        ("(none)", 1),
    ]


def test_values_that_are_called_none_or_other_go_with_their_namesakes():
    frame = leads(["(none)", None, "(other)", "(other)", "a", "b", "b"])
    assert sizes(frame, By(("owner",), top=1)) == [("b", 2), ("(other)", 3), ("(none)", 2)]


def test_two_dimensions_are_cut_apart():
    said = [json.dumps({"attributes.x": value}) for value in ("p", "p", "q", "r")]
    frame = leads(["a", "a", "b", "b"], first_values=said)
    assert sizes(frame, By(("owner", "attributes.x"), top=1)) == [
        ("a", "p", 2),
        ("(other)", "(other)", 2),
    ]


def test_an_attribute_may_be_called_anything():
    frame = leads(["a", "b"], first_values=[json.dumps({'attributes.a"b.c ü': "x"}), "{}"])
    assert sizes(frame, By(('attributes.a"b.c ü',))) == [("x", 1), ("(none)", 1)]


def test_nobody_falls_into_no_bucket():
    frame = leads(["a"], first_values=["{}"])[:0]
    assert sizes(frame, By(("attributes.x", "month"))) == []


def test_a_month_is_one_of_the_zone():
    frame = leads(["a"], first_at=[parse_instant("2026-02-28T18:00:00Z")])
    assert sizes(frame, By(("month",)), "Asia/Bangkok") == [("2026-03", 1)]
    assert sizes(frame, By(("month",)), "UTC") == [("2026-02", 1)]


def test_only_leads_that_are_asked_about_make_buckets():
    frame = leads(["a", "b", "b"])
    (bucket,) = buckets(pl.Series([0, 0]), frame, By(("owner",)), "UTC")
    assert (bucket.by, bucket.rows.tolist()) == ({"owner": "a"}, [0, 1])


def test_no_dimension_gives_no_buckets():
    assert sizes(leads(["a"]), By()) == []


@pytest.mark.parametrize(
    "dimensions",
    [("city",), ("campaign.city",), ("attributes.",), ("owner", "owner"), ("owner", "month", "x")],
)
def test_what_leads_are_not_known_by_is_refused(dimensions):
    with pytest.raises(BadBreakdown):
        By(dimensions)


def test_a_breakdown_into_no_values_is_refused():
    with pytest.raises(BadBreakdown):
        By(("owner",), top=0)


@given(st.lists(st.sampled_from([None, "a", "b", "c", "(other)"])), st.integers(1, 3))
def test_every_row_is_in_exactly_one_bucket(owners, top):
    frame = leads(owners, first_channel=pl.Series(owners, dtype=pl.String))
    found = buckets(frame["lead"], frame, By(("owner", "channel"), top), "UTC")
    assert Counter(row for bucket in found for row in bucket.rows.tolist()) == Counter(
        frame["lead"].to_list()
    )
    assert len({tuple(bucket.by.values()) for bucket in found}) == len(found)
