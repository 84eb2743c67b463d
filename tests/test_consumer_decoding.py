"""Messages become touchpoints or are set aside; both decoders think the same of each."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.arrow import read_in_bulk
from consumers.decode import Decoder, own_schema
from engine.avroform import DAMAGED, LOOSE, PLAIN, SOUND, program, verdicts
from engine.codec import encode
from tests.hostile_messages import Numbered, Sent, messages
from tests.storing import touch

COUNT = 100_000
REASONS = {
    "undecodable",
    "unknown_schema",
    "not_canonical",
    "unknown_type",
    "time_out_of_range",
    "unknown_channel",
    "bad_attribute",
    "no_identifier",
    "time_in_future",
}


def test_both_decoders_think_the_same_of_100_000_random_and_hostile_messages(say):
    random = Random(20261122)
    singly, in_bulk = Decoder(Numbered()), Decoder(Numbered(), read_in_bulk)
    became = Counter()
    for part in range(0, COUNT, 5000):
        some = {0: messages(random, 2500), 7: messages(random, 2500)}
        one, other = singly.arrivals("topic", some), in_bulk.arrivals("topic", some)
        assert one == other, f"messages from {part} on, by the seed 20261122"
        for arrival in one:
            if arrival.encoded is not None:
                assert encode(arrival.encoded.touchpoint) == arrival.encoded.data
            became[arrival.reason] += 1
    assert became.keys() == {None, *REASONS}
    assert min(became.values()) > 50
    assert became[None] > COUNT / 2
    say(f"decoders: {COUNT:,} messages, of which {became[None]:,} accepted, no difference")


def arrival_of(value, headers=()):
    (arrival,) = Decoder().arrivals("topic", {3: [Sent(17, value, headers=headers)]})
    return arrival


def test_a_message_keeps_its_place_and_what_it_said_beside():
    one = touch("e1", "email:ann")
    headers = (("ce_id", b"1"), ("cookie", b"private"), ("traceparent", b"00"))
    arrival = arrival_of(encode(one), headers)
    assert (arrival.origin, arrival.partition, arrival.line) == ("topic", 3, 17)
    assert arrival.encoded.touchpoint == one
    assert arrival.encoded.data == encode(one)
    assert arrival.headers == (("ce_id", b"1"), ("traceparent", b"00"))


def test_what_was_set_aside_becomes_the_same_arrival_again():
    before = arrival_of(encode(touch("e1", "email:ann", type="nonsense")), (("ce_id", b"1"),))
    assert before.reason == "unknown_type"
    again = Decoder().again((before.origin, before.partition, before.line), bytes(before.data))
    assert again == before


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),
        (b"", "undecodable"),
        (b"\x00\x00\x00\x00\x07rest", "undecodable"),  # framed, and no registry is set
        (b"\xc3\x01" + bytes(8), "unknown_schema"),
        (b"\xc3\x01" + bytes.fromhex(own_schema().fingerprint), "undecodable"),
    ],
)
def test_what_is_no_touchpoint_is_set_aside(value, reason):
    arrival = arrival_of(value)
    assert (arrival.encoded, arrival.reason) == (None, reason)


def test_no_reason_holds_a_value_of_the_message():
    secret = "thị-ánh@example.vn"
    for fields in ({"type": secret}, {"channel": secret}, {"source": secret * 9}):
        arrival = arrival_of(encode(touch("e1", "email:ann", **fields)))
        assert arrival.reason is not None
        assert secret not in arrival.detail


PAIR = '{"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}, %s]}'
MAP = '{"name": "m", "type": {"type": "map", "values": ["long", "boolean"]}}'


@pytest.mark.uncompiled
@given(st.binary(max_size=12) | st.text(max_size=4).map(lambda text: text.encode() + b"\xe0"))
def test_text_is_what_python_takes_for_utf_8(data):
    try:
        text = data.decode()
        expected = PLAIN if text.isascii() and "\0" not in text else SOUND
    except UnicodeDecodeError:
        expected = DAMAGED
    steps = program('"string"')
    assert verdicts(steps, [bytes([2 * len(data)]) + data]) == [expected]


@pytest.mark.uncompiled
@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        ("02 00", PLAIN),
        ("02 04 02 61 00 02 02 62 02 01 00", PLAIN),
        ("feffffffffffffffff01 00", PLAIN),  # the largest number
        ("02 02 04 c3a1 00 02 00", SOUND),  # a name that is not ASCII
        ("02", DAMAGED),
        ("02 00 00", DAMAGED),
        ("", DAMAGED),
        ("80", DAMAGED),
        ("02 02 02 61 04 02 00", DAMAGED),  # no third branch
        ("02 02 02 61 01 02 00", DAMAGED),  # nor one before the first
        ("02 02 02 61 02 02 00", DAMAGED),  # a boolean that is neither
        ("02 02 7f 61 00 02 00", DAMAGED),  # a name of negative length
        ("8200 00", LOOSE),  # a number longer than it need be
        ("feffffffffffffffff03 00", LOOSE),  # and one that no reader has room for
        ("ffffffffffffffffffff01 00", LOOSE),
        ("02 02 02 61 00 02 02 02 62 00 02 00", LOOSE),  # in two pieces
        ("02 01 08 02 61 00 02 00", LOOSE),  # with its length before it
        ("02 04 02 62 00 02 02 61 00 02 00", LOOSE),  # names out of order
        ("02 04 02 61 00 02 02 61 00 02 00", LOOSE),  # one twice
    ],
)
def test_a_record_has_one_form(record, verdict):
    steps = program(PAIR % MAP)
    assert verdicts(steps, [bytes.fromhex(record)]) == [verdict]
