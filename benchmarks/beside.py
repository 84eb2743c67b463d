"""What the pipeline is measured beside: a load, recording alone, raw clients, the stock library."""

import random
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from urllib.parse import urlsplit
from uuid import UUID

import pyruhvro
from confluent_kafka import OFFSET_BEGINNING, Consumer
from confluent_kafka import TopicPartition as Place
from eventsourcing.application import Application
from fastavro import schemaless_reader
from kafka import KafkaConsumer, TopicPartition

from benchmarks import parts
from benchmarks.common import Stopwatch
from benchmarks.parts import Message, Servers
from benchmarks.record import START, StockLead
from consumers.decode import own_schema
from consumers.settings import FAST
from engine import lifecycle
from engine.codec import decode, encode
from engine.instants import DAY_US
from engine.kafka.settings import KafkaSettings
from engine.privacy import WorkspaceKey
from engine.store.facts import Facts
from engine.touchpoint import Arrival, Campaign, Encoded, Identifier, Touchpoint

PER_VISIT, VISITS = 2, 5  # touchpoints of a lead that come together; how often it comes
WARM = 2000  # touchpoints that are there before
BATCH = 5000
HEADER_BYTES = 10
SPAN_US = 90 * DAY_US
TYPES = ("page_viewed",) * 6 + ("email_opened", "email_opened", "form_submitted", "price_asked")
CHANNELS = ("organic_search", "paid_search", "email", "direct", "referral")
HOT = "0" * 64
WORKSPACE_KEY = WorkspaceKey(parts.KEY)


def touchpoints(count: int, seed: int, hot: float = 0) -> Iterator[Touchpoint]:
    """Leads that come five times, two touchpoints at a time, in random order.

    A share `hot` of all is one lead's.
    """
    chance = random.Random(seed)
    leads = max(1, count // (PER_VISIT * VISITS))
    digests = [sha256(f"{seed} {lead}".encode()).hexdigest() for lead in range(leads)]
    for number in range(count):
        if number % PER_VISIT == 0:
            one = HOT if chance.random() < hot else chance.choice(digests)
            who = (Identifier("email", one),)
        at = START + number * SPAN_US // count
        yield Touchpoint(
            source="web",
            event_id=f"{chance.getrandbits(64):016x}",
            type=chance.choice(TYPES),
            occurred_at=at,
            received_at=at + 250_000,
            content=f"{chance.getrandbits(128):032x}",
            identifiers=who,
            channel=chance.choice(CHANNELS),
            campaign=Campaign(source="google", medium="cpc", name=f"c-{number % 50}"),
            attributes={"path": f"/page/{number % 300}", "seconds": number % 90},
        )


def messages(count: int, seed: int, hot: float = 0) -> list[Message]:
    """The same as they lie on the topic."""
    return [(one.stream.digest.encode(), encode(one)) for one in touchpoints(count, seed, hot)]


def recorded_batches(facts: Facts, after: int, upto: int) -> Iterator[list[Arrival]]:
    """What was recorded, batch by batch, as it can be recorded again."""
    with facts.snapshot() as connection:
        for first, last in connection.execute(
            "SELECT first, last FROM recordings WHERE first > ? AND last <= ? ORDER BY first",
            (after, upto),
        ).fetchall():
            states = connection.execute(
                "SELECT state FROM stored_events WHERE stored_events.rowid BETWEEN ? AND ?"
                " ORDER BY stored_events.rowid",
                (first, last),
            ).fetchall()
            yield [arrival(decode(bytes(state))) for (state,) in states]


def record_alone(
    servers: Servers, kind: str, batches: Iterator[list[Arrival]]
) -> tuple[Stopwatch, int]:
    """Record and nothing else; the processor's seconds are those of the client."""
    watch, count = Stopwatch(), 0
    with Facts.open(servers.new_database(kind)) as facts:
        first = [arrival(one) for one in touchpoints(WARM, seed=0)]
        lifecycle.record(facts, first, workspace_key=WORKSPACE_KEY)
        for batch in batches:
            with watch.running():
                lifecycle.record(facts, batch, workspace_key=WORKSPACE_KEY)
            count += len(batch)
    return watch, count


def consume_raw(kafka: KafkaSettings, client: str, count: int) -> Stopwatch:
    """Consume and decode and nothing else, as the client's own documentation has it."""
    watch = Stopwatch()
    read, decoded = (_read_fast if client == FAST else _read)(kafka), 0
    for _ in range(2):  # the first batch is waited for
        decoded += read()
    skipped = decoded
    with watch.running():
        while decoded < count:
            decoded += read()
    scale = count / (count - skipped)
    watch.wall, watch.cpu = watch.wall * scale, watch.cpu * scale
    return watch


def _read(kafka: KafkaSettings) -> Callable[[], int]:
    schema = own_schema()
    consumer = KafkaConsumer(**kafka.python(), enable_auto_commit=False)
    places = [TopicPartition(kafka.topic, number) for number in range(parts.PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)

    def read() -> int:
        found = consumer.poll(timeout_ms=1000, max_records=BATCH)
        values = [one.value for some in found.values() for one in some]
        for value in values:
            schemaless_reader(BytesIO(value[HEADER_BYTES:]), schema.parsed, None)
        return len(values)

    return read


def _read_fast(kafka: KafkaSettings) -> Callable[[], int]:
    schema = own_schema()
    consumer = Consumer({**kafka.native(), "group.id": "raw", "enable.auto.commit": False})
    consumer.assign(
        [Place(kafka.topic, number, OFFSET_BEGINNING) for number in range(parts.PARTITIONS)]
    )

    def read() -> int:
        values = [(one.value() or b"")[HEADER_BYTES:] for one in consumer.consume(1000, 1.0)]
        if values:
            pyruhvro.deserialize_array(values, schema.text)
        return len(values)

    return read


def save_stock(url: str, made: Sequence[Touchpoint], at_once: int) -> Stopwatch:
    """The stock application, as fast as it goes: all leads stay in its cache."""
    application: Application[UUID] = Application(env=_stock_environment(url))
    known: set[str] = set()
    watch = Stopwatch()
    for start in range(0, len(made), at_once):
        with watch.running():
            leads: dict[str, StockLead] = {}
            for one in made[start : start + at_once]:
                digest = one.stream.digest
                if digest not in leads:
                    leads[digest] = (
                        application.repository.get(StockLead.create_id(digest))
                        if digest in known
                        else StockLead(digest)
                    )
                leads[digest].record(encode(one).hex())
            application.save(*leads.values())
            known.update(leads)
    application.close()
    return watch


def _stock_environment(url: str) -> dict[str, str]:
    cached = {"AGGREGATE_CACHE_MAXSIZE": "100000", "AGGREGATE_CACHE_FASTFORWARD": "n"}
    where = urlsplit(url)
    if where.scheme == "sqlite":
        name = url.removeprefix("sqlite:///")
        return cached | {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": name}
    return cached | {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": where.path.removeprefix("/"),
        "POSTGRES_HOST": str(where.hostname),
        "POSTGRES_PORT": str(where.port),
        "POSTGRES_USER": str(where.username),
        "POSTGRES_PASSWORD": str(where.password),
    }


def arrival(one: Touchpoint) -> Arrival:
    """A touchpoint as recording takes it."""
    return Arrival(origin="benchmark", line=1, data=b"", encoded=Encoded(one, encode(one)))
