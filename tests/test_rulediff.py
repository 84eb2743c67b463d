"""What differs between two rule sets: each thing once, in words, and nothing where they are one."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import RulesInvalid
from engine.rulediff import changes, differences
from engine.rulefile import decode, parse
from engine.rulelang.clocks import holidays_of
from tests.naive.random_books import changed
from tests.naive.random_rules import Maker, toml_text, toml_value
from tests.strategies import choices

BASE = """\
name = "shop"
zone = "Asia/Bangkok"
label = { en = "Shop" }
value = "bought"
[[signal]]
name = "looked"
type = ["page_viewed", "ad_clicked"]
[[signal]]
name = "talked"
any = [
  { type = "call_connected", attributes.seconds = { at_least = 30 } },
  { type = "sms_replied" },
]
[[signal]]
name = "bought"
type = "won"
[[score]]
name = "heat"
half_life = "30d"
cap = 100
[[score.earn]]
signal = "looked"
points = 5
at_most = 3
every = "7d"
[[score.earn]]
signal = "talked"
points = 20
[[track]]
name = "life"
[[track.stage]]
name = "new"
[[track.stage]]
name = "warm"
label = { en = "Warm" }
[[track.stage]]
name = "won"
kind = "won"
[[track.move]]
to = "won"
from = ["*"]
when = { signal = "bought" }
[[track.move]]
to = "warm"
when = { score = "heat", at_least = 50, count = { signal = "looked", at_least = 2, within = "1d" } }
[[track.move]]
to = "new"
when = { signal = "looked" }
[[track.move]]
to = "new"
from = "warm"
after_silence = "30d"
of = "talked"
[[funnel]]
name = "way"
window = "90d"
[[funnel.step]]
signal = "looked"
[[funnel.step]]
signal = "talked"
[[funnel.step]]
enters = "life.won"
within = "30d"
[[clock]]
name = "answer"
start = { signal = "looked" }
stop = { signal = "talked" }
within = "1h"
calendar = "office"
[[calendar]]
name = "office"
hours = { mon = "08:00-12:00" }
holidays = ["2026-01-01"]
[[segment]]
name = "idle"
where = { score = "heat", below = 10, value_at_least = { minor = 500, currency = "VND" } }
"""
TO_WARM = "track life, move 2 (to warm)"
TRACK = '[[track]]\nname = "{0}"\nstage = [{{ name = "a" }}]\n'


def lines(older, newer):
    """What differs, as (key, words)."""
    return [(one.key, one.words) for one in differences(decode(older), decode(newer))]


def edited(*edits):
    """The base with texts replaced."""
    text = BASE
    for before, after in edits:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    parse(text)
    return text


# By hand


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"shop"', '"store"', "name shop → store"),
        ('"Asia/Bangkok"', '"UTC"', "zone Asia/Bangkok → UTC"),
        ('{ en = "Shop" }', '{ en = "A shop" }', 'label in en Shop → "A shop"'),
        ('"30d"\ncap', '"14d"\ncap', "score heat: half-life 30 days → 14 days"),
        ("= 20", "= 2.50", "score heat, earning rule 2 (talked): points 20 → 2.5"),
        ('\nevery = "7d"', "", "score heat, earning rule 1 (looked): every 7 days → none"),
        ("at_least = 50", "at_least = 40", f"{TO_WARM}: heat at least 50 → 40"),
        ("at_least = 2,", "at_least = 3,", f"{TO_WARM}: count of looked at least 2 → 3"),
        ('["*"]', '"none"', "track life, move 1 (to won): from * → none"),
        ('from = ["*"]\n', "", "track life, move 1 (to won): from * → the default"),
        ('["*"]', '"*"', 'track life, move 1 (to won): from ["*"] → "*"'),
        ('"30d"\nof', '"9d"\nof', "track life, move 4 (to new): after silence 30 days → 9 days"),
        ('kind = "won"', 'kind = "lost"', "track life, stage won: kind won → lost"),
        ('"Warm" }', '"Warm", th = "อุ่น" }', "track life, stage warm: label in th none → อุ่น"),
        ('= "won"\n[[sc', '= ["won", "x_a"]\n[[sc', "signal bought: type won → one of won, x_a"),
        (
            '"won"\n[[sc',
            '"won"\nchannel = { not = ["email", "sms"] }\n[[sc',
            "signal bought: channel anything → none of email, sms",
        ),
        (
            "{ at_least = 30 }",
            "{ at_least = 30, at_most = 60 }",
            "signal talked, alternative 1: "
            "attributes.seconds at least 30 → at least 30 and at most 60",
        ),
        ('window = "90d"\n', "", "funnel way: window 90 days → none"),
        ('"30d"\n[[cl', '"2w"\n[[cl', "funnel way, step 3: within 30 days → 2 weeks"),
        (
            'stop = { signal = "talked" }',
            'stop = { enters = "life.warm" }',
            "clock answer: stop signal talked → entering life.warm",
        ),
        (
            '{ mon = "08:00-12:00" }',
            '{ mon = "08:00-12:00", tue = ["09:00-10:00"] }',
            "calendar office: hours on tue closed → 09:00-10:00",
        ),
        ("below = 10", "below = 5", "segment idle: heat below 10 → 5"),
        ("minor = 500", "minor = 900", "segment idle: value at least, minor 500 → 900"),
    ],
)
def test_one_change_is_one_line(before, after, words):
    assert [told for _, told in lines(BASE, edited((before, after)))] == [words]


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('"30d"\ncap', '"14d"\ncap', "score.heat.half_life"),
        ("at_least = 2,", "at_least = 3,", "track.life.move.2.when.count.at_least"),
        ('"Warm"', '"Hot"', "track.life.stage.warm.label.en"),
        ('"30d"\n[[cl', '"2w"\n[[cl', "funnel.way.step.3.within"),
    ],
)
def test_a_key_is_the_way_to_what_differs(before, after, key):
    assert [told for told, _ in lines(BASE, edited((before, after)))] == [key]


def test_what_only_one_of_them_has_is_new_or_gone():
    signal = '[[signal]]\nname = "read_pricing"\ntype = "page_viewed"\n'
    more = BASE + signal
    assert lines(BASE, more) == [("signal.read_pricing", "signal read_pricing: new")]
    assert lines(more, BASE) == [("signal.read_pricing", "signal read_pricing: gone")]


def test_a_move_put_in_the_middle_is_one_difference_and_says_what_it_does():
    when = 'when = { seen = "talked", score = "heat", below = 5 }'
    move = f'[[track.move]]\nto = "new"\nfrom = "won"\n{when}\n'
    place = '[[track.move]]\nto = "warm"'
    words = "track life, move 2 (to new): {} (from won; when seen talked and heat below 5)"
    more = edited((place, move + place))
    assert lines(BASE, more) == [("track.life.move.2", words.format("new"))]
    assert lines(more, BASE) == [("track.life.move.2", words.format("gone"))]


def test_a_step_or_alternative_about_something_else_is_another_one():
    newer = edited(
        ('signal = "talked"\n[[funnel', 'signal = "bought"\n[[funnel'), ("sms_replied", "won")
    )
    assert [words for _, words in lines(BASE, newer)] == [
        "signal talked, alternative 2: type sms_replied → won",
        "funnel way, step 2: gone (signal talked)",
        "funnel way, step 2: new (signal bought)",
    ]


def test_a_move_that_is_tried_earlier_is_told_by_what_it_comes_before():
    first, move = BASE.index('[[track.move]]\nto = "won"'), BASE.index('[[track.move]]\nto = "new"')
    end = BASE.index("[[track.move]]", move + 1)
    newer = BASE[:first] + BASE[move:end] + BASE[first:move] + BASE[end:]
    assert lines(BASE, newer) == [
        ("track.life.move.3", "track life, move 3 (to new): now before move 1 (to won)")
    ]


def test_of_moves_in_another_order_a_changed_one_is_known_again():
    timed = BASE[BASE.index('[[track.move]]\nto = "new"\nfrom') : BASE.index("[[funnel]]")]
    place = '[[track.move]]\nto = "won"'
    newer = edited((timed, ""), (place, timed.replace("30d", "9d") + place))
    assert lines(BASE, newer) == [
        (
            "track.life.move.4.after_silence",
            "track life, move 4 (to new): after silence 30 days → 9 days",
        ),
        ("track.life.move.4", "track life, move 4 (to new): now before move 1 (to won)"),
    ]


def test_tracks_in_another_order_are_told_and_new_ones_between_them_change_none():
    one, two, three = map(TRACK.format, ("one", "two", "three"))
    before = f'name = "a"\n{one}{two}'
    assert lines(before, f'name = "a"\n{two}{one}') == [("track.one", "track one: now the last")]
    assert lines(before, f'name = "a"\n{one}{three}{two}') == [("track.three", "track three: new")]


def test_stages_in_another_order_are_told():
    stage = '[[track.stage]]\nname = "new"\n'
    place = '[[track.stage]]\nname = "won"'
    newer = edited((stage, ""), (place, stage + place))
    assert lines(BASE, newer) == [
        ("track.life.stage.new", "track life, stage new: now before stage won")
    ]


def test_an_order_that_means_nothing_is_one_line_since_the_id_is_another():
    earn = '[[score.earn]]\nsignal = "talked"\npoints = 20\n'
    place = '[[score.earn]]\nsignal = "looked"'
    newer = edited((earn, ""), (place, earn + place))
    assert lines(BASE, newer) == [("score.heat.earn", "score heat: earning rules in another order")]


def test_of_long_lists_only_what_differs_is_told():
    days = [f'"2026-01-{day:02}"' for day in range(1, 9)]
    later = '"2027-01-01"'
    short = edited(('["2026-01-01"]', f"[{', '.join(days)}]"))
    longer = edited(('["2026-01-01"]', f"[{', '.join([*days[1:], later])}]"))
    (line,) = lines(short, longer)
    assert line[1] == "calendar office: holidays 8 → 8, with 2027-01-01; without 2026-01-01"
    (line,) = lines(short, edited(('["2026-01-01"]', f"[{', '.join(days[::-1])}]")))
    assert line[1] == "calendar office: holidays 8 → 8, the same in another order"


def test_a_country_is_the_dates_that_it_stands_for():
    country = edited(('["2026-01-01"]', '"TH"'))
    dates = edited(('["2026-01-01"]', str([*holidays_of("TH")])))
    assert lines(country, dates) == []
    assert lines(country, edited(('["2026-01-01"]', '"VN"'))) != []


def test_values_are_those_of_the_files():
    newer = edited(("at_least = 50", "at_least = 40.5"), ('"30d"\n[[clock', '"2w"\n[[clock'))
    found = differences(decode(BASE), decode(newer))
    assert [(one.before, float(one.after)) for one in found[:1]] == [(50, 40.5)]
    assert [(one.before, one.after) for one in found[1:]] == [("30d", "2w")]
    (gone,) = differences(decode(BASE + TRACK.format("more")), decode(BASE))
    assert (gone.before, gone.after) == ({"name": "more", "stage": [{"name": "a"}]}, None)


# What changes at most


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ('"shop"', '"shop"  # with a comment', "nothing"),
        ("cap = 100", "cap = 100.0", "nothing"),
        ('{ en = "Warm" }', '{ en = "Hot" }', "folding"),  # a stage is resolved by its label
        ('zone = "Asia/Bangkok"', 'zone = "UTC"', "folding"),  # the office is open elsewhere
        ('window = "90d"', 'window = "60d"', "questions"),
        ('"shop"', '"store"', "words"),
        ('{ en = "Shop" }', '{ en = "Store" }', "words"),
        ('"90d"', '"90d"\nlabel = { en = "The way" }', "words"),
        ('"idle"', '"idle"\nlabel = { en = "Idle" }', "words"),
        ('"90d"', '"90d"\nentry = "first"', "words"),  # as it is by default
        ('name = "office"', 'name = "office"\nzone = "Asia/Bangkok"', "words"),
    ],
)
def test_what_changes_at_most_is_told(before, after, what):
    newer = edited((before, after))
    assert changes(parse(BASE), parse(newer)) == what
    assert (what == "nothing") == (not lines(BASE, newer))


def test_where_days_begin_is_a_question_where_no_calendar_takes_the_zone_over():
    older, newer = (parse(f'name = "a"\nzone = "{zone}"') for zone in ("UTC", "Asia/Bangkok"))
    assert changes(older, newer) == "questions"


# At random


def mutated(random, rules):
    """A rule set with something in it taken away, doubled, moved or put for something else."""
    rules = copy.deepcopy(rules)
    holders = [(holder, key) for holder in inside(rules) for key in keys(holder)]
    holder, key = random.choice(holders)
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
        case 2 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder)), holder.pop(key))
        case _:
            other, place = random.choice(holders)
            holder[key] = copy.deepcopy(other[place])
    return rules


def inside(value):
    """All tables and lists of a document."""
    if isinstance(value, dict | list):
        yield value
        for key in keys(value):
            yield from inside(value[key])


def keys(holder):
    return list(holder) if isinstance(holder, dict) else range(len(holder))


def lists_of(rules, key):
    """The lists of several tables under a key."""
    for one in inside(rules):
        some = one.get(key) if isinstance(one, dict) else None
        if isinstance(some, list) and len(some) > 1 and isinstance(some[0], dict):
            yield some


def valid(rules):
    """The text of a rule set; None where it is none."""
    text = "\n".join(f"{key} = {toml_value(value)}" for key, value in rules.items())
    try:
        parse(text)
    except RulesInvalid:
        return None
    return text


@settings(max_examples=40, deadline=None)
@given(choices())
def test_two_rule_sets_differ_exactly_if_something_is_told(random):
    rules = Maker(random).make()
    text = toml_text(rules)
    others = [toml_text(changed(random, rules)), toml_text(Maker(random).make())]
    others += filter(None, (valid(mutated(random, rules)) for _ in range(12)))
    assert lines(text, text) == []
    for other in others:
        same = parse(other).id == parse(text).id
        assert same == (lines(text, other) == []) == (lines(other, text) == [])
        assert same == (changes(parse(text), parse(other)) == "nothing")


@settings(max_examples=40, deadline=None)
@given(choices(), st.sampled_from(["earn", "move", "step", "any", "stage", "signal", "segment"]))
def test_what_is_taken_away_from_or_put_into_any_list_is_one_line(random, key):
    rules = Maker(random).make()
    if not (found := [*lists_of(rules, key)]):
        return
    text, some = toml_text(rules), random.choice(found)
    some.pop(random.randrange(len(some)))
    less = toml_text(rules)
    for older, newer, word in ((text, less, "gone"), (less, text, "new")):
        ((_, words),) = lines(older, newer)
        assert f": {word}" in words


@settings(max_examples=40, deadline=None)
@given(choices(), st.sampled_from(["earn", "move", "step", "stage", "track", "clock", "signal"]))
def test_what_changes_its_place_in_any_list_is_one_line(random, key):
    rules = Maker(random).make()
    if not (found := [*lists_of(rules, key)]):
        return
    text, some = toml_text(rules), random.choice(found)
    some.insert(random.randrange(len(some)), some.pop(random.randrange(len(some))))
    moved = toml_text(rules)
    told = lines(text, moved)
    assert len(told) == (text != moved)
    assert all("now " in words or "in another order" in words for _, words in told)
