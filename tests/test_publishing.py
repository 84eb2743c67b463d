"""Rule sets published: what judges from when on, what that ends, and what is refused."""

import threading
from functools import partial
from itertools import count
from random import Random

import pytest

from engine import ruleid
from engine.book import lost_names
from engine.errors import NamesLost, SeveralRuleSets, UnknownRuleSet
from engine.history import BEGINNING
from engine.instants import format_instant, parse_instant
from engine.publishing import LIVE, for_good, is_published, log, publish, published
from engine.rulefile import load, parse, read, shipped
from engine.rulelang import clocks
from engine.store.facts import Facts
from engine.store.in_force import book_at
from engine.store.rulebook import WrittenRules
from tests.storing import NOW, seeds_over_each

DEFAULT = load(shipped()["default"])
SMALL = """
name = "{name}"
[[signal]]
name = "looked"
type = "page_viewed"
[[score]]
name = "heat"
[[score.earn]]
signal = "looked"
points = {points}
[[track]]
name = "life"
stage = [{{ name = "new" }}, {{ name = "warm" }}]
"""
CALENDAR = """
[[calendar]]
name = "office"  # closed on Tet
hours = { mon = "08:00-12:00" }
holidays = "VN"
"""
A = SMALL.format(name="a", points=5)
B = SMALL.format(name="b", points=6)
MORE = SMALL.format(name="more", points=5) + '[[score]]\nname = "fit"\n'
ASKING = A + '[[funnel]]\nname = "way"\nstep = [{ signal = "looked" }]\n'


def put(facts, text, since=None):
    return publish(facts, parse(text), text, since)


def eras(facts):
    """What the book says: which rule set from when on."""
    with facts.snapshot() as connection:
        return [(era.since, era.rules.name) for era in book_at(connection).eras]


def entry(text, at):
    rules = parse(text)
    return {"name": rules.name, "id": rules.id, "effective_at": at and format_instant(at)}


# In force


def test_what_is_published_for_all_time_judges_alone(facts):
    done = put(facts, A, BEGINNING)

    assert eras(facts) == [(BEGINNING, "a")]
    default = {"name": "default", "id": DEFAULT.id, "effective_at": None}
    said = {"published": True, "out_of_force": [default], "changes": "folding"}
    assert done == {**entry(A, None), **said}
    assert [(one.rules_id, one.effective_at) for one in facts.rule_book()] == [(done["id"], None)]
    assert facts.head() == 1


def test_what_is_published_judges_from_now_on(facts, clock):
    put(facts, A, BEGINNING)
    clock.now = NOW + 7

    done = put(facts, B)

    assert eras(facts) == [(BEGINNING, "a"), (NOW + 7, "b")]
    assert done["effective_at"] == format_instant(NOW + 7)
    assert done["out_of_force"] == []


def test_what_is_published_ends_what_was_to_begin_later_and_says_so(facts):
    put(facts, A, BEGINNING)
    for at, text in ((10, B), (20, MORE), (30, MORE + CALENDAR)):
        put(facts, text, at)

    done = put(facts, SMALL.format(name="c", points=7), 20)

    assert eras(facts) == [(BEGINNING, "a"), (10, "b"), (20, "c")]
    assert done["out_of_force"] == [entry(MORE, 20), entry(MORE + CALENDAR, 30)]


@pytest.mark.parametrize(
    ("text", "changes"),
    [(B, "folding"), (ASKING, "questions"), (A.replace('"a"', '"z"'), "questions")],
)
def test_whether_folding_changes_is_told(facts, text, changes):
    put(facts, A, BEGINNING)
    assert put(facts, text, 10)["changes"] == changes


def test_folding_changes_too_where_it_is_only_put_off(facts):
    put(facts, A, BEGINNING)
    put(facts, B, 10)
    assert put(facts, A, 5)["changes"] == "folding"  # what B was to judge
    put(facts, B, 10)
    assert put(facts, ASKING, 10)["changes"] == "folding"
    assert put(facts, A, 20)["changes"] == "questions"


# Nothing to change


@pytest.mark.parametrize("since", [None, 10, 11, NOW + 1])
def test_what_is_in_force_already_is_not_published_again(facts, since):
    put(facts, A, BEGINNING)
    put(facts, B, 10)
    done = put(facts, B, since)
    assert (done["published"], done["changes"], done["out_of_force"]) == (False, None, [])
    assert facts.head() == 2


def test_what_is_in_force_until_another_begins_is_published_to_stay(facts):
    put(facts, A, BEGINNING)
    put(facts, B, 10)
    done = put(facts, A, 5)
    assert (done["published"], done["out_of_force"]) == (True, [entry(B, 10)])
    assert eras(facts) == [(BEGINNING, "a")]


def test_what_begins_earlier_than_it_was_to_is_not_out_of_force(facts):
    put(facts, A, BEGINNING)
    put(facts, B, 10)
    assert put(facts, B, 5)["out_of_force"] == []
    assert eras(facts) == [(BEGINNING, "a"), (5, "b")]


def test_the_shipped_default_is_in_force_before_anything_is_published(facts):
    text = read(shipped()["default"])
    assert not put(facts, text)["published"]
    assert not put(facts, text, BEGINNING)["published"]
    assert facts.head() == 0


# What cannot be carried over


def test_names_that_cannot_be_carried_over_are_all_named_and_nothing_is_published(facts):
    with pytest.raises(NamesLost, match="--retroactive") as refused:
        put(facts, A)
    lost = refused.value.names
    assert lost == lost_names(DEFAULT, parse(A))
    assert {"score fit", "track sales", "stage sales.won", "clock first_response"} < {*lost}
    assert all(name in str(refused.value) for name in lost)
    assert (refused.value.exit_code, facts.head()) == (2, 0)


def test_what_must_be_carried_over_is_what_the_rules_just_before_have(facts):
    put(facts, A, BEGINNING)
    put(facts, MORE, 10)
    for since in (None, 11, NOW + 1):
        with pytest.raises(NamesLost, match="score fit"):
            put(facts, B, since)
    assert put(facts, B, 10)["published"]  # before 10 there is A, which knows no fit


def test_of_publishers_at_once_each_sees_what_those_before_it_published(facts_url):
    instants = count(NOW)
    with Facts.open(facts_url) as first:
        put(first, A, BEGINNING)
    outcomes, together = [], threading.Barrier(6)

    def try_it(number):
        with Facts.open(facts_url, clock=partial(next, instants)) as mine:
            text = A.replace('"a"', f'"n{number}"') + f'[[score]]\nname = "own_{number}"\n'
            together.wait()
            try:
                outcomes.append(put(mine, text)["published"])
            except NamesLost as lost:
                outcomes.append(lost.names)

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    with Facts.open(facts_url) as after:
        (_, _), (_, winner) = eras(after)
    assert len(outcomes) == 6
    assert outcomes.count(True) == 1
    assert outcomes.count([f"score own_{winner[1:]}"]) == 5


# What is kept


def test_what_is_published_means_the_same_when_holidays_are_revised(facts, monkeypatch):
    text = A + CALENDAR
    rules_id = put(facts, text, BEGINNING)["id"]
    revised = clocks.holidays_of("VN")[1:]
    for module in (clocks, ruleid):
        monkeypatch.setattr(module, "holidays_of", lambda country: revised)

    kept = facts.written_rules(rules_id).toml

    assert (parse(kept).id == rules_id, parse(text).id == rules_id) == (True, False)
    assert "# closed on Tet" in kept


@pytest.mark.parametrize(
    "text",
    [
        A,
        A + CALENDAR,
        A + CALENDAR + CALENDAR.replace("office", "abroad").replace("VN", "TH"),
        A + '[[calendar]]\nname = "c"\n"holidays" = "\\u0056N"\nhours = { mon = "08:00-12:00" }',
        A.replace("looked", "holidays") + CALENDAR + '# holidays = "VN"',
        "label = { en = \"holidays = 'VN'\" }" + A + CALENDAR,
        'name = "a"\ncalendar = [{ name = "c", hours = { mon = "08:00-12:00" }, holidays = "VN" },'
        '{ name = "d", hours = { mon = "08:00-12:00" }, holidays = "TH" }]',
    ],
)
def test_however_a_country_is_written_its_dates_are_kept_and_the_id_is_the_same(text):
    kept = for_good(text, parse(text).id)
    assert parse(kept).id == parse(text).id
    assert '"VN"' not in kept.replace('# holidays = "VN"', "")
    assert (kept == text) == ("holidays =" not in text and 'holidays" =' not in text)


def test_a_published_set_is_found_by_the_beginning_of_its_id(facts):
    done = put(facts, A, BEGINNING)
    for digits in (6, 20, 64):
        assert published(facts, done["id"][:digits]) == A
        assert is_published(done["id"][:digits])
    facts.publish(WrittenRules("abcdef" + "0" * 58, "x", A))
    facts.publish(WrittenRules("abcdef" + "1" * 58, "y", B))
    with pytest.raises(SeveralRuleSets, match=r"abcdef0.*abcdef1"):
        published(facts, "abcdef")
    assert published(facts, "abcdef1") == B
    with pytest.raises(UnknownRuleSet, match=r"000000.*rules log"):
        published(facts, "000000")
    assert not any(map(is_published, (done["id"][:5], "default", "rules/default.toml", "abcdeg")))


def test_the_default_goes_by_its_id_before_anything_is_published(facts, clock):
    (line,) = log(facts)
    assert published(facts, line["id"][:12]) == read(shipped()["default"])


def test_live_is_what_is_in_force_now(facts, clock):
    assert published(facts, LIVE) == read(shipped()["default"])
    put(facts, A, BEGINNING)
    put(facts, B, NOW + 1)
    assert published(facts, LIVE) == A
    clock.now = NOW + 1
    assert published(facts, LIVE) == B


# The log


@seeds_over_each(sqlite=12, postgresql=2)
def test_the_log_says_of_every_instant_which_publication_judges_it(seed, facts, clock):
    random, known = Random(seed), []
    for number in range(1, 9):
        clock.now += 1
        since = random.choice([None, *range(6)])
        text = SMALL.format(name=f"n{number}", points=number)
        facts.publish(WrittenRules(parse(text).id, f"n{number}", text), since)
        known.append(BEGINNING if since is None else since)
        lines = log(facts)
        assert [line["number"] for line in lines] == [None, *range(1, number + 1)]
        for at in (-5, *range(8)):
            begun = [place for place, since in enumerate(known, 1) if since <= at]
            assert [line["number"] for line in lines if judges(line, at)] == [
                max(begun, default=None)
            ]


@seeds_over_each(sqlite=3, postgresql=1)
def test_the_log_known_at_a_position_is_what_it_was_then(seed, facts):
    random, then = Random(seed), []
    for number in range(1, 9):
        text = SMALL.format(name=f"n{number}", points=number)
        since = random.choice([None, *range(6)])
        facts.publish(WrittenRules(parse(text).id, f"n{number}", text), since)
        then.append(log(facts))
    assert [log(facts, known_at=position) for position in range(1, 9)] == then


def judges(line, at):
    """Whether a publication is in force at an instant."""
    if line["in_force"] is None:
        return False
    begins, ends = line["in_force"]["from"], line["in_force"]["until"]
    begun = begins is None or parse_instant(begins) <= at
    return begun and (ends is None or at < parse_instant(ends))


def test_the_log_tells_what_put_a_publication_out_of_force(facts, clock):
    put(facts, A, BEGINNING)
    clock.now = NOW + 5
    put(facts, MORE, 20)
    put(facts, B, 10)
    lines = log(facts)
    assert [line["put_out_by"] for line in lines] == [1, None, 3, None]
    assert lines[0] == {
        "number": None,
        "published_at": None,
        "position": None,
        "name": "default",
        "id": DEFAULT.id,
        "effective_at": None,
        "in_force": None,
        "put_out_by": 1,
    }
    assert lines[3] == {
        "number": 3,
        "published_at": format_instant(NOW + 5),
        "position": 3,
        **{key: entry(B, 10)[key] for key in ("name", "id", "effective_at")},
        "in_force": {"from": format_instant(10), "until": None},
        "put_out_by": None,
    }
    assert log(facts, known_at=2)[2]["in_force"] == {"from": format_instant(20), "until": None}
