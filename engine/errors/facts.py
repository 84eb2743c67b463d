"""What can be wrong with a touchpoint."""

from collections.abc import Iterable

from engine.errors.base import EngineError


class NoStream(EngineError):
    """A touchpoint that names nobody and has no stream of its own."""

    code = "no_identifier"
    exit_code = 3

    def __init__(self, type_name: str) -> None:
        super().__init__(
            f"a touchpoint of type {type_name} names nobody, so it belongs to no stream; "
            "give it an identifier"
        )


class Refused(EngineError):
    """A touchpoint cannot be accepted as it is; `detail` never holds a value of it."""

    code = "refused"
    exit_code = 3

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class BadInstant(EngineError):
    """A text that is no instant."""

    code = "bad_instant"
    exit_code = 2

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; write an instant like 2026-03-01T08:00:00+07:00")


class UnknownSchema(EngineError):
    """Nothing here reads the schema that a record was written with."""

    code = "unknown_schema"
    exit_code = 3

    def __init__(self, fingerprint: str, known: Iterable[str]) -> None:
        self.fingerprint = fingerprint
        super().__init__(
            f"no schema here has the fingerprint {fingerprint} "
            f"(known: {', '.join(sorted(known))}); "
            "add its .avsc to schemas/, or have the producer use a known one"
        )


class Undecodable(EngineError):
    """Bytes that are no touchpoint in Avro's single-object encoding."""

    code = "undecodable"
    exit_code = 3

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"these bytes are no touchpoint: {problem}; "
            "send C3 01, the schema's fingerprint and one whole Avro record"
        )
