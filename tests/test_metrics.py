"""Metrics: declared once, bounded, told by HTTP, and free of charge to all who do not ask."""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from engine import metrics
from engine.errors import BadSetting
from engine.lifecycle import record
from engine.measures import MOST_WORDS, Measures
from tests.storing import WORKSPACE_KEY, arrival, refused, touch

UNITS = (
    "_announcements",
    "_seconds",
    "_touchpoints",
    "_leads",
    "_positions",
    "_retries",
    "_changes",
    "_up",
)


@pytest.fixture
def registry(monkeypatch) -> Iterator[CollectorRegistry]:
    """What is measured from here on, and nothing of other tests."""
    fresh = CollectorRegistry()
    monkeypatch.setattr(metrics, "_measures", None)
    metrics.measure(fresh)
    return fresh


def value(registry, metric, **labels):
    return registry.get_sample_value(metric.name, labels)


@pytest.mark.parametrize("metric", metrics.METRICS, ids=lambda metric: metric.name)
def test_a_name_begins_with_the_product_and_ends_in_its_unit(metric):
    total = metric.name.endswith("_total")
    assert metric.name.startswith("leadledger_")
    assert metric.name.removesuffix("_total").endswith(UNITS)
    assert total == (metric.kind == "counter")
    assert metric.about.endswith(".")
    assert bool(metric.buckets) == (metric.kind == "histogram")


def test_every_metric_has_a_name_of_its_own():
    assert len({metric.name for metric in metrics.METRICS}) == len(metrics.METRICS) > 15


def test_what_is_recorded_doubled_and_set_aside_is_counted_by_source_type_and_reason(
    registry, facts
):
    # given a batch: two touchpoints, one of them delivered twice, and bytes that are none
    view, call = arrival(touch("1")), arrival(touch("2", type="call_answered"))
    # when it is recorded
    batch = [view, call, view, refused(b"?")]
    record(facts, batch, workspace_key=WORKSPACE_KEY)
    # then each is counted once, where it belongs
    assert value(registry, metrics.RECORDED, source="web", type="page_viewed") == 1
    assert value(registry, metrics.RECORDED, source="web", type="call_answered") == 1
    assert value(registry, metrics.DOUBLED, source="web", type="page_viewed") == 1
    assert value(registry, metrics.ASIDE, source="unknown", reason="undecodable") == 1
    assert registry.get_sample_value("leadledger_batch_touchpoints_sum") == 4
    assert registry.get_sample_value("leadledger_batch_seconds_count") == 1


def test_what_was_set_aside_counts_as_doubled_when_it_comes_again(registry, facts):
    for _ in range(2):
        record(facts, [refused(b"?")], workspace_key=WORKSPACE_KEY)
    assert value(registry, metrics.ASIDE, source="unknown", reason="undecodable") == 1
    assert value(registry, metrics.DOUBLED, source="unknown", type="unknown") == 1


def test_a_batch_that_is_undone_is_not_counted(registry, facts):
    class Gone:
        def keep(self, connection):
            raise RuntimeError("fenced off")

    with pytest.raises(RuntimeError):
        record(facts, [arrival(touch("1"))], workspace_key=WORKSPACE_KEY, checkpoint=Gone())
    assert registry.get_sample_value("leadledger_batch_touchpoints_count") == 0


def test_sources_beyond_the_most_share_one_series(registry):
    most = MOST_WORDS["source"]
    metrics.batch([("recorded", f"tool {number}", "call") for number in range(most + 5)], 0.1)
    metrics.batch([("recorded", "tool 0", "call")], 0.1)
    assert value(registry, metrics.RECORDED, source="tool 0", type="call") == 2
    assert value(registry, metrics.RECORDED, source="other", type="call") == 5
    assert value(registry, metrics.RECORDED, source=f"tool {most}", type="call") is None


def test_lag_in_seconds_grows_until_nothing_waits_and_goes_with_the_partition(
    registry, monkeypatch
):
    labels = {"topic": "touchpoints", "partition": "3"}
    monkeypatch.setattr(time, "time", lambda: 1_010.0)
    metrics.lag("touchpoints", 3, 7, since=1_000.0)
    assert value(registry, metrics.LAG, **labels) == 7
    assert value(registry, metrics.LAG_SECONDS, **labels) == 10
    monkeypatch.setattr(time, "time", lambda: 1_070.0)
    assert value(registry, metrics.LAG_SECONDS, **labels) == 70
    metrics.lag("touchpoints", 3, 0, since=None)
    assert value(registry, metrics.LAG_SECONDS, **labels) == 0
    metrics.partition_left("touchpoints", 3)
    assert value(registry, metrics.LAG, **labels) is None
    assert value(registry, metrics.LAG_SECONDS, **labels) is None


def test_what_is_told_and_what_waits_for_a_sink_is_shown(registry, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_010.0)
    metrics.told({"stage_entered": 2, "corrected": 1})
    metrics.sink_lag("file", 3, since=1_000.0)
    metrics.sink_retried("file")
    assert value(registry, metrics.TOLD, kind="stage_entered") == 2
    assert value(registry, metrics.TOLD, kind="corrected") == 1
    assert value(registry, metrics.SINK_LAG, sink="file") == 3
    assert value(registry, metrics.SINK_LAG_SECONDS, sink="file") == 10
    assert value(registry, metrics.SINK_RETRIES, sink="file") == 1


def test_a_distribution_counts_each_touchpoint_of_a_batch(registry):
    metrics.visible(0.25, 900)  # a bound belongs to the bucket that it ends
    metrics.visible(0.3, 100)
    buckets = {
        bound: registry.get_sample_value(f"{metrics.VISIBLE.name}_bucket", {"le": bound})
        for bound in ("0.1", "0.25", "0.5", "+Inf")
    }
    assert buckets == {"0.1": 0, "0.25": 900, "0.5": 1_000, "+Inf": 1_000}
    assert registry.get_sample_value(f"{metrics.VISIBLE.name}_sum") == pytest.approx(255)


def test_each_call_shows_under_its_own_name(registry):
    metrics.read_models_complete(time.time())
    metrics.derived(3)
    metrics.missing(1)
    metrics.passed(6)
    metrics.behind(8)
    metrics.retried("consume")
    metrics.epoch_changed()
    metrics.database_up(False)
    metrics.broker_up(True)
    metrics.sent(2)
    metrics.failed()
    metrics.spooled(5)
    metrics.in_flight(4)
    shown = {
        metrics.DERIVED: 3,
        metrics.MISSING: 1,
        metrics.PASSED: 6,
        metrics.BEHIND: 8,
        metrics.EPOCH_CHANGES: 1,
        metrics.DATABASE_UP: 0,
        metrics.BROKER_UP: 1,
        metrics.SENT: 2,
        metrics.FAILED: 1,
        metrics.SPOOLED: 5,
        metrics.IN_FLIGHT: 4,
    }
    assert {metric: value(registry, metric) for metric in shown} == shown
    assert value(registry, metrics.RETRIES, work="consume") == 1
    assert 0 <= value(registry, metrics.READ_MODEL_AGE) < 60


def test_metrics_are_told_by_http_in_the_form_that_prometheus_reads():
    # given a process that serves, on a port that was free
    script = (
        "from engine import metrics; port = metrics.serve(0);"
        "metrics.batch([('recorded', 'web', 'call')], 0.2);"
        "print(port, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(process.stdout.readline())
        # when it is asked
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    finally:
        process.communicate("\n")
    # then what it counted is there, and what it used of the machine
    names = {family.name for family in families}
    assert {metric.name.removesuffix("_total") for metric in metrics.METRICS} <= names
    assert "process_resident_memory_bytes" in names


def test_a_port_that_is_taken_is_named(monkeypatch):
    monkeypatch.setattr(metrics, "measure", lambda registry: None)  # the tests' own is not theirs
    port = metrics.serve(0)
    with pytest.raises(BadSetting, match=f"127.0.0.1:{port}, where this process cannot listen"):
        metrics.serve(port)


def test_commands_that_end_at_once_load_no_client_of_prometheus():
    script = (
        "import sys; from engine import lifecycle, metrics; metrics.sent();"
        "print([name for name in sys.modules if name.startswith('prometheus')])"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert printed == "[]\n"


def test_counting_begins_once_however_often_a_process_says_so(registry):
    metrics.sent(2)
    metrics.measure(CollectorRegistry())
    metrics.sent(1)
    assert value(registry, metrics.SENT) == 3
    assert isinstance(metrics._measures, Measures)


def test_no_call_is_forgotten_here():
    """Each public call of the module stands in one of the tests above."""
    with open(__file__) as file:
        told = set(re.findall(r"metrics\.(\w+)\(", file.read()))
    public = {name for name, one in vars(metrics).items() if callable(one) and name.islower()}
    own = {name for name in public if getattr(metrics, name).__module__ == "engine.metrics"}
    assert {name for name in own if not name.startswith("_")} <= told
