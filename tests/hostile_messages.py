"""Messages as they may come from a topic that anybody may write to: sound, odd and damaged."""

import json
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from random import Random

import msgspec
from fastavro import schemaless_writer

from consumers.decode import own_schema
from engine.codec import encode
from engine.errors import UnregisteredSchema
from engine.kafka.schemas import Schema, foreign
from engine.privacy import key_id_of
from engine.touchpoint import (
    Actor,
    Campaign,
    Identifier,
    Mention,
    Money,
    Sealed,
    Similar,
    Touchpoint,
    precedence,
)
from tests.storing import NOW, digest

TYPES = ("page_viewed", "email_opened", "won", "x_own", "identified")
TEXTS = ("", "spring", "thị ánh", "\u0e19\u0e49", "x" * 300)
ODD_TEXTS = ("e\u0301", "a\0b", "x" * 70_000)
ODD = (
    *("source", "id", "type", "occurred", "received", "content", "channel", "campaign", "text"),
    *("amount", "nobody", "many", "who", "mentions", "similar", "attributes", "sealed"),
)
OWN, OLDER, REFUSED, UNKNOWN = 1, 2, 3, 4  # numbers in the registry


@dataclass
class Sent:
    """A message as a client hands it over."""

    offset: int
    value: bytes | None
    key: bytes | None = b"key"
    timestamp: int = 1_700_000_000_000
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Numbered:
    """A registry that knows two schemas, and one that may not be used."""

    def schema(self, number: int) -> Schema:
        if number in (OWN, OLDER):
            return own_schema() if number == OWN else older()
        if number == REFUSED:
            return foreign('{"type": "array", "items": "null"}', "schema 3")
        raise UnregisteredSchema(number, "registry")


@cache
def older() -> Schema:
    """Our schema before it had some of its fields, and with one that it has no more."""
    written = json.loads(own_schema().text)
    left_out = ("similar", "account", "sequence")
    written["fields"] = [one for one in written["fields"] if one["name"] not in left_out]
    written["fields"].append({"name": "shoe_size", "type": ["null", "long"]})
    return foreign(json.dumps(written), "schema 2")


def messages(random: Random, count: int) -> list[Sent]:
    """So many messages, more than half of them sound; each touchpoint is there some four times."""
    touchpoints = [anything(random) for _ in range(count // 4)]
    encoded = [(one, encode(one)) for one in touchpoints]
    return [
        Sent(offset, value(random, *random.choice(encoded)), headers=headers(random))
        for offset in range(count)
    ]


def headers(random: Random) -> tuple[tuple[str, bytes | None], ...]:
    names = ("traceparent", "ce_id", "cookie", "__value_schema_id")
    return tuple((random.choice(names), b"1") for _ in range(random.choice([0, 0, 0, 0, 1, 2])))


def value(random: Random, touchpoint: Touchpoint, data: bytes) -> bytes | None:
    """A touchpoint framed in either way, and now and then damaged, or no touchpoint at all."""
    sort = random.random()
    if sort < 0.02:
        return random.choice([None, b"", b"\xc3\x01", b"\x00\x00", random.randbytes(40)])
    if sort < 0.06:
        return b"\x00" + OLDER.to_bytes(4) + as_older(touchpoint)
    record = data[10:]
    if sort > 0.8:
        record = damaged(random, record)
    if random.random() < 0.5:
        return data[:10] + record
    number = random.choice([OWN] * 40 + [REFUSED, UNKNOWN])
    return b"\x00" + number.to_bytes(4) + record


def as_older(touchpoint: Touchpoint) -> bytes:
    out = BytesIO()
    record = {**msgspec.to_builtins(touchpoint), "shoe_size": 44}
    schemaless_writer(out, older().parsed, record)
    return out.getvalue()


def damaged(random: Random, record: bytes) -> bytes:
    """A record with something wrong in it; now and then nothing that matters."""
    place = random.randrange(len(record))
    before, after = record[:place], record[place + 1 :]
    kind = random.randrange(7)
    if kind == 0:
        return before
    if kind == 1:
        return record + random.randbytes(random.randrange(1, 4))
    if kind == 2:
        return before + random.randbytes(1) + after
    if kind == 3:
        return before + bytes([record[place] ^ 1 << random.randrange(8)]) + after
    if kind == 4:
        return before + bytes([record[place] | 0x80, 0x00]) + after  # a longer number, or nonsense
    if kind == 5:
        return before + after
    return before + random.choice([b"\xff" * 9 + b"\x01", b"\x01", b"\x00"]) + record[place:]


def anything(random: Random) -> Touchpoint:
    """A touchpoint as the types allow it; one in five has something that must not be."""
    odd = random.choice(ODD) if random.random() < 0.2 else ""
    touchpoint = Touchpoint(
        source=random.choice(["", "a\x1fb", "e\u0301"]) if odd == "source" else "web",
        event_id="" if odd == "id" else f"e{random.random()}",
        type=random.choice(["nonsense", "assigned"]) if odd == "type" else random.choice(TYPES),
        occurred_at=random.choice([-1, NOW + 10**9, 1 << 62]) if odd == "occurred" else NOW,
        received_at=random.choice([-1, 1 << 62]) if odd == "received" else NOW,
        content=random.choice(["A" * 32, ""]) if odd == "content" else "a" * 32,
        identifiers=identifiers(random, odd),
        sequence=random.choice([0, 1, -(1 << 63), (1 << 63) - 1]),
        time_quality=random.choice(["exact", "date", "sent", "received"]),
        channel="nowhere" if odd == "channel" else random.choice(["email", "x_own"]),
        campaign=Campaign() if odd == "campaign" else random.choice([None, Campaign("google")]),
        actor=random.choice([None, None, Actor("rep"), Actor("lead", "ann")]),
        deal=random.choice(ODD_TEXTS) if odd == "text" else random.choice([None, *TEXTS]),
        account=random.choice([None, "A-3"]),
        mentions=mentions(random, odd),
        amount=Money(-(1 << 63), "???")
        if odd == "amount"
        else random.choice([None, Money(5, "VND")]),
        attributes=attributes(random, odd),
        similar=similar(random, odd),
    )
    return sealed(random, touchpoint, odd) if touchpoint.identifiers else touchpoint


def identifiers(random: Random, odd: str) -> tuple[Identifier, ...]:
    if odd == "nobody":
        return ()
    kinds = ("email", "phone", "crm_id", "anonymous_id")
    count = 70 if odd == "many" else random.choice([1, 1, 2, 3])
    some = {(random.choice(kinds), digest(str(random.randrange(1000)))) for _ in range(count)}
    who = sorted((Identifier(*one) for one in some), key=precedence)
    if odd == "who":
        who = [*who, random.choice([who[0], Identifier("email", "A" * 64), Identifier("shoe", "")])]
    return tuple(who)


def mentions(random: Random, odd: str) -> tuple[Mention, ...]:
    two = [Mention("referrer", "email", digest(str(number))) for number in range(2)]
    if odd == "mentions":
        return random.choice([(two[0], two[0]), (Mention("", "email", two[0].digest),)])
    two.sort(key=lambda one: one.digest)
    return tuple(two) if random.random() < 0.2 else ()


def similar(random: Random, odd: str) -> tuple[Similar, ...]:
    some = [Similar("phone_minus", digest(str(number))) for number in range(3)]
    if odd == "similar":
        return (Similar("shoe", digest("1")),)
    some.sort(key=lambda one: one.digest)
    return tuple(some) if random.random() < 0.3 else ()


def attributes(random: Random, odd: str) -> dict[str, object]:
    values = [1, 0, -1, 1.5, 0.0, True, False, "thị", "", (1 << 63) - 1]
    names = sorted(random.sample(["path", "seconds", "b", "c", "ánh"], random.randrange(4)))
    if odd == "attributes":
        values = [float("nan"), float("inf"), -0.0, "e\u0301", "a\0"]
        names = random.choice([["b", "a"], ["a"], ["x" * 200]])
    return {name: random.choice(values) for name in names}


def sealed(random: Random, touchpoint: Touchpoint, odd: str) -> Touchpoint:
    if odd == "who" or (odd != "sealed" and random.random() < 0.6):
        return touchpoint
    key_id = key_id_of(touchpoint.stream)
    good = Sealed(key_id, "AAAAAAAAAAAAAAAA", "QUFBQUFBQUFBQUFBQUFBQUFBQUE")
    bad = [
        Sealed("other", good.nonce, good.ciphertext),
        Sealed(key_id, "AAAA", good.ciphertext),
        Sealed(key_id, good.nonce, good.ciphertext + "="),
        Sealed(key_id, good.nonce, "thị"),
    ]
    chosen = random.choice(bad) if odd == "sealed" else good
    return msgspec.structs.replace(touchpoint, sealed=chosen)
