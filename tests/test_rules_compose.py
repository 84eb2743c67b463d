"""One rule file made of several: what is joined, what is shared, and what clashes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import compose, rulefile
from engine.errors import RulesClash, RulesInvalid, RulesUnreadable
from engine.rulefile import parse
from engine.rulelang.writer import write

SALES = """\
name = "sales"
label = { en = "Sales", vi = "Bán hàng" }
zone = "Asia/Bangkok"
value = "won"

[[signal]]
name = "won"
type = ["won", "purchased"]

[[signal]]
name = "talk"  # not about machines
actor.kind = { not = "system" }
any = [
  { type = "call_connected", attributes.seconds = { at_least = 30 } },
  { type = "sms_replied" },
]

[[score]]
name = "warmth"
half_life = "30d"
earn = [{ signal = "talk", points = 2.50, at_most = 2 }]

[[track]]
name = "sales"
[[track.stage]]
name = "talking"
[[track.stage]]
name = "customer"
kind = "won"
label = { en = "\\"Customer\\"\\t\\u007f" }
[[track.move]]
to = "customer"
when = { signal = "won" }
[[track.move]]
to = "talking"
when = { score = "warmth", at_least = 1e-06 }

[[funnel]]
name = "talk_to_customer"
step = [{ signal = "talk" }, { enters = "sales.customer" }]
"""
CARE = """\
name = "care"
label = { en = "Care", th = "ดูแล" }
zone = "Asia/Bangkok"

[[signal]]
name = "won"
type = ["won", "purchased"]

[[signal]]
name = "odd"
attributes = { "ô kìa" = { exists = true }, n = -9007199254740993 }

[[track]]
name = "care"
stage = [{ name = "served" }]
[[track.move]]
to = "served"
when = { signal = "won" }

[[clock]]
name = "first_care"
start = { signal = "won" }
stop = { enters = "care.served" }
within = "1d"
calendar = "office"

[[calendar]]
name = "office"
hours = { mon = ["08:30-12:00", "13:30-17:30"] }
holidays = "TH"

[[segment]]
name = "served"
where = { stage = "care.served" }
"""


def composed(*texts: str, name: str | None = None) -> str:
    return compose.compose([(f"{n}.toml", text) for n, text in enumerate(texts, 1)], name)


def test_tracks_run_side_by_side_in_the_order_given():
    sales, care, both = parse(SALES), parse(CARE), parse(composed(SALES, CARE))
    assert both.tracks == sales.tracks + care.tracks
    assert both.scores == sales.scores
    assert both.funnels == sales.funnels
    assert both.clocks == care.clocks
    assert both.calendars == care.calendars
    assert both.segments == care.segments


def test_a_signal_that_both_define_alike_stands_once():
    both = parse(composed(SALES, CARE))
    assert [signal.name for signal in both.signals] == ["won", "talk", "odd"]
    assert both.signals[:2] == parse(SALES).signals
    assert both.signals[2] == parse(CARE).signals[1]


def test_the_heading_is_made_of_both():
    both = parse(composed(SALES, CARE))
    assert (both.name, both.zone, both.value) == ("sales_care", "Asia/Bangkok", "won")
    assert both.label == {"en": "Sales + Care"}
    assert parse(composed(SALES, CARE, name="all")).name == "all"


def test_a_joined_name_is_cut_to_what_a_name_may_be():
    first, second = (f'name = "{letter * 30}"' for letter in "ab")
    assert parse(composed(first, second)).name == "a" * 30 + "_" + "b" * 17


def test_one_file_composed_means_what_it_meant():
    assert parse(composed(SALES)).fold_id == parse(SALES).fold_id


def test_composing_reads_what_it_wrote():
    both = composed(SALES, CARE)
    again = composed(both)
    assert parse(again).fold_id == parse(both).fold_id
    assert again.splitlines()[1:] == both.splitlines()[1:]


def test_names_that_clash_are_refused_with_both_places():
    other = SALES.replace('"purchased"', '"renewed"').replace("sales", "again")
    with pytest.raises(RulesClash) as caught:
        composed(SALES, other)
    assert [tuple(clash) for clash in caught.value.clashes] == [
        ("signal `won`", "1.toml line 6", "2.toml line 6"),
        ("funnel `talk_to_customer`", "1.toml line 38", "2.toml line 38"),
    ]
    assert "funnel `talk_to_customer` stands in 1.toml line 38 and in 2.toml line 38" in str(
        caught.value
    )
    assert (caught.value.code, caught.value.exit_code) == ("rules_clash", 2)


def test_tracks_of_one_name_clash_even_when_they_are_alike():
    with pytest.raises(RulesClash) as caught:
        composed(CARE, CARE)
    assert [clash.what for clash in caught.value.clashes] == [
        "track `care`",
        "clock `first_care`",
        "segment `served`",
    ]


def test_another_zone_or_value_clashes():
    other = 'name = "other"\nvalue = "lost"\n[[signal]]\nname = "lost"\ntype = "lost"\n'
    with pytest.raises(RulesClash) as caught:
        composed(SALES, other)
    assert [tuple(clash) for clash in caught.value.clashes] == [
        ("another zone (Asia/Bangkok, UTC)", "1.toml line 3", "2.toml"),
        ("another value (won, lost)", "1.toml line 4", "2.toml line 2"),
    ]


def test_more_than_four_tracks_are_refused():
    texts = [
        f'name = "n{n}"\ntrack = [{{ name = "t{n}", stage = [{{ name = "a" }}] }}]'
        for n in range(5)
    ]
    assert len(parse(composed(*texts[:4])).tracks) == 4
    with pytest.raises(RulesInvalid) as caught:
        composed(*texts)
    (fault,) = caught.value.faults
    assert (fault.key, fault.line) == ("track[4]", None)
    assert "5 are too many, at most 4" in fault.message


def test_a_faulty_file_is_named():
    with pytest.raises(RulesInvalid, match=r"^2\.toml has a fault"):
        composed(SALES, 'name = "Care"')


def test_files_are_composed_from_disk(tmp_path):
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path, text in zip(paths, [SALES, CARE], strict=True):
        path.write_text(text, "utf-8")
    assert compose.compose_files(paths) == composed(SALES, CARE)
    with pytest.raises(RulesUnreadable):
        compose.compose_files([*paths, tmp_path / "c.toml"])


texts = st.text(st.characters(codec="utf-8"))
scalars = texts | st.integers(-(2**63), 2**63 - 1) | st.booleans()
keys = texts | st.sampled_from(["attributes", "earn", "any"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(keys, values, max_size=4))
def test_what_is_written_reads_back_the_same(document):
    assert rulefile.decode(write(document)) == document
