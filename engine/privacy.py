"""Keeping people out of the log: keyed digests of who they are, sealed fields of what they said.

Three kinds of keys, 32 bytes each. The *identifier key* digests; the *workspace
key* wraps *data keys*; a data key seals the personal fields of one identifier,
so that forgetting it erases them. Nonces are random: well under 2^32 seals a key.
"""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import BadKey, WrongKey
from engine.settings import KEY_BYTES
from engine.touchpoint import CONTENT_DIGITS, Identifier, Sealed, Touchpoint

NONCE_BYTES, TAG_BYTES = 12, 16  # of AES-GCM
_ALONE = b"leadledger aside"


class IdentifierKey:
    """Turns identifiers into digests that nobody without the key can guess or compare."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = _checked(key, "the identifier key")

    def __repr__(self) -> str:
        return "IdentifierKey(hidden)"

    def digest(self, kind: str, namespace: str, value: str) -> str:
        """64 hex digits of an identifier, or of a form that identifiers are compared by."""
        message = f"{kind}\x1f{namespace}\x1f{value}".encode()
        return hmac.digest(self._key, message, "sha256").hex()

    def content(self, canonical: bytes) -> str:
        """32 hex digits of what a touchpoint says."""
        return hmac.digest(self._key, b"content\x1f" + canonical, "sha256").hex()[:CONTENT_DIGITS]

    @property
    def mark(self) -> str:
        """Tells this key from others without giving it away."""
        return self.digest("mark", "", "identifier key")[:CONTENT_DIGITS]


class WorkspaceKey:
    """Wraps data keys, so that they can be stored."""

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = _checked(key, "the workspace key")
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "WorkspaceKey(hidden)"

    def wrap(self, key_id: str, data_key: bytes) -> bytes:
        """The data key as it is stored: nonce and ciphertext, bound to its id."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data_key, key_id.encode())

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """The data key again.

        Raises:
            WrongKey: Wrapped under another workspace key, for another id, or damaged.
        """
        return _open(self._cipher, wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.encode())

    @property
    def mark(self) -> str:
        """Tells this key from others without giving it away."""
        return hmac.digest(self._key, b"mark of a workspace key", "sha256").hex()[:CONTENT_DIGITS]


class Keyring(Protocol):
    """Where data keys are kept."""

    def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """The data keys of these ids; one that is missing is made."""
        ...


class Alone(NamedTuple):
    """Bytes sealed under a data key of their own, which goes with them."""

    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes


def new_key() -> bytes:
    """A fresh random key."""
    return os.urandom(KEY_BYTES)


def key_id_of(stream: Identifier) -> str:
    """The id of the data key under which a stream's personal fields are sealed."""
    return _text(bytes.fromhex(stream.digest))


def context_of(touchpoint: Touchpoint) -> bytes:
    """What a seal is bound to, so that it cannot be moved to another touchpoint."""
    return f"{touchpoint.source}\x1f{touchpoint.event_id}".encode()


def seal(fields: Mapping[str, str], key_id: str, data_key: bytes, aad: bytes) -> Sealed:
    """Encrypt personal fields under a data key, bound to the key's id and to `aad`."""
    nonce = os.urandom(NONCE_BYTES)
    plain = msgspec.json.encode(fields, order="sorted")
    ciphertext = AESGCM(data_key).encrypt(nonce, plain, _bound(key_id, aad))
    return Sealed(key_id, _text(nonce), _text(ciphertext))


def unseal(sealed: Sealed, data_key: bytes, aad: bytes) -> dict[str, str]:
    """The personal fields again.

    Raises:
        WrongKey: Sealed under another key or for another touchpoint, or damaged.
    """
    nonce, ciphertext = _bytes(sealed.nonce), _bytes(sealed.ciphertext)
    plain = _open(AESGCM(data_key), nonce, ciphertext, _bound(sealed.key_id, aad))
    return msgspec.json.decode(plain, type=dict[str, str])


def seal_alone(data: bytes, workspace: WorkspaceKey) -> Alone:
    """Seal what belongs to nobody yet under a data key of its own."""
    data_key, nonce = new_key(), os.urandom(NONCE_BYTES)
    ciphertext = AESGCM(data_key).encrypt(nonce, data, _ALONE)
    return Alone(workspace.wrap(_ALONE.decode(), data_key), nonce, ciphertext)


def unseal_alone(alone: Alone, workspace: WorkspaceKey) -> bytes:
    """The bytes again.

    Raises:
        WrongKey: Sealed in another workspace, or damaged.
    """
    data_key = workspace.unwrap(_ALONE.decode(), alone.wrapped_key)
    return _open(AESGCM(data_key), alone.nonce, alone.ciphertext, _ALONE)


def _checked(key: bytes, name: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise BadKey(name, f"has {len(key)} bytes")
    return key


def _open(cipher: AESGCM, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, ciphertext, aad)
    except (InvalidTag, ValueError) as error:
        raise WrongKey("sealed data") from error


def _bound(key_id: str, aad: bytes) -> bytes:
    return key_id.encode() + b"\x1f" + aad


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise WrongKey("sealed data") from error
