"""What a consumer needs to know besides where Kafka and the database are."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from engine.errors import BadSetting

GROUP = "LEADLEDGER_GROUP"
INSTANCE = "LEADLEDGER_INSTANCE"
CLIENT = "LEADLEDGER_CLIENT"
BATCH = "LEADLEDGER_BATCH"
SESSION = "LEADLEDGER_SESSION_SECONDS"
POLL_LIMIT = "LEADLEDGER_POLL_LIMIT_SECONDS"

STANDARD, FAST = "standard", "fast"
CLIENTS = (STANDARD, FAST)
DEFAULT_GROUP = "leadledger"
DEFAULT_BATCH = 5000


@dataclass(frozen=True)
class ConsumerSettings:
    """How a consumer takes part in its group."""

    group: str = DEFAULT_GROUP
    instance: str | None = None  # None: the group forgets a member that goes away
    client: str = STANDARD
    batch: int = DEFAULT_BATCH  # messages in one transaction, at most
    session_s: float = 45.0  # after which the group takes a silent member for dead
    poll_limit_s: float = 300.0  # after which it takes a working member for stuck

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """The settings of an environment.

        Raises:
            BadSetting: A value cannot be used.
        """
        client = environ.get(CLIENT) or STANDARD
        if client not in CLIENTS:
            raise BadSetting(CLIENT, f"is {client!r}", f"use one of {', '.join(CLIENTS)}")
        return cls(
            group=environ.get(GROUP) or DEFAULT_GROUP,
            instance=environ.get(INSTANCE) or None,
            client=client,
            batch=int(_number(environ, BATCH, DEFAULT_BATCH)),
            session_s=_number(environ, SESSION, cls.session_s),
            poll_limit_s=_number(environ, POLL_LIMIT, cls.poll_limit_s),
        )

    @property
    def owner(self) -> str:
        """Who claims partitions, for people to read."""
        return self.instance or f"{socket.gethostname()}:{os.getpid()}"


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    written = environ.get(name)
    if not written:
        return default
    if not written.isascii() or not written.isdigit() or not 0 < int(written) < 1_000_000:
        raise BadSetting(name, f"is {written!r}", "write a whole number from 1 to 999999")
    return int(written)
