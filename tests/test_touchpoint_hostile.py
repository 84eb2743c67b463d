"""Whatever comes in is canonical or refused with a reason; nothing else ever happens."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.canonical import canonicalise
from engine.codec import decode, encode
from engine.errors import Refused
from engine.strict_json import MAX_LINE, parse_object
from tests.edge_inputs import ANN, KEY, NOW, draft, refusal, visit

SECRET = "thị-ánh"
BIG = 10 * 1024 * 1024


def line(text):
    """A touchpoint in JSON with a raw text instead of its sequence."""
    return json.dumps(visit(sequence=7)).replace('"sequence": 7', text).encode()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"nope", "no JSON"),
        (b"[]", "not a JSON object"),
        (b"7", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"source": "\xff"}', "byte 12 is not UTF-8"),
        (b'{"source": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"source": "a\nb"}', "no JSON"),
        (b'{"source": 01}', "no JSON"),
        (b'\xef\xbb\xbf{"source": 1}', "no JSON"),
        (b'{"source": 1} {"source": 1}', "no JSON"),
        (b"{'source': 1}", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_undecodable(raw, problem):
    refused = refusal(raw)
    assert (refused.reason, problem in refused.detail) == ("undecodable", True)


@pytest.mark.parametrize(
    "text",
    [
        '"sequence": NaN',
        '"sequence": 1e999',
        '"sequence": -Infinity',
        '"sequence": 9223372036854775808',
        '"sequence": -9223372036854775809',
        '"sequence": 123456789012345678901234567890',
        '"sequence": ' + "9" * 5000,
        '"sequence": 1.0',
        '"sequence": true',
        '"sequence": "1"',
        '"sequence": []',
        '"sequence": 1, "sequence": 1',
        '"sequence" : 1, "sequence" :1',
        '"sequence": 1, "s\\u0065quence": 1',
        '"attributes": {"a": 1, "a": 1}',
        '"attributes": {"a\\"b\\":": 1, "c": 1, "c": 1}',
        '"attributes": {"e\\u0301": 1, "\\u00e9": 1}',
        '"attributes": {"a": NaN}',
        '"attributes": {"a": Infinity}',
        '"attributes": {"a": -1e999}',
        '"attributes": {"a": 18446744073709551615}',
        '"attributes": {"a": 1e999}',
        '"attributes": {"a": [1]}',
        '"attributes": {"a": {"b": 1}}',
        '"attributes": {"": 1}',
        '"attributes": {"\\ud800": 1}',
        '"attributes": {"a\\u0000": 1}',
        '"attributes": []',
        '"deal": "a\\u0000b"',
        '"deal": "\\ud800"',
        '"deal": "\\udc00\\ud800"',
        '"deal": 7',
        '"account": false',
        '"channel": 7',
        '"time_quality": "guess"',
        '"time_quality": 1',
        '"campaign": "tet"',
        '"campaign": {"name": 7}',
        '"campaign": {"nmae": "tet"}',
        '"actor": {"kind": "robot"}',
        '"actor": {}',
        '"actor": {"kind": "rep", "id": 7}',
        '"amount": 5',
        '"amount": {"minor": 5.0, "currency": "VND"}',
        '"amount": {"minor": true, "currency": "VND"}',
        '"amount": {"minor": 9223372036854775808, "currency": "VND"}',
        '"amount": {"minor": 5, "currency": "XXX"}',
        '"amount": {"minor": 5, "currency": "dong"}',
        '"amount": {"minor": 5}',
        '"mentions": {}',
        '"mentions": [7]',
        '"mentions": [{"kind": "user_id", "value": "x"}]',
        '"mentions": [{"role": "", "kind": "user_id", "value": "x"}]',
        '"mentions": [{"role": "r", "kind": "user_id", "value": "x", "namespace": "n"}]',
        '"personal": []',
        '"personal": {"birthday": "x"}',
        '"personal": {"name": 7}',
        '"personal": {"name": "\\u0000"}',
        '"content": "00"',
        '"sealed": null',
        '"received_at": 0',
        '"similar": []',
    ],
)
def test_what_cannot_be_made_canonical_is_refused(text):
    assert refusal(line(text)).reason == "not_canonical"


@pytest.mark.parametrize(
    "more",
    [
        {"source": ""},
        {"source": None},
        {"source": "s" * 65},
        {"source": 7},
        {"event_id": ""},
        {"event_id": "e" * 129},
        {"event_id": "a\0"},
        {"event_id": "\ud800"},
        {"type": None},
        {"type": 7},
        {"occurred_at": None},
        {"occurred_at": "2026-03-01T08:00:00"},
        {"occurred_at": "yesterday"},
        {"occurred_at": 1.5},
        {"occurred_at": True},
        {"occurred_at": float("nan")},
        {"occurred_at": 2**63},
        {"identifiers": {}},
        {"identifiers": ["ann"]},
        {"identifiers": [{"value": "ann"}]},
        {"identifiers": [{"kind": "user_id"}]},
        {"identifiers": [{"kind": "shoe_size", "value": "43"}]},
        {"identifiers": [{"kind": ["user_id"], "value": "43"}]},
        {"identifiers": [{"kind": "user_id", "value": 43}]},
        {"identifiers": [{"kind": "user_id", "value": None}]},
        {"identifiers": [{"kind": "user_id", "value": "\ud800"}]},
        {"identifiers": [{"kind": "email", "value": "ann"}]},
        {"identifiers": [{"kind": "phone", "value": "911"}]},
        {"identifiers": [{"kind": "user_id", "value": "43", "digest": "0"}]},
        {"identifiers": [ANN] * 65},
        {"mentions": [{"role": "r", **ANN}] * 65},
        {"attributes": {str(number): 1 for number in range(257)}},
        {"attributes": {"a" * 129: 1}},
        {"attributes": {7: 1}},
        {"attributes": {"a": b"bytes"}},
        {"attributes": {"a": float("inf")}},
    ],
)
def test_an_object_that_a_mapping_made_is_believed_no_more(more):
    raw = {**visit(), **more}
    assert refusal({key: value for key, value in raw.items() if value is not None}).reason == (
        "not_canonical"
    )


@pytest.mark.parametrize("place", ["deal", "source", "type", "channel"])
@pytest.mark.parametrize("letter", ["x", "ệ"])
def test_a_field_of_ten_megabytes_is_refused_and_not_quoted(place, letter):
    refused = refusal(visit(**{place: letter * BIG}))
    assert refused.reason == "not_canonical"
    assert len(refused.detail) < 200


def test_a_field_may_have_64_kib():
    assert draft(visit(attributes={"text": "x" * 65_536})).touchpoint.attributes
    assert draft(visit(attributes={"text": "ệ" * 21_845})).touchpoint.attributes
    for value in ("x" * 65_537, "ệ" * 21_846):
        assert refusal(visit(attributes={"text": value})).reason == "not_canonical"


def test_long_runs_of_combining_marks_are_refused_before_they_take_time():
    run = "a" + "\u0300\u0316" * 15
    assert draft(visit(deal=run)).touchpoint.deal == "à" + "\u0316" * 15 + "\u0300" * 14
    for text in (run + "\u0300", "a" + "\u0300\u0316" * 10_000, "a" + "\u0300\u0316" * BIG):
        refused = refusal(visit(deal=text))
        assert refused.reason == "not_canonical"


def test_a_line_may_have_one_mib():
    padded = json.dumps(visit()).encode().ljust(MAX_LINE)
    assert draft(padded) == draft(visit())
    assert refusal(padded + b" ").reason == "not_canonical"


def test_an_unknown_key_is_told_with_its_name_and_the_nearest_known():
    assert refusal(visit(chanel="email")).detail == (
        "touchpoint.chanel is not known; did you mean channel?"
    )
    assert refusal(visit(campaign={"mediun": "x"})).detail == (
        "campaign.mediun is not known; did you mean medium?"
    )
    named = refusal(visit(identifiers=[{**ANN, "zzz": 1}])).detail
    assert named == "identifiers[0].zzz is not known; known: kind, namespace, value"


@pytest.mark.parametrize("key", ["ann@example.com", "+84901234567", "Thị Ánh", "x" * 49, ""])
def test_a_key_that_is_no_name_is_not_quoted(key):
    detail = refusal({**visit(), key: 1}).detail
    assert detail.startswith("a key of touchpoint that is no name is not known")
    assert not key or key not in detail


SECRETIVE = [
    {"source": SECRET * 64},
    {"event_id": SECRET * 64},
    {"type": SECRET},
    {"occurred_at": SECRET},
    {"sequence": SECRET},
    {"time_quality": SECRET},
    {"channel": SECRET},
    {"campaign": SECRET},
    {"actor": {"kind": SECRET}},
    {"amount": {"minor": 1, "currency": SECRET}},
    {"attributes": {SECRET: [SECRET]}},
    {"personal": {SECRET: SECRET}},
    {"personal": {"name": [SECRET]}},
    {"identifiers": [{"kind": SECRET, "value": SECRET}]},
    {"identifiers": [{"kind": "email", "value": SECRET}]},
    {"identifiers": [{"kind": "phone", "value": SECRET}]},
    {"identifiers": [{"kind": "email", "value": "a@b", "namespace": SECRET}]},
    {"identifiers": [{"kind": "user_id", "value": SECRET, SECRET: 1}]},
    {"mentions": [{"role": [SECRET], **ANN}]},
    {SECRET: SECRET},
]


@pytest.mark.parametrize("more", SECRETIVE)
def test_no_value_is_in_a_refusal(more):
    for raw in (visit(**more), json.dumps(visit(**more)).encode()):
        refused = refusal(raw)
        assert SECRET not in str(refused)
        assert SECRET not in refused.detail


def test_broken_json_is_not_quoted():
    assert SECRET not in str(refusal(json.dumps(visit(deal=SECRET)).encode()[:-1]))


names = st.sampled_from(
    """source event_id type occurred_at sequence time_quality identifiers channel campaign actor
    amount deal account mentions attributes personal kind namespace value role id minor currency
    name email phone medium received_at""".split()
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user_id", "email", "phone", "ann@x.io", "+84901234567", "VND", "won"])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
sound = {
    "source": st.just("web"),
    "event_id": st.text(max_size=4),
    "type": st.sampled_from(["won", "x_own", "assigned", "identity_linked"]),
    "occurred_at": st.just(NOW) | st.integers(-5, NOW * 2),
    "identifiers": st.just([ANN]) | values,
    "attributes": st.dictionaries(st.text(max_size=4), leaves, max_size=4),
}
objects = st.fixed_dictionaries(sound, optional={"personal": values, "amount": values}) | (
    st.dictionaries(names, values, max_size=6).map(lambda more: {**visit(), **more})
)


def accepted_or_refused(raw):
    """The touchpoint, which then can be encoded and decoded, or None."""
    try:
        touchpoint = canonicalise(raw, NOW, KEY).touchpoint
    except Refused:
        return None
    assert decode(encode(touchpoint)) == touchpoint
    return touchpoint


@settings(max_examples=400)
@given(objects)
def test_any_object_is_accepted_or_refused(raw):
    accepted_or_refused(raw)


@settings(max_examples=300)
@given(objects)
def test_json_text_is_judged_as_the_object_that_it_is(raw):
    text = json.dumps(raw).encode()
    assert accepted_or_refused(text) == accepted_or_refused(json.loads(text))


@settings(max_examples=300)
@given(st.binary(max_size=200))
@example(b'{"a":1,"a":1}')
def test_any_bytes_are_accepted_or_refused(raw):
    accepted_or_refused(raw)


@settings(max_examples=300)
@given(st.data())
def test_a_line_with_a_changed_byte_is_accepted_or_refused(data):
    whole = bytearray(json.dumps(visit(personal={"name": SECRET}), ensure_ascii=False).encode())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    accepted_or_refused(bytes(whole))


pairs = st.lists(
    st.tuples(
        st.sampled_from(["a", 'b":', "c d", '"']),
        st.sampled_from(
            ["1", '"x"', '" :"', '"\\":"', "[]", '{"a":1}', '{"a":1,"a":2}', '[{"a" :1,"a":1}]']
        ),
    ),
    max_size=4,
)


@settings(max_examples=400)
@given(pairs, st.sampled_from([":", " :", ": ", "\n:\t"]), st.sampled_from([",", ", ", " ,\n"]))
def test_no_key_that_is_there_twice_is_overlooked(given_pairs, colon, comma):
    text = "{" + comma.join(json.dumps(key) + colon + value for key, value in given_pairs) + "}"
    twice = False

    def look(inner):
        nonlocal twice
        twice |= len({key for key, _ in inner}) < len(inner)
        return dict(inner)

    expected = json.loads(text, object_pairs_hook=look)
    if twice:
        with pytest.raises(Refused, match="twice"):
            parse_object(text.encode())
    else:
        assert parse_object(text.encode()) == expected
