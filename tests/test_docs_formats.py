"""The page on data formats says what is: every example and list of keys in it is tried."""

import json
import re
from itertools import combinations

import pytest

from engine.canonical import canonicalise
from engine.codec import schema_fingerprint
from engine.errors import EngineError, Refused
from engine.identifiers import canonical_value
from engine.instants import parse_instant
from engine.touchpoint import KINDS, STRONG_KINDS, Touchpoint
from tests.pages import DOCS, quoted, shown, starting
from tests.storeless import KEY, exports, histories, take

PAGE = DOCS / "formats.md"
SHORT, LONG, ASIDE, TOLD, STATE, HIT, (LOOK,) = [json.loads(block) for block in shown(PAGE, "json")]
RECEIVED_AT = parse_instant("2026-03-02T00:00:00Z")


def test_all_keys_of_a_touchpoint_are_on_the_page():
    (fields,) = starting(PAGE, "key", "left out it is")
    said = {*Touchpoint.__struct_fields__} - {"received_at", "content", "sealed", "similar"}
    keys = {key for row in fields.rows for key in quoted(row[0])}
    assert keys == LONG.keys() == said | {"personal"}
    needed = {key for row in fields.rows if row[1] == "needed" for key in quoted(row[0])}
    assert needed == SHORT.keys() - {"identifiers", "attributes"}
    assert len(take([SHORT, LONG]).accepted) == 2


def test_kinds_are_listed_by_precedence():
    (kinds,) = starting(PAGE, "kind", "strong")
    assert tuple(word for row in kinds.rows for word in quoted(row[0])) == KINDS
    assert {row[0].strip("`") for row in kinds.rows if row[1] == "yes"} == {*STRONG_KINDS}


def test_identifiers_become_what_the_page_says():
    (values,) = starting(PAGE, "kind", "given")
    for kind, given, becomes in (map(quoted, row) for row in values.rows):
        assert canonical_value(*kind, *given) == becomes[0]


def test_the_second_delivery_is_what_the_page_says():
    (cases,) = starting(PAGE, "keys of the second delivery")
    for more, outcome in cases.rows:
        taken = take([SHORT, SHORT | json.loads(*quoted(more))])
        became = "a duplicate" if taken.duplicates else "another touchpoint"
        became = "set aside" if taken.aside else became
        assert (more, became) == (more, re.split("[:;]", outcome)[0])


def reasons() -> dict[str, str]:
    """What sets a touchpoint aside, by reason, in the order of the page."""
    (listed,) = starting(PAGE, "reason")
    cells = [(*quoted(row[0]), *quoted(row[2])) for row in listed.rows]
    return {reason: example[0] for reason, *example in cells if example}


def reason_of(line: str) -> str:
    """Why a line is set aside that comes after the short touchpoint."""
    try:
        again = canonicalise(line.encode(), RECEIVED_AT, KEY).touchpoint
    except Refused as refused:
        return refused.reason
    (known,) = take([SHORT]).accepted
    assert (known.event_id, known.content == again.content) == (SHORT["event_id"], False)
    return "id_reused"


@pytest.mark.parametrize(("reason", "example"), reasons().items())
def test_the_reason_is_the_one_on_the_page(reason, example):
    value = json.loads(example)
    line = json.dumps(SHORT | value) if isinstance(value, dict) else example
    assert reason_of(line) == reason


def test_where_several_reasons_fit_the_first_is_given():
    examples = [(why, json.loads(text)) for why, text in reasons().items()]
    pairs = list(combinations([(w, v) for w, v in examples if isinstance(v, dict)], 2))
    for (first, one), (_, other) in pairs:
        if not one.keys() & other.keys():
            assert reason_of(json.dumps(SHORT | one | other)) == first


def test_the_forms_going_out_are_those_of_the_page():
    taken = take(TOLD)
    text = PAGE.read_text()
    at = parse_instant(*re.findall(r"as of `([^`]+)`", text))
    (printed,) = exports(*shown(PAGE, "toml"), taken.accepted, [at])
    state = {"lead": histories(taken.accepted).leads[0][:32], **printed["states"][0]}
    assert json.dumps(STATE) == json.dumps(state)  # in this order, too
    assert json.dumps([HIT]) == json.dumps(*printed["funnels"].values())
    for document in (STATE, HIT):
        assert list(document) in [
            [word for row in table.rows for word in quoted(row[0])]
            for table in starting(PAGE, "key", "what it is")
        ]
    assert list(ASIDE) == ["origin", "line", "reason", "detail"]
    assert list(LOOK) == ["at", "who", "lead", "reason"]
    assert f"`{schema_fingerprint()}`" in text


def test_every_exit_code_is_on_the_page():
    (codes,) = starting(PAGE, "exit code")
    errors, used = [EngineError], set()
    for error in errors:
        errors += error.__subclasses__()
        used.add(error.exit_code)
    assert used | {0, 5, 6, 130} == {int(row[0]) for row in codes.rows}
