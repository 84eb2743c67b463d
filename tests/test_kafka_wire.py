"""Frames: what is read, what is refused and why, and what a registry may do to us."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec import MAX_BYTES, decode, encode, schema_fingerprint
from engine.errors import (
    BadSetting,
    RegistryAway,
    SchemaRefused,
    Undecodable,
    UnknownSchema,
    UnregisteredSchema,
)
from engine.kafka import registry as registries
from engine.kafka.registry import Registry
from engine.kafka.schemas import foreign, shipped
from engine.kafka.wire import kept_headers, single_object, unframe
from engine.resources import folder
from tests.storing import touch

SCHEMA = (folder("schemas") / "touchpoint.avsc").read_text()
VALUE = encode(touch("e-1"))
RECORD = VALUE[10:]


def framed(number, record=RECORD):
    return b"\0" + number.to_bytes(4, "big") + record


@contextmanager
def serving(answer):
    """A registry that answers a path with (status, body), and the paths it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            status, body, *headers = answer(self.path)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that did not wait is no fault of its
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def has(schema=SCHEMA, **more):
    """The answer of a registry that has a schema under every number."""
    return lambda path: (200, json.dumps({"schema": schema, **more}).encode())


def missing(_path):
    return 404, b'{"error_code": 40403, "message": "Schema not found"}'


def test_a_touchpoint_as_it_is_stored_is_unframed():
    schema, record = unframe(VALUE)
    assert (schema.fingerprint, record) == (schema_fingerprint(), RECORD)
    assert single_object(schema, record) == VALUE


def test_confluents_frame_holds_the_same_record():
    with serving(has()) as (url, _):
        schema, record = unframe(framed(7), registry=Registry(url))
    assert single_object(schema, record) == VALUE
    assert decode(single_object(schema, record)).event_id == "e-1"


def test_a_schema_is_asked_for_by_its_number_and_once():
    with serving(has()) as (url, asked):
        registry = Registry(f"{url}/ccompat/v7/")
        for number in (7, 7, 2**31, 7):
            unframe(framed(number), registry=registry)
    assert [path for path, _ in asked] == [
        "/ccompat/v7/schemas/ids/7",
        "/ccompat/v7/schemas/ids/2147483648",
    ]


def test_user_and_password_are_sent_and_never_shown():
    with serving(has()) as (url, asked):
        registry = Registry(url.replace("http://", "http://ann:s%3Acret@"))
        unframe(framed(7), registry=registry)
    assert asked[0][1] == "Basic YW5uOnM6Y3JldA=="  # ann:s:cret
    assert "cret" not in repr(registry)
    with pytest.raises(RegistryAway) as away:  # it is down by now
        registry.schema(8)
    assert "cret" not in str(away.value)


def test_an_unknown_number_is_unknown_until_it_is_registered():
    now = [0.0]
    answers = [missing]
    with serving(lambda path: answers[-1](path)) as (url, asked):
        registry = Registry(url, clock=lambda: now[0])
        for _ in range(3):
            with pytest.raises(UnregisteredSchema) as unknown:
                registry.schema(7)
        assert (unknown.value.code, unknown.value.number, len(asked)) == ("unknown_schema", 7, 1)
        answers.append(has())
        now[0] = registries.ASK_AGAIN_S + 1
        assert registry.schema(7).fingerprint == schema_fingerprint()


@pytest.mark.parametrize(
    "answer",
    [
        lambda path: (500, b"oops"),
        lambda path: (503, b'{"error_code": 50003}'),
        lambda path: (404, b"<html>no such page</html>"),  # no registry at this address
        lambda path: (401, b'{"error_code": 401}'),
        lambda path: (200, b"{"),
        lambda path: (200, b"[" * 100_000),
        lambda path: (200, b'{"schema": 7}'),
        lambda path: (302, b"", ("Location", "http://127.0.0.1:1/")),
    ],
)
def test_a_registry_that_answers_wrongly_is_away_and_asked_again(answer):
    with serving(answer) as (url, asked):
        registry = Registry(url)
        for _ in range(2):
            with pytest.raises(RegistryAway):
                registry.schema(7)
    assert len(asked) == 2


def test_a_slow_registry_is_away(monkeypatch):
    monkeypatch.setattr(registries, "TIMEOUT_S", 0.05)
    slow = serving(lambda path: time.sleep(0.3) or has()(path))
    with slow as (url, _), pytest.raises(RegistryAway, match="cannot be asked"):
        Registry(url).schema(7)


def test_a_registry_that_is_down_is_away():
    with serving(has()) as (url, _):
        pass
    with pytest.raises(RegistryAway) as away:
        Registry(url).schema(7)
    assert away.value.exit_code == 7


@pytest.mark.parametrize(
    "url", ["", "localhost:8081", "file:///etc/passwd", "http://", "http://a:b"]
)
def test_what_is_no_url_of_a_registry_is_refused(url):
    with pytest.raises(BadSetting):
        Registry(url)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "neither C3 01 nor 00"),
        (b"\xc3\x01", "ends within its header"),
        (b"\xc3\x01" + bytes(7), "ends within its header"),
        (b"\x00\x00\x00\x00", "ends within its header"),
        (framed(7), "LEADLEDGER_REGISTRY"),
        (b"\x01" + bytes(16) + RECORD, "GUID"),
        (b"{}", "neither C3 01 nor 00"),
        (bytes(MAX_BYTES + 1), "more than"),
    ],
)
def test_what_is_framed_otherwise_is_refused_with_the_reason(value, why):
    with pytest.raises(Undecodable, match=why):
        unframe(value)


def test_a_guid_in_a_header_is_refused_whatever_the_record_begins_with():
    headers = [("__value_schema_id", b"\x01" + bytes(16))]
    with pytest.raises(Undecodable, match="__value_schema_id"):
        unframe(framed(7), headers, Registry("http://127.0.0.1:1"))
    assert unframe(VALUE, headers)[1] == RECORD  # its own prefix is there, and says enough


def test_an_unknown_fingerprint_is_told_with_the_known_ones():
    with pytest.raises(UnknownSchema, match=schema_fingerprint()):
        unframe(b"\xc3\x01" + bytes(8) + RECORD)
    assert schema_fingerprint() in shipped()


RECORD_OF = '{"type": "record", "name": "A", "fields": [{"name": "a", "type": %s}]}'


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (RECORD_OF % '["null", "A"]', "holds itself"),
        (RECORD_OF % '{"type": "array", "items": "A"}', "holds itself"),
        (RECORD_OF % '{"type": "record", "name": "B", "namespace": "n", '
         '"fields": [{"name": "b", "type": "A"}]}', "holds itself"),
        ('{"type": "array", "items": "null"}', "takes no bytes"),
        ('{"type": "map", "values": {"type": "null"}}', "takes no bytes"),
        (RECORD_OF % '"null"', "takes no bytes"),
        ('{"type": "array", "items": {"type": "record", "name": "E", "fields": []}}', "no bytes"),
        ('{"type": "fixed", "name": "F", "size": 0}', "fixed of no bytes"),
        ('{"type": "array", "items": ' * 17 + '"int"' + "}" * 17, "16 deep"),
        (RECORD_OF % '"Nothing"', "no Avro schema"),
        ("[" * 100_000, "no Avro schema"),
        ("7", "no Avro schema"),
        ("", "no Avro schema"),
    ],
)  # fmt: skip
def test_a_schema_that_could_grow_a_few_bytes_to_anything_is_not_used(schema, why):
    with serving(has(schema)) as (url, asked):
        registry = Registry(url)
        for _ in range(2):
            with pytest.raises(SchemaRefused, match=why) as refused:
                unframe(framed(7), registry=registry)
    assert (refused.value.code, len(asked)) == ("unknown_schema", 1)


@pytest.mark.parametrize("more", [{"schemaType": "PROTOBUF"}, {"references": [{"name": "x"}]}])
def test_schemas_of_other_kinds_or_in_parts_are_refused(more):
    with serving(has(**more)) as (url, _), pytest.raises(SchemaRefused, match="not Avro"):
        Registry(url).schema(7)


def test_a_schema_without_end_is_refused():
    endless = serving(has(" " * registries.MAX_ANSWER))
    with endless as (url, _), pytest.raises(SchemaRefused, match="longer than"):
        Registry(url).schema(7)


def test_types_may_be_used_again_by_their_names():
    schema = RECORD_OF % (
        '{"type": "record", "name": "n.B", "fields": [{"name": "c", "type": ["null", '
        '{"type": "enum", "name": "C", "symbols": ["x"]}]}, {"name": "d", "type": "n.C"}]}'
    )
    assert foreign(schema, "it").fingerprint == foreign(schema, "it").fingerprint


def test_types_that_double_with_each_name_are_checked_once_each():
    doubled = {"type": "record", "name": "R0", "fields": [{"name": "x", "type": "int"}]}
    for depth in range(1, 14):  # 2^13 of the first, if each were followed
        fields = [{"name": "a", "type": doubled}, {"name": "b", "type": f"R{depth - 1}"}]
        doubled = {"type": "record", "name": f"R{depth}", "fields": fields}
    assert len(foreign(json.dumps(doubled), "it").fingerprint) == 16


@given(
    st.binary(max_size=40), st.sampled_from([b"", b"\xc3\x01", VALUE[:10], b"\0\0\0\0\7", b"\1"])
)
def test_no_bytes_do_anything_but_be_unframed_or_refused(data, prefix):
    try:
        schema, record = unframe(prefix + data, registry=Registry("http://127.0.0.1:1"))
    except (Undecodable, UnknownSchema, RegistryAway):
        return
    assert single_object(schema, record) == prefix + data


def test_headers_of_cloudevents_and_of_traces_are_kept_in_their_order():
    headers = [
        ("ce_id", b"1"),
        ("content-type", b"application/avro"),
        ("traceparent", b"00-1-2-01"),
        ("tracestate", b""),
        ("ce_source", None),
        ("ce_id", b"2"),
        ("Traceparent", b"x"),
    ]
    assert kept_headers(headers) == (
        ("ce_id", b"1"),
        ("traceparent", b"00-1-2-01"),
        ("tracestate", b""),
        ("ce_id", b"2"),
    )


def test_of_headers_without_end_the_first_are_kept():
    assert len(kept_headers([("ce_id", b"1")] * 100)) == 32
    assert kept_headers([("ce_a", bytes(5000)), ("ce_b", bytes(5000))]) == (("ce_a", bytes(5000)),)
