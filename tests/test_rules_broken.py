"""Whatever is in a rule file, it is read or refused with faults; and its lines are found."""

import copy
import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import rulefile
from engine.errors import Fault, RulesInvalid
from engine.rulefile import parse
from engine.rulelang.lines import locate
from tests.rule_faults import FAULTY


def test_lines_are_found_in_every_notation():
    text = '''\
# a comment with [[signal]] in it
name = "a"
text = """
[[signal]]
x = 1 \\"""
"""
raw = \'\'\'it's
'\'\'\'
[[signal]]
"the name" . 'x' = 1
any = [  # comment ]
  { type = "a", b = [1,
     2] },

  { type = "}" }
]
[[signal]]
y = "]"
[signal.attributes]
z = 1
[[signal.deep]]
[[signal.deep]]
v = 5.5
'''
    lines = locate(text)
    expected = {
        ("name",): 2,
        ("text",): 3,
        ("raw",): 7,
        ("signal",): 9,
        ("signal", 0): 9,
        ("signal", 0, "the name"): 10,
        ("signal", 0, "the name", "x"): 10,
        ("signal", 0, "any"): 11,
        ("signal", 0, "any", 0, "b"): 12,
        ("signal", 0, "any", 0, "b", 1): 13,
        ("signal", 0, "any", 1): 15,
        ("signal", 0, "any", 1, "type"): 15,
        ("signal", 1): 17,
        ("signal", 1, "y"): 18,
        ("signal", 1, "attributes"): 19,
        ("signal", 1, "attributes", "z"): 20,
        ("signal", 1, "deep", 0): 21,
        ("signal", 1, "deep", 1): 22,
        ("signal", 1, "deep", 1, "v"): 23,
    }
    assert {path: lines.get(path) for path in expected} == expected


def toml(value: Any) -> str:
    """A value as inline TOML: the smallest writer that will do, and none of the engine's."""
    if isinstance(value, dict):
        return (
            "{"
            + ",".join(f"{json.dumps(key, ensure_ascii=False)}={toml(value[key])}" for key in value)
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",\n".join(map(toml, value)) + "]"
    if isinstance(value, Raw):
        return value.written
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class Raw:
    """What has no counterpart in JSON, as TOML writes it."""

    def __init__(self, written: str) -> None:
        self.written = written


WHOLE: dict[str, Any] = {
    "name": "whole",
    "label": {"en": "Whole"},
    "zone": "Asia/Bangkok",
    "value": "a",
    "signal": [
        {"name": "a", "type": "won", "attributes": {"x": {"at_least": 1.5, "not": ["y"]}}},
        {"name": "b", "any": [{"channel": ["sms"]}, {"actor": {"kind": "rep"}}]},
    ],
    "score": [
        {
            "name": "s",
            "half_life": "2h",
            "floor": -1,
            "cap": 5,
            "earn": [{"signal": "a", "points": 1.25, "at_most": 2, "every": "1d"}],
        }
    ],
    "track": [
        {
            "name": "t",
            "stage": [
                {"name": "n", "aliases": ["N"], "probability": 0.5, "time_limit": "1w"},
                {"name": "w", "kind": "won"},
            ],
            "move": [
                {"to": "w", "from": ["*"], "when": {"seen": ["a"], "score": "s", "below": 2}},
                {"to": "w", "from": ["n"], "after_silence": "1d", "of": "b"},
                {"to": "w", "from": ["n"], "below_score": {"score": "s", "below": 1}},
                {"to": "n", "when": {"count": {"signal": "a", "at_least": 2, "within": "1d"}}},
            ],
        },
        {
            "name": "u",
            "stage": [{"name": "n"}],
            "move": [{"to": "n", "when": {"stage": ["t.none"]}}],
        },
    ],
    "funnel": [
        {
            "name": "f",
            "order": "strict",
            "entry": "every",
            "window": "9d",
            "universe": ["a"],
            "step": [{"signal": "a"}, {"enters": "t.w", "within": "1d"}],
            "exclude": [{"signal": "b", "after": 1, "before": 2}],
        }
    ],
    "clock": [
        {
            "name": "k",
            "start": {"signal": "a"},
            "stop": {"enters": "t.w"},
            "cancel": {"signal": "b"},
            "within": "1h",
            "calendar": "c",
        }
    ],
    "calendar": [{"name": "c", "hours": {"mon": ["09:00-24:00"]}, "holidays": ["2026-01-01"]}],
    "segment": [
        {
            "name": "g",
            "where": {
                "not_stage": ["t.n"],
                "first_channel": ["sms"],
                "value_at_least": {"minor": 1, "currency": "VND"},
            },
        }
    ],
}


def written(document: dict[str, Any]) -> str:
    return "".join(
        f"{json.dumps(key, ensure_ascii=False)} = {toml(value)}\n"
        for key, value in document.items()
    )


def test_the_document_that_is_broken_below_is_whole():
    assert parse(written(WHOLE)).name == "whole"


words = st.sampled_from(
    ["a", "t.n", "t.none", "n", "none", "*", "1d", "signal", "name", "when", "", "VN", "UTC"]
)
oddities = st.sampled_from(
    ["2026-01-01", "07:32:00", "1979-05-27T07:32:00Z", "1e999", "1e-999", "1e99999999999999999999"]
).map(Raw)
numbers = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, -1, 65, 0.5])
scalars = words | numbers | st.booleans() | oddities | st.text(st.characters(codec="utf-8"))
garbage = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document, as the path to it."""
    if not isinstance(value, dict | list):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [place for key, item in items for place in places(item, (*path, key))]
    return [path, *inner] if path else inner


@st.composite
def broken_documents(draw: st.DrawFn) -> dict[str, Any]:
    """The whole document with some places replaced, removed or added to."""
    document = copy.deepcopy(WHOLE)
    for place in draw(st.lists(st.sampled_from(places(WHOLE)), min_size=1, max_size=4)):
        *outer, last = place
        try:
            around: Any = document
            for key in outer:
                around = around[key]
            around[last]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
        if not isinstance(around, dict | list):
            continue
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del around[last]
        elif change == "replace" or isinstance(around, list):
            around[last] = draw(garbage)
        else:
            around[draw(words)] = draw(garbage)
    return document


def outcome(text: str) -> list[Fault]:
    try:
        parse(text)
    except RulesInvalid as invalid:
        told = invalid
    else:
        return []
    assert told.faults
    assert str(told)
    return told.faults


@settings(deadline=None)
@given(broken_documents())
def test_whatever_is_broken_gives_faults_and_nothing_else(document):
    for fault in outcome(written(document)):
        assert fault.message


@settings(deadline=None)
@given(st.dictionaries(words | st.sampled_from([*WHOLE]), garbage, max_size=5))
def test_garbage_gives_faults_and_nothing_else(document):
    outcome(written(document))


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(FAULTY.splitlines()), max_size=30).map("\n".join))
def test_random_text_gives_faults_and_nothing_else(text):
    outcome(text)


@settings(deadline=None)
@given(broken_documents())
def test_every_key_of_a_valid_text_is_found_on_a_line(document):
    text = written(document)
    rulefile.decode(text)
    lines = locate(text)
    assert set(places(document)) <= set(lines)
    assert set(lines.values()) <= set(range(1, text.count("\n") + 2))
