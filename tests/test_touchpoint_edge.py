"""The edge: a batch of rows comes in, sealed and encoded touchpoints go out."""

import json

from engine.codec import decode
from engine.edge import Edge, Row
from engine.privacy import context_of, key_id_of, unseal
from engine.touchpoint import Identifier
from tests.edge_inputs import ANN, EMAIL, KEY, NOW, PHONE, Ring, visit

MARKERS = {
    "name": "Mai-Marker",
    "address": "12 Marker Street",
    "email": "marker@example.com",
    "phone": "+84909999999",
    "company": "Marker Co",
    "text": "please call the marker",
}


def row(given, number=1, **more):
    data = given if isinstance(given, bytes) else json.dumps(given).encode()
    return Row(origin="file.jsonl", line=number, data=data, **more)


def accept(*rows, ring=None):
    return Edge(KEY, ring or Ring()).accept(rows, NOW)


def test_every_row_becomes_one_arrival_in_its_order():
    good, bad = row(visit(), 1), row(b"{", 2)
    first, second, third = accept(good, bad, row(visit(event_id="e-2"), 3))
    assert (first.origin, first.line, first.data) == ("file.jsonl", 1, good.data)
    assert first.reason is None
    assert (second.line, second.reason, second.data) == (2, "undecodable", b"{")
    assert second.encoded is None
    assert second.detail.startswith("no JSON")
    assert (third.line, third.encoded.touchpoint.event_id) == (3, "e-2")


def test_the_bytes_stand_for_the_touchpoint():
    (arrival,) = accept(row(visit(personal=MARKERS)))
    assert decode(arrival.encoded.data) == arrival.encoded.touchpoint


def test_personal_fields_leave_the_edge_sealed_and_open_with_their_key():
    ring = Ring()
    (arrival,) = accept(row(visit(identifiers=[EMAIL, PHONE], personal=MARKERS)), ring=ring)
    touchpoint = arrival.encoded.touchpoint
    key_id = key_id_of(Identifier("email", KEY.digest("email", "", "ann@example.com")))
    assert touchpoint.sealed.key_id == key_id
    assert unseal(touchpoint.sealed, ring.held[key_id], context_of(touchpoint)) == MARKERS
    for clear in (*MARKERS.values(), "ann@example.com", "901234567"):
        assert clear.encode() not in arrival.encoded.data
        assert clear not in repr(touchpoint)


def test_the_keys_of_a_batch_are_asked_for_once():
    ring = Ring()
    ann, bob = visit(identifiers=[EMAIL]), visit(identifiers=[PHONE], event_id="e-2")
    accept(
        row(ann), row(visit(event_id="e-3")), row(bob), row({**ann, "event_id": "e-4"}), ring=ring
    )
    email, phone = (
        key_id_of(Identifier(one["kind"], KEY.digest(one["kind"], "", one["value"])))
        for one in (EMAIL, PHONE)
    )
    assert ring.asked == [[email, phone]]


def test_no_key_is_asked_for_where_nothing_is_personal():
    ring = Ring()
    (arrival,) = accept(row(visit()), ring=ring)
    assert ring.asked == []
    assert arrival.encoded.touchpoint.sealed is None


def test_what_names_nobody_is_sealed_under_the_key_of_its_stream():
    ring = Ring()
    attributes = {"source": "web", "event_id": "1"}
    retraction = visit(
        type="touchpoint_retracted",
        identifiers=None,
        attributes=attributes,
        personal={"text": "asked by Mai-Marker"},
    )
    (arrival,) = accept(row(retraction), ring=ring)
    touchpoint = arrival.encoded.touchpoint
    assert touchpoint.sealed.key_id == key_id_of(touchpoint.stream)
    assert b"Marker" not in arrival.encoded.data


def test_a_mapped_row_is_taken_as_its_mapping_made_it():
    (arrival,) = accept(row(b"a;row;of;csv", value=visit(), form="row"))
    assert arrival.encoded.touchpoint.identifiers == (
        Identifier("user_id", KEY.digest("user_id", "", "ann")),
    )
    assert (arrival.data, arrival.form) == (b"a;row;of;csv", "row")
    (refused,) = accept(row(b"a;row;of;csv", value={}, form="row"))
    assert (refused.reason, refused.form) == ("not_canonical", "row")


def test_dropped_placeholders_are_told():
    given = visit(identifiers=[ANN, {"kind": "email", "value": "n/a"}])
    assert [one.dropped for one in accept(row(given), row(visit()))] == [("placeholder",), ()]


def test_a_touchpoint_that_no_reader_would_take_is_set_aside():
    attributes = {f"a{number}": "x" * 65_000 for number in range(17)}
    (arrival,) = accept(row(b"a row", value=visit(attributes=attributes)))
    assert (arrival.reason, arrival.encoded) == ("not_canonical", None)


def test_phone_numbers_without_a_country_are_read_where_the_edge_stands():
    given = row(visit(identifiers=[{"kind": "phone", "value": "081 234 5678"}]))
    (arrival,) = Edge(KEY, Ring(), phone_region="TH").accept([given], NOW)
    expected = Identifier("phone", KEY.digest("phone", "", "+66812345678"))
    assert arrival.encoded.touchpoint.identifiers == (expected,)
