"""What processes that run until they are stopped have in common: signals, words, metrics."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from engine import metrics
from engine.settings import Settings

log = logging.getLogger(__name__)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; the second one ends the process at once."""
    stop = threading.Event()

    def set_it(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, set_it) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell() -> None:
    """Say on standard error what happens; the Kafka client's own words stay out of it."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)


def show_metrics(settings: Settings, port: int | None = None) -> None:
    """Show metrics on a port, else on that of the settings, else not at all.

    Raises:
        BadSetting: The port is taken.
    """
    asked = settings.metrics_port if port is None else port
    if asked is not None:
        host = settings.metrics_host
        log.info("metrics: http://%s:%d/metrics", host, metrics.serve(asked, host))
