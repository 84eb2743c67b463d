"""Where Kafka is and how to come in, read once from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from engine.errors import BadSetting
from engine.kafka.registry import Registry
from engine.nearest import did_you_mean

SERVERS = "LEADLEDGER_KAFKA"
TOPIC = "LEADLEDGER_TOPIC"
LIFECYCLE = "LEADLEDGER_LIFECYCLE_TOPIC"
REGISTRY = "LEADLEDGER_REGISTRY"
SECURITY = "LEADLEDGER_KAFKA_SECURITY"

DEFAULT_TOPIC = "touchpoints"
DEFAULT_LIFECYCLE = "lead-lifecycle"
ASIDE = ".aside"
SECURITIES = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TOPIC_FORM = re.compile(r"[A-Za-z0-9._-]{1,243}")  # with .aside at most 249, Kafka's limit
_SERVER_FORM = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


class _Option(NamedTuple):
    python: str  # what kafka-python calls it
    native: str  # what librdkafka calls it


_OPTIONS = {
    SECURITY: _Option("security_protocol", "security.protocol"),
    "LEADLEDGER_KAFKA_CA_FILE": _Option("ssl_cafile", "ssl.ca.location"),
    "LEADLEDGER_KAFKA_CERT_FILE": _Option("ssl_certfile", "ssl.certificate.location"),
    "LEADLEDGER_KAFKA_KEY_FILE": _Option("ssl_keyfile", "ssl.key.location"),
    "LEADLEDGER_KAFKA_KEY_PASSWORD": _Option("ssl_password", "ssl.key.password"),
    "LEADLEDGER_KAFKA_MECHANISM": _Option("sasl_mechanism", "sasl.mechanism"),
    "LEADLEDGER_KAFKA_USER": _Option("sasl_plain_username", "sasl.username"),
    "LEADLEDGER_KAFKA_PASSWORD": _Option("sasl_plain_password", "sasl.password"),
}
_TLS = tuple(name for name, option in _OPTIONS.items() if option.python.startswith("ssl_"))
_FILES = tuple(name for name in _TLS if name.endswith("_FILE"))
_SASL = tuple(name for name, option in _OPTIONS.items() if option.python.startswith("sasl_"))


@dataclass(frozen=True)
class KafkaSettings:
    """What any client of Kafka needs to know; passwords show in no text that is made of it."""

    servers: tuple[str, ...]  # HOST:PORT
    topic: str = DEFAULT_TOPIC
    lifecycle: str = DEFAULT_LIFECYCLE  # the topic of announcements
    registry_url: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)  # by variable

    @classmethod
    def load(cls, environ: Mapping[str, str], topic: str | None = None) -> Self:
        """The settings of an environment; `topic` outweighs the environment's.

        Raises:
            BadSetting: A value cannot be used, is missing, or belongs to no setting.
        """
        options = {name: environ[name] for name in _OPTIONS if environ.get(name)}
        _check_names(environ)
        return cls(
            servers=_servers(environ),
            topic=checked_topic(topic or environ.get(TOPIC) or DEFAULT_TOPIC),
            lifecycle=checked_topic(environ.get(LIFECYCLE) or DEFAULT_LIFECYCLE),
            registry_url=environ.get(REGISTRY) or None,
            options=_secured(options),
        )

    @property
    def aside(self) -> str:
        """The topic of what could not be accepted."""
        return self.topic + ASIDE

    @property
    def topics(self) -> tuple[str, str, str]:
        """All that `kafka init` makes."""
        return self.topic, self.aside, self.lifecycle

    def registry(self) -> Registry | None:
        """The schema registry, where one is set."""
        return Registry(self.registry_url) if self.registry_url else None

    def python(self) -> dict[str, Any]:
        """What every client of kafka-python is given."""
        given = {_OPTIONS[name].python: value for name, value in self.options.items()}
        return {"bootstrap_servers": list(self.servers), **given}

    def native(self) -> dict[str, Any]:
        """The same for librdkafka, the client under confluent-kafka."""
        given = {_OPTIONS[name].native: value for name, value in self.options.items()}
        return {"bootstrap.servers": ",".join(self.servers), **given}


def checked_topic(name: str) -> str:
    """The name of a topic, if Kafka takes it and room is left for its aside.

    Raises:
        BadSetting: It does not.
    """
    if not _TOPIC_FORM.fullmatch(name) or name in (".", ".."):
        raise BadSetting(
            "the topic", f"is {name!r}", "use up to 243 letters, digits, dots, dashes, underscores"
        )
    return name


def _servers(environ: Mapping[str, str]) -> tuple[str, ...]:
    listed = [server.strip() for server in environ.get(SERVERS, "").split(",")]
    if not all(_SERVER_FORM.fullmatch(server) for server in listed):
        problem = "is not set" if listed == [""] else "is no list of servers"
        raise BadSetting(SERVERS, problem, "write HOST:PORT, several with commas between")
    return tuple(listed)


def _check_names(environ: Mapping[str, str]) -> None:
    """A misspelt password must not become a connection without one."""
    for name in environ:
        if name.startswith(f"{SERVERS}_") and name not in _OPTIONS:
            raise BadSetting(name, "is no setting", did_you_mean(name, _OPTIONS))


def _secured(options: dict[str, str]) -> dict[str, str]:
    """The options with their security said, whole and of one mind."""
    tls, sasl = (any(name in options for name in names) for names in (_TLS, _SASL))
    fitting = ("SASL_SSL" if sasl else "SSL") if tls or sasl else "PLAINTEXT"
    security = options.setdefault(SECURITY, fitting)
    if security not in SECURITIES:
        raise BadSetting(SECURITY, f"is {security!r}", f"use one of {', '.join(SECURITIES)}")
    if (tls and "SSL" not in security) or sasl is not security.startswith("SASL"):
        raise BadSetting(
            SECURITY, f"is {security}, and other settings say otherwise", f"write {fitting}"
        )
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise BadSetting(name, f"is {options[name]!r}", "name a file that is there")
    if sasl:
        _check_sasl(options)
    return options


def _check_sasl(options: dict[str, str]) -> None:
    mechanism = options.setdefault("LEADLEDGER_KAFKA_MECHANISM", MECHANISMS[0])
    if mechanism not in MECHANISMS:
        raise BadSetting(
            "LEADLEDGER_KAFKA_MECHANISM", "is none of ours", f"use one of {', '.join(MECHANISMS)}"
        )
    for name in ("LEADLEDGER_KAFKA_USER", "LEADLEDGER_KAFKA_PASSWORD"):
        if name not in options:
            raise BadSetting(name, "is missing", "set user and password, or neither")
