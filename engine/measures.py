"""The values of metrics in one process, as prometheus-client collects them.

Its own counters and distributions add one value at a time; here a batch adds all of
its touchpoints at once, and how long ago something was is worked out when it is asked.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# So many words of a label have series of their own, the first to come; the others share one.
MOST_WORDS = {"source": 20, "type": 60, "reason": 60}
OTHER = "other"

Kind = Literal["counter", "gauge", "since", "histogram"]


@dataclass(frozen=True)
class Metric:
    """What is declared of a metric; one of kind `since` shows how long ago an instant was."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


class Measures:
    """The values of all metrics; it is itself what a registry collects from."""

    def __init__(self, metrics: Sequence[Metric], registry: "CollectorRegistry") -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {one: {} for one in metrics}
        self._buckets = {one: [0] * (len(one.buckets) + 1) for one in metrics if one.buckets}
        self._words: dict[str, set[str]] = {label: set() for label in MOST_WORDS}
        for one in metrics:
            if one.kind in ("counter", "histogram") and not one.labels:
                self._values[one][()] = 0
        registry.register(self)

    def count(self, metric: Metric, more: float = 1, *labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            values, key = self._values[metric], self._bounded(metric, labels)
            values[key] = values.get(key, 0) + more

    def set(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Give a gauge its value; for one that shows a time, the instant, None for no time."""
        with self._lock:
            self._values[metric][labels] = float("inf") if value is None else value

    def forget(self, metric: Metric, *labels: str) -> None:
        """Show nothing under these labels any more."""
        with self._lock:
            self._values[metric].pop(labels, None)

    def observe(self, metric: Metric, value: float, times: int = 1) -> None:
        """Add a value to a distribution, so many times."""
        with self._lock:
            self._buckets[metric][bisect_left(metric.buckets, value)] += times
            self._values[metric][()] += value * times

    def collect(self) -> Iterable[Any]:
        """The families that prometheus-client writes out."""
        with self._lock:
            return [_FAMILIES[metric.kind](self, metric) for metric in self._metrics]

    def _bounded(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self._word, metric.labels, labels))

    def _word(self, label: str, word: str) -> str:
        known = self._words.get(label)
        if known is None or word in known:
            return word
        if len(known) >= MOST_WORDS[label]:
            return OTHER
        known.add(word)
        return word

    def _counter(self, metric: Metric) -> Any:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(metric.name, metric.about, labels=metric.labels)
        for labels, value in self._values[metric].items():
            family.add_metric(labels, value)
        return family

    def _gauge(self, metric: Metric) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(metric.name, metric.about, labels=metric.labels)
        now = time.time()
        for labels, value in self._values[metric].items():
            shown = max(0.0, now - value) if metric.kind == "since" else value
            family.add_metric(labels, shown)
        return family

    def _histogram(self, metric: Metric) -> Any:
        from prometheus_client.core import HistogramMetricFamily

        upto, buckets = 0, []
        for bound, times in zip(
            (*metric.buckets, float("inf")), self._buckets[metric], strict=True
        ):
            upto += times
            buckets.append((str(float(bound)).replace("inf", "+Inf"), upto))
        family = HistogramMetricFamily(metric.name, metric.about)
        family.add_metric((), buckets, self._values[metric][()])
        return family


_FAMILIES: dict[Kind, Callable[[Measures, Metric], Any]] = {
    "counter": Measures._counter,
    "gauge": Measures._gauge,
    "since": Measures._gauge,
    "histogram": Measures._histogram,
}
