"""Every metric, declared once, and the calls by which processes tell what they see.

Nothing is counted until a process says `serve` or `measure`. Before that a call
costs a comparison, and prometheus-client, which is slow to import, is not loaded.
Values are seconds, touchpoints, leads and the like, as the names end; what may be
any word, such as a source, has so many labels at most and is then "other".
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import BadSetting
from engine.measures import Measures, Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

UNKNOWN = "unknown"
LOOPBACK = "127.0.0.1"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_TOUCHPOINTS = (1, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000)

Retrying = Literal["consume", "project", "emit", "announce"]
Verdict = Literal["recorded", "duplicate", "set_aside"]


RECORDED = Metric(
    "leadledger_recorded_touchpoints_total",
    "counter",
    "Touchpoints recorded.",
    ("source", "type"),
)
DOUBLED = Metric(
    "leadledger_doubled_touchpoints_total",
    "counter",
    "Deliveries of touchpoints that were recorded already.",
    ("source", "type"),
)
ASIDE = Metric(
    "leadledger_aside_touchpoints_total",
    "counter",
    "Deliveries set aside.",
    ("source", "reason"),
)
BATCH_SIZE = Metric(
    "leadledger_batch_touchpoints",
    "histogram",
    "Deliveries recorded in one transaction.",
    buckets=_TOUCHPOINTS,
)
BATCH_SECONDS = Metric(
    "leadledger_batch_seconds",
    "histogram",
    "From the beginning of a recording transaction until it was committed.",
    buckets=_SECONDS,
)
LAG = Metric(
    "leadledger_lag_touchpoints",
    "gauge",
    "Messages of a partition that wait to be recorded.",
    ("topic", "partition"),
)
LAG_SECONDS = Metric(
    "leadledger_lag_seconds",
    "since",
    "How long the oldest message of a partition has waited to be recorded.",
    ("topic", "partition"),
)
VISIBLE = Metric(
    "leadledger_append_to_visible_seconds",
    "histogram",
    "From the recording of a touchpoint until the read models show it.",
    buckets=_SECONDS,
)
READ_MODEL_AGE = Metric(
    "leadledger_read_model_age_seconds",
    "since",
    "Since the read models were last known to hold all that was recorded.",
)
DERIVED = Metric("leadledger_derived_leads_total", "counter", "Leads whose rows were replaced.")
MISSING = Metric(
    "leadledger_missing_positions",
    "gauge",
    "Positions without an event that an open transaction may fill: the runner waits before them.",
)
PASSED = Metric(
    "leadledger_passed_positions_total",
    "counter",
    "Positions without an event that the runner passed, since none can come any more.",
)
BEHIND = Metric(
    "leadledger_read_model_lag_touchpoints",
    "gauge",
    "Touchpoints that are recorded and that the read models do not show yet.",
)
RETRIES = Metric(
    "leadledger_retries_total",
    "counter",
    "Times that something was tried again because a part was away.",
    ("work",),
)
EPOCH_CHANGES = Metric(
    "leadledger_epoch_changes_total",
    "counter",
    "Partitions that a consumer of this process came to own.",
)
DATABASE_UP = Metric(
    "leadledger_database_up", "gauge", "1 if the database answered last time, else 0."
)
BROKER_UP = Metric("leadledger_broker_up", "gauge", "1 if a broker answered last time, else 0.")
SENT = Metric(
    "leadledger_sent_touchpoints_total", "counter", "Emitted and acknowledged by the broker."
)
FAILED = Metric(
    "leadledger_failed_touchpoints_total", "counter", "Emitted, and refused here or by the broker."
)
SPOOLED = Metric(
    "leadledger_spooled_touchpoints", "gauge", "Emitted, on disk until the broker is back."
)
IN_FLIGHT = Metric(
    "leadledger_in_flight_touchpoints", "gauge", "Emitted and on the way to the broker."
)
TOLD = Metric(
    "leadledger_told_announcements_total",
    "counter",
    "Announcements that were added to the ledger.",
    ("kind",),
)
SINK_LAG = Metric(
    "leadledger_sink_lag_announcements",
    "gauge",
    "Announcements that a sink has not taken yet.",
    ("sink",),
)
SINK_LAG_SECONDS = Metric(
    "leadledger_sink_lag_seconds",
    "since",
    "How long the oldest announcement that a sink has not taken yet has waited.",
    ("sink",),
)
SINK_RETRIES = Metric(
    "leadledger_sink_retries_total",
    "counter",
    "Times that a sink took nothing of what it was sent, and was tried again.",
    ("sink",),
)
METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def serve(port: int, host: str = LOOPBACK) -> int:
    """Measure from now on, and show it by HTTP for as long as the process lives.

    Args:
        port: To listen on; 0 takes a free one.
        host: The address to listen on; 0.0.0.0 is all of the machine's.

    Returns:
        The port.

    Raises:
        BadSetting: Nobody can listen there.
    """
    from prometheus_client import REGISTRY, start_http_server

    measure(REGISTRY)
    try:
        server, _ = start_http_server(port, host)
    except (OSError, OverflowError) as error:
        place = f"is {host}:{port}, where this process cannot listen ({error})"
        raise BadSetting("the port of the metrics", place, "choose another one") from error
    return int(server.server_port)


def measure(registry: "CollectorRegistry") -> None:
    """Measure from now on, into a registry of prometheus-client that somebody else shows.

    Where the process measures already, nothing changes.
    """
    global _measures
    with _starting:
        if _measures is None:
            _measures = Measures(METRICS, registry)
            for work in get_args(Retrying):
                _measures.count(RETRIES, 0, work)


def batch(told: Iterable[tuple[Verdict, str | None, str | None]], seconds: float) -> None:
    """A transaction recorded deliveries.

    Args:
        told: Each delivery's verdict, source, and its type; where it was set aside, the
            reason. None is unknown. Read only if the process measures.
        seconds: How long the transaction took.
    """
    if _measures is None:
        return
    counts = Counter(told)
    for (verdict, source, what), times in counts.items():
        _measures.count(_BY_VERDICT[verdict], times, source or UNKNOWN, what or UNKNOWN)
    _measures.observe(BATCH_SIZE, sum(counts.values()))
    _measures.observe(BATCH_SECONDS, seconds)


def lag(topic: str, partition: int, touchpoints: int, since: float | None) -> None:
    """So many messages of a partition wait.

    Args:
        topic: Of the messages.
        partition: Of the topic.
        touchpoints: From the next one to be recorded to the end of the partition.
        since: When the oldest of them was appended, or was first known to wait: seconds since
            1970, UTC. None where none waits.
    """
    if _measures is not None:
        _measures.set(LAG, touchpoints, topic, str(partition))
        _measures.set(LAG_SECONDS, since, topic, str(partition))


def partition_left(topic: str, partition: int) -> None:
    """This process is no longer the one to tell a partition's lag."""
    if _measures is not None:
        _measures.forget(LAG, topic, str(partition))
        _measures.forget(LAG_SECONDS, topic, str(partition))


def visible(seconds: float, touchpoints: int = 1) -> None:
    """Read models now show touchpoints that were recorded so long ago."""
    if _measures is not None:
        _measures.observe(VISIBLE, seconds, touchpoints)


def read_models_complete(at: float) -> None:
    """Read models held all that was recorded at an instant: seconds since 1970, UTC."""
    if _measures is not None:
        _measures.set(READ_MODEL_AGE, at)


def derived(leads: int) -> None:
    """The rows of so many leads were replaced."""
    if _measures is not None:
        _measures.count(DERIVED, leads)


def missing(positions: int) -> None:
    """The runner waits before so many positions that no event has; 0 when that is over."""
    if _measures is not None:
        _measures.set(MISSING, positions)


def passed(positions: int) -> None:
    """The runner passed so many positions that no event has, nor will have."""
    if _measures is not None:
        _measures.count(PASSED, positions)


def behind(touchpoints: int) -> None:
    """The read models do not show so many recorded touchpoints yet."""
    if _measures is not None:
        _measures.set(BEHIND, touchpoints)


def retried(work: Retrying) -> None:
    """Something is tried again because a part was away."""
    if _measures is not None:
        _measures.count(RETRIES, 1, work)


def epoch_changed() -> None:
    """A consumer of this process came to own a partition."""
    if _measures is not None:
        _measures.count(EPOCH_CHANGES)


def database_up(up: bool) -> None:
    """Whether the database answered."""
    if _measures is not None:
        _measures.set(DATABASE_UP, up)


def broker_up(up: bool) -> None:
    """Whether a broker answered."""
    if _measures is not None:
        _measures.set(BROKER_UP, up)


def sent(touchpoints: int = 1) -> None:
    """The broker acknowledged emitted touchpoints."""
    if _measures is not None:
        _measures.count(SENT, touchpoints)


def failed(touchpoints: int = 1) -> None:
    """Emitted touchpoints were refused, here or by the broker."""
    if _measures is not None:
        _measures.count(FAILED, touchpoints)


def spooled(touchpoints: int) -> None:
    """So many emitted touchpoints are on disk now."""
    if _measures is not None:
        _measures.set(SPOOLED, touchpoints)


def in_flight(touchpoints: int) -> None:
    """So many emitted touchpoints are on the way now."""
    if _measures is not None:
        _measures.set(IN_FLIGHT, touchpoints)


def told(kinds: Mapping[str, int]) -> None:
    """So many announcements of each kind were added to the ledger."""
    if _measures is not None:
        for kind, announcements in kinds.items():
            _measures.count(TOLD, announcements, kind)


def sink_lag(sink: str, announcements: int, since: float | None) -> None:
    """So many announcements wait for a sink.

    Args:
        sink: Its name.
        announcements: That it has not taken.
        since: When the first of them was told: seconds since 1970, UTC. None where none waits.
    """
    if _measures is not None:
        _measures.set(SINK_LAG, announcements, sink)
        _measures.set(SINK_LAG_SECONDS, since, sink)
        _measures.count(SINK_RETRIES, 0, sink)  # shown before anything fails


def sink_retried(sink: str) -> None:
    """A sink took nothing, and is tried again."""
    if _measures is not None:
        _measures.count(SINK_RETRIES, 1, sink)


_BY_VERDICT: dict[Verdict, Metric] = {
    "recorded": RECORDED,
    "duplicate": DOUBLED,
    "set_aside": ASIDE,
}
_starting = threading.Lock()
_measures: Measures | None = None
