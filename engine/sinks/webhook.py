"""Announcements to a webhook: a POST each, signed, one after the other.

One each and not a batch, so that an answer says of just one announcement whether it is taken, and
a receiver never has to take half of something.
"""

import hmac
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from engine.announcement import Announcement, line
from engine.errors import BadSetting, SinkAway, SinkRefused
from engine.settings import WEBHOOK_INSECURE, WEBHOOK_URL
from engine.sinks.sending import Message

NAME = "webhook"
TIMEOUT_S = 10.0  # for a connection, and for each part of an answer; twice it for all
BATCH_S = 2.0  # after which it is written down how many were taken
MAX_ANSWER = 64 << 10  # bytes of which nothing is believed
LATER = (408, 425, 429)  # what a client is told that should come again
ID_HEADER, SIGNATURE_HEADER = "Leadledger-Id", "Leadledger-Signature"


class Receiver(NamedTuple):
    """Where a webhook is."""

    secure: bool
    host: str
    port: int | None
    path: str  # with its query, which nobody is shown

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


def receiver_of(url: str, *, insecure: bool = False) -> Receiver:
    """What a URL names; without TLS only on this machine, or where that is asked for.

    Raises:
        BadSetting: It is none that announcements may go to.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or " " in url:
        raise BadSetting(WEBHOOK_URL, "is no URL", "write it as https://HOST/PATH")
    if parts.username is not None or parts.fragment:
        fix = "leave that out: who sends is known by the signature"
        raise BadSetting(WEBHOOK_URL, "names a user, or a part of a page", fix)
    secure = parts.scheme == "https"
    if not (secure or insecure or _is_here(host)):
        fix = f"use https, or set {WEBHOOK_INSECURE}=1 where nobody listens in between"
        raise BadSetting(WEBHOOK_URL, "is not encrypted", fix)
    query = f"?{parts.query}" if parts.query else ""
    return Receiver(secure, host, port, f"{parts.path or '/'}{query}")


def signature(secret: bytes, at: int, body: bytes) -> str:
    """The header that says when a body was sent, and proves who by.

    HMAC-SHA256 over the seconds since 1970 in digits, a dot, and the body; in hex.
    """
    digest = hmac.new(secret, b"%d." % at + body, "sha256").hexdigest()
    return f"t={at},v1={digest}"


class WebhookSink:
    """POSTs to one receiver."""

    name = NAME

    def __init__(
        self,
        receiver: Receiver,
        secret: bytes,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` tells seconds since 1970, UTC."""
        self._receiver, self._secret = receiver, secret
        self._timeout_s, self._clock = timeout_s, clock
        self._connection: HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"WebhookSink({self._receiver.shown})"

    def send(self, messages: Sequence[Message]) -> int:
        """Post one after the other, for a while; how many were taken.

        Raises:
            SinkAway: The first was not: nobody answers, or not well.
            SinkRefused: The answer says that the same would not be taken later either.
        """
        until, count = time.monotonic() + BATCH_S, 0
        for told, _ in messages:
            try:
                self._post(told)
            except SinkAway:
                if not count:
                    raise
                break
            count += 1
            if time.monotonic() > until:
                break
        return count

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, told: Announcement) -> None:
        body = line(told)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "leadledger",
            ID_HEADER: told.id,
            SIGNATURE_HEADER: signature(self._secret, int(self._clock()), body),
        }
        reused = self._connection is not None
        try:
            status = self._ask(body, headers)
        except (OSError, HTTPException) as error:
            if not reused:
                raise self._away(_problem(error)) from error
            try:  # a receiver may have closed a connection that stood still: that is no fault
                status = self._ask(body, headers)
            except (OSError, HTTPException) as again:
                raise self._away(_problem(again)) from again
        if not 200 <= status < 300:
            self.close()
            raise self._not_taken(status)

    def _ask(self, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer; where there is none, the connection is closed."""
        if self._connection is None:
            self._connection = self._connected()
        over = threading.Event()
        watch = threading.Timer(2 * self._timeout_s, _cut, (self._connection, over))
        watch.start()
        try:
            self._connection.request("POST", self._receiver.path, body, headers)
            answer = self._connection.getresponse()
            answer.read(MAX_ANSWER)
            if over.is_set() or not answer.isclosed():
                self.close()
        except BaseException as error:
            self.close()
            if over.is_set() and isinstance(error, OSError | HTTPException):
                raise TimeoutError from error
            raise
        finally:
            watch.cancel()
        return answer.status

    def _connected(self) -> HTTPConnection:
        where = self._receiver
        if not where.secure:
            return HTTPConnection(where.host, where.port, timeout=self._timeout_s)
        context = ssl.create_default_context()
        return HTTPSConnection(where.host, where.port, timeout=self._timeout_s, context=context)

    def _away(self, problem: str) -> SinkAway:
        return SinkAway(NAME, f"{self._receiver.shown}: {problem}")

    def _not_taken(self, status: int) -> SinkAway:
        if status >= 500 or status in LATER:
            return self._away(f"it answers {status}")
        told = f"{self._receiver.shown} answers {status}"
        if 300 <= status < 400:
            told += ", and redirects are not followed"
        return SinkRefused(NAME, told)


def _cut(connection: HTTPConnection, over: threading.Event) -> None:
    """End an exchange whose time is over: a receiver may send byte after byte for ever."""
    over.set()
    with suppress(OSError, AttributeError):  # it ends just now, or has not begun
        connection.sock.shutdown(socket.SHUT_RDWR)


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _problem(error: OSError | HTTPException) -> str:
    """What went wrong, without anything that the receiver said."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
