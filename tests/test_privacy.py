"""Keyed digests and seals."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadKey, WrongKey
from engine.privacy import (
    Alone,
    IdentifierKey,
    WorkspaceKey,
    context_of,
    key_id_of,
    new_key,
    seal,
    seal_alone,
    unseal,
    unseal_alone,
)
from engine.touchpoint import Identifier, Sealed, Touchpoint

RAW = bytes(range(32))
IDENTIFIERS = IdentifierKey(RAW)
WORKSPACE = WorkspaceKey(RAW)
FIELDS = {"name": "Nguyễn Thị Ánh", "phone": "+84901234567"}
texts = st.text(st.characters(exclude_categories=["Cs"]))


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_an_identifier_s_digest_is_the_hmac_of_kind_namespace_and_value():
    expected = hmac.new(RAW, b"crm_id\x1fhubspot\x1f991", "sha256").hexdigest()
    assert IDENTIFIERS.digest("crm_id", "hubspot", "991") == expected


def test_digests_differ_by_key():
    other = IdentifierKey(bytes(32))
    assert other.digest("email", "", "a@b") != IDENTIFIERS.digest("email", "", "a@b")
    assert other.content(b"x") != IDENTIFIERS.content(b"x")
    assert other.mark != IDENTIFIERS.mark


def test_content_has_32_digits():
    assert len(IDENTIFIERS.content(b"")) == 32


@given(st.dictionaries(texts, texts))
def test_what_is_sealed_is_given_back(fields):
    key = new_key()
    assert unseal(seal(fields, "id", key, b"aad"), key, b"aad") == fields


@pytest.mark.parametrize(
    ("key", "aad", "key_id"),
    [(bytes(32), b"web\x1f1", "id"), (RAW, b"web\x1f2", "id"), (RAW, b"web\x1f1", "di")],
)
def test_a_seal_opens_with_its_key_for_its_touchpoint_only(key, aad, key_id):
    sealed = seal(FIELDS, "id", RAW, b"web\x1f1")
    with pytest.raises(WrongKey) as caught:
        unseal(Sealed(key_id, sealed.nonce, sealed.ciphertext), key, aad)
    assert "Nguy" not in str(caught.value)


def test_sealing_twice_gives_two_ciphertexts():
    assert seal(FIELDS, "id", RAW, b"") != seal(FIELDS, "id", RAW, b"")


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "é"])
def test_a_damaged_seal_does_not_open(text):
    sealed = seal(FIELDS, "id", RAW, b"")
    with pytest.raises(WrongKey):
        unseal(Sealed("id", text, sealed.ciphertext), RAW, b"")
    with pytest.raises(WrongKey):
        unseal(Sealed("id", sealed.nonce, text), RAW, b"")


def test_a_sealed_field_is_base64url_without_padding():
    sealed = seal(FIELDS, "id", RAW, b"")
    assert not set(sealed.nonce + sealed.ciphertext) & set("+/=")


def test_a_wrapped_key_is_bound_to_its_id():
    data_key = new_key()
    wrapped = WORKSPACE.wrap("id", data_key)
    assert WORKSPACE.unwrap("id", wrapped) == data_key
    assert data_key not in wrapped
    for key, key_id in ((WORKSPACE, "di"), (WorkspaceKey(bytes(32)), "id")):
        with pytest.raises(WrongKey):
            key.unwrap(key_id, wrapped)


@given(st.data())
def test_a_wrapped_key_with_a_changed_bit_does_not_open(data):
    wrapped = WORKSPACE.wrap("id", RAW)
    with pytest.raises(WrongKey):
        WORKSPACE.unwrap("id", flipped(wrapped, data.draw(st.integers(0, len(wrapped) - 1))))
    with pytest.raises(WrongKey):
        WORKSPACE.unwrap("id", wrapped[: data.draw(st.integers(0, len(wrapped) - 1))])


@given(st.binary())
def test_what_is_set_aside_is_sealed_alone_and_given_back(data):
    alone = seal_alone(data, WORKSPACE)
    assert unseal_alone(alone, WORKSPACE) == data
    assert len(data) < 8 or data not in b"".join(alone)


def test_each_of_what_is_set_aside_has_a_key_of_its_own():
    one, other = seal_alone(b"one", WORKSPACE), seal_alone(b"other", WORKSPACE)
    mixed = Alone(one.wrapped_key, other.nonce, other.ciphertext)
    with pytest.raises(WrongKey):
        unseal_alone(mixed, WORKSPACE)
    with pytest.raises(WrongKey):
        unseal_alone(one, WorkspaceKey(bytes(32)))


def test_a_stream_has_one_key_id_and_two_streams_have_two():
    assert key_id_of(Identifier("email", "00" * 32)) == "A" * 43
    assert key_id_of(Identifier("email", "01" * 32)) != "A" * 43


def test_a_seal_s_context_is_the_touchpoint_s_id():
    touchpoint = Touchpoint(
        source="web", event_id="é", type="won", occurred_at=0, received_at=0, content="0" * 32
    )
    assert context_of(touchpoint) == b"web\x1f\xc3\xa9"


@pytest.mark.parametrize("kind", [IdentifierKey, WorkspaceKey])
@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(kind, size):
    with pytest.raises(BadKey, match=f"has {size} bytes"):
        kind(b"k" * size)


@pytest.mark.parametrize("kind", [IdentifierKey, WorkspaceKey])
def test_a_key_is_never_printed(kind):
    shown = repr(kind(b"secret--" * 4)) + str(kind(b"secret--" * 4))
    assert "secret" not in shown
    assert (b"secret--" * 4).hex() not in shown
