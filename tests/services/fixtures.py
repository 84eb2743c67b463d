"""Fixtures of servers, started once a test run by whichever worker first needs them.

`kafka` and `postgres` are shared and stay up. `own_kafka`, `own_cluster` and `own_postgres`
belong to one test at a time, which may stop and kill them; the next finds them up again.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.services.brokers import Broker, Cluster, Kafka, jars
from tests.services.janitor import watched_folder
from tests.services.postgres import OwnPostgres, Postgres, programs
from tests.services.proxy import Proxy
from tests.services.wanted import or_skip

KAFKA = "LEADLEDGER_TEST_KAFKA"
POSTGRES = "LEADLEDGER_TEST_POSTGRES"
Served = TypeVar("Served", Broker, Cluster, OwnPostgres)


class TestRun:
    """What the workers of one test run share."""

    __test__ = False

    def __init__(self, shared: Path) -> None:
        self._shared = shared

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold what only one worker may have at a time."""
        with (self._shared / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def folder(self) -> Path:
        """Where servers live; with them it goes when the run ends."""
        known = self._shared / "services"
        with self.lock("services"):
            if not known.exists():
                known.write_text(str(watched_folder(_process_of_the_run())))
        return Path(known.read_text())


def _process_of_the_run() -> int:
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


@pytest.fixture(scope="session")
def test_run(tmp_path_factory):
    """What the workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return TestRun(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session")
def kafka(test_run):
    """A broker for all; each test makes topics of its own."""
    if given := os.environ.get(KAFKA):
        served = Kafka(given)
    else:
        found = or_skip(jars)
        with test_run.lock("kafka"):
            served = Broker(test_run.folder() / "kafka", found)
            served.start()
    yield served
    served.delete_topics()


@pytest.fixture
def own_kafka(test_run):
    """A broker of one node that this test alone uses."""
    found = or_skip(jars)
    with _own(test_run, "own-kafka", lambda folder: Broker(folder, found)) as broker:
        yield broker


@pytest.fixture
def own_cluster(test_run):
    """A cluster of three nodes that this test alone uses."""
    found = or_skip(jars)
    with _own(test_run, "own-cluster", lambda folder: Cluster(folder, found)) as cluster:
        yield cluster


@pytest.fixture
def own_postgres(test_run):
    """A PostgreSQL that this test alone uses."""
    or_skip(programs)
    with _own(test_run, "own-postgres", OwnPostgres) as server:
        yield server


@contextmanager
def _own(test_run: TestRun, name: str, make: Callable[[Path], Served]) -> Iterator[Served]:
    with test_run.lock(name):
        served = make(test_run.folder() / name)
        served.start()
        yield served


@pytest.fixture(scope="session")
def postgres(test_run):
    """A PostgreSQL for all; each test makes databases of its own."""
    if given := os.environ.get(POSTGRES):
        return Postgres(given)
    or_skip(programs)
    with test_run.lock("postgres"):
        server = OwnPostgres(test_run.folder() / "postgres")
        server.start()
    return server


@pytest.fixture
def database(postgres):
    """The URL of an empty database on it, dropped after the test."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def proxy_before():
    """A function that puts a proxy before a server; all are closed after the test."""
    made: list[Proxy] = []

    def before(server: tuple[str, int] | Path | str) -> Proxy:
        made.append(Proxy(server))
        return made[-1]

    yield before
    for proxy in made:
        proxy.close()
