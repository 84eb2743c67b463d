"""A schema registry, asked for schemas by number; what a number means never changes."""

import time
from base64 import b64encode
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import unquote, urlsplit

import msgspec

from engine.errors import BadSetting, RegistryAway, SchemaRefused, UnregisteredSchema
from engine.kafka.schemas import Schema, foreign

TIMEOUT_S = 10.0
MAX_ANSWER = 256 << 10  # bytes
ASK_AGAIN_S = 30.0  # after which a schema that was unknown may be known
MAX_UNKNOWN = 1024  # numbers remembered as unknown
_MISSING = 40403  # the registry's own code for a number that it never gave
_ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"


class Registry:
    """Confluent's HTTP interface, as Karapace and Apicurio serve it too."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`url` may name user and password; they are shown nowhere.

        Raises:
            BadSetting: It is no HTTP URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host:
            raise BadSetting("LEADLEDGER_REGISTRY", "is no URL", "write it as http://HOST:PORT")
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._address = host, port
        self._path = parts.path.rstrip("/")
        self._headers = {"Accept": _ACCEPT, **_authorization(parts.username, parts.password)}
        self._name = host if port is None else f"{host}:{port}"
        self._clock = clock
        self._known: dict[int, Schema | SchemaRefused] = {}
        self._unknown: dict[int, float] = {}  # until when not to ask again

    def __repr__(self) -> str:
        return f"Registry({self._name})"

    def schema(self, number: int) -> Schema:
        """The schema that has a number; asked for once.

        Raises:
            UnregisteredSchema: The registry has none; it is asked again half a minute later.
            SchemaRefused: It has one that is not Avro or not safe.
            RegistryAway: It does not answer, or something else than a registry does.
        """
        known = self._known.get(number)
        if known is None:
            if self._unknown.get(number, 0.0) > self._clock():
                raise UnregisteredSchema(number, self._name)
            known = self._known[number] = self._ask(number)
        if isinstance(known, SchemaRefused):
            raise known
        return known

    def _ask(self, number: int) -> Schema | SchemaRefused:
        origin = f"schema {number} of {self._name}"
        status, body = self._get(f"{self._path}/schemas/ids/{number}")
        if status == 200 and len(body) > MAX_ANSWER:
            return SchemaRefused(origin, f"it is longer than {MAX_ANSWER} bytes")
        answer = _document(body)
        if status == 404 and answer.get("error_code") == _MISSING:
            self._miss(number)
            raise UnregisteredSchema(number, self._name)
        text = answer.get("schema")
        if status != 200 or not isinstance(text, str):
            raise RegistryAway(self._name, f"it answers with status {status} and no schema")
        if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
            return SchemaRefused(origin, "it is not Avro, or refers to other schemas")
        try:
            return foreign(text, origin)
        except SchemaRefused as refused:
            return refused

    def _miss(self, number: int) -> None:
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown.clear()
        self._unknown[number] = self._clock() + ASK_AGAIN_S

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = self._kind(*self._address, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER + 1)
        except (OSError, HTTPException) as error:
            raise RegistryAway(self._name, type(error).__name__) from None
        finally:
            connection.close()


def _authorization(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    told = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"Authorization": f"Basic {b64encode(told).decode()}"}


def _document(body: bytes) -> dict[str, object]:
    """What an answer says; nothing where it is no JSON object."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
