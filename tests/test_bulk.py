"""The bulk fold comes to the same whoever runs it, and says so when a worker is gone."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import psutil
import pytest
from msgspec import structs

from engine import bulk
from engine.bulk import HERE, POOL, RAY, results
from engine.errors import EngineError, JournalDamaged
from engine.errors.bulk import ClusterAway, ClusterDiffers, ClusterMissing, OnlyHere, WorkerDied
from engine.history import Histories
from engine.journal.files import write_manifest
from engine.journal.journal import Journal
from engine.store.facts import Facts
from engine.whatif.whatif import Stored
from tests.services.process import PATIENCE_S, Service, free_port
from tests.storing import Clock, store, touch

LEADS, BUCKETS = 400, 120


@dataclass(frozen=True)
class Told:
    """A result with something of everything that a bucket holds."""

    columns = ("occurred_at", "position", "event_id", "attributes")

    def __call__(self, histories: Histories) -> pl.DataFrame:
        counts = np.diff(histories.starts)
        return pl.DataFrame(
            {
                "lead": np.repeat(histories.numbers, counts),
                "at": histories.touches["occurred_at"],
                "position": histories.positions,
                "event": [histories.event_id(at) for at in range(len(histories.touches))],
            }
        )


@dataclass(frozen=True)
class OnceKilled:
    """The same, but the first worker that gets so far is ended there as by `kill -9`."""

    marker: Path
    columns = Told.columns

    def __call__(self, histories: Histories) -> pl.DataFrame:
        if len(histories.leads) and histories.numbers[0] % 7 == 3:
            try:
                self.marker.touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return Told()(histories)


@dataclass(frozen=True)
class AlwaysKilled:
    """What ends whoever does it."""

    columns = Told.columns

    def __call__(self, histories: Histories) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Refusing:
    """What meets an error of ours."""

    columns = Told.columns

    def __call__(self, histories: Histories) -> None:
        raise JournalDamaged("touches-1-1.parquet", "cannot be read")


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """A journal of many small buckets."""
    folder = tmp_path_factory.mktemp("bulk")
    with Facts.open(folder / "facts.db", clock=Clock()) as facts:
        for of in range(3):
            store(facts, *(visit(lead, of) for lead in range(of, LEADS, of + 1)))
        made = Journal.open(folder / "journal")
        made.extend(facts, per_bucket=max(1, facts.head() // BUCKETS))
    assert len(made.buckets) >= 100
    return made


def visit(lead, number):
    path = {"path": f"/{number}"}
    return touch(f"{lead}-{number}", f"email:{lead}", occurred_at=number, attributes=path)


def bytes_of(frames):
    return [frame.write_ipc(None).getvalue() for frame in frames]


@pytest.fixture(scope="module")
def expected(journal):
    """What comes of each bucket, one after the other."""
    told = [Told()(journal.read(bucket, Told.columns)) for bucket in journal.buckets]
    assert sum(map(len, told)) == journal.position
    return bytes_of(told)


@pytest.mark.parametrize("place", [HERE, POOL])
def test_threads_and_processes_come_to_the_same_bytes(journal, expected, place):
    assert bytes_of(results(journal, Told(), place)) == expected


def test_some_buckets_come_in_the_order_in_which_they_are_asked_for(journal, expected):
    assert bytes_of(results(journal, Told(), buckets=[7, 3])) == [expected[7], expected[3]]


def test_no_more_is_under_way_than_keeps_workers_busy(journal):
    asked = []

    class Source:
        buckets = journal.buckets

        def read(self, bucket, columns=None):
            asked.append(bucket)
            return journal.read(bucket, columns)

    found = results(Source(), Told())
    next(found)
    assert len(asked) <= bulk.AHEAD * bulk.workers() + 1
    found.close()


def test_a_process_that_is_ended_from_outside_is_told_in_a_sentence(journal, tmp_path):
    with pytest.raises(WorkerDied, match="a process of the pool was ended from outside"):
        [*results(journal, OnceKilled(tmp_path / "killed"), POOL)]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("place", [HERE, POOL])
def test_an_error_of_ours_is_told_as_it_is_wherever_it_comes_up(journal, place):
    with pytest.raises(
        EngineError, match=r"touches-1-1\.parquet cannot be read; nothing is lost"
    ) as told:
        [*results(journal, Refusing(), place)]
    assert (told.value.code, told.value.exit_code) == ("journal_damaged", JournalDamaged.exit_code)


def test_workers_read_the_journal_as_it_was_when_they_were_sent(journal, expected, tmp_path):
    copied = Journal.open(shutil.copytree(journal.folder, tmp_path / "journal"))
    assert copied.position == journal.position
    write_manifest(copied.folder, structs.replace(copied.manifest, generation=2, buckets=[]))
    assert bytes_of(results(copied, Told(), POOL)) == expected


def test_nobody_loads_ray_who_does_not_ask_for_a_cluster():
    code = (
        "import sys, engine.cli.main, engine.cli.whatif, engine.whatif.whatif; print(*sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"engine.bulk", "ray"} & {*told.stdout.split()} == {"engine.bulk"}


@pytest.mark.parametrize("place", [POOL, RAY, "ray://127.0.0.1:9"])
def test_without_a_journal_only_this_process_folds(place):
    with pytest.raises(OnlyHere, match=f"{place} folds from the journal"):
        [*results(Stored(None, 0, np.arange(0)), Told(), place)]


def test_without_ray_it_is_said_what_to_install(journal, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterMissing, match=r"pip install 'leadledger\[cluster\]'"):
        [*results(journal, Told(), RAY)]


class Cluster(Service):
    """A Ray cluster of one machine, to which one connects from elsewhere."""

    serving = "block forever"
    crash_signal = signal.SIGTERM  # it has processes that go with it, if it is asked

    def command(self):
        """A head that works, too."""
        return (
            *(Path(sys.executable).parent / "ray", "start", "--head", "--block", "--port=0"),
            *("--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"),
            *(f"--temp-dir={self.folder}", f"--ray-client-server-port={self.port}"),
        )

    @property
    def port(self):
        """Where it is connected to; whoever is first chooses."""
        known = self.folder / "port"
        if not known.exists():
            known.write_text(str(free_port()))
        return int(known.read_text())


@pytest.fixture
def with_ray(monkeypatch):
    """Workers find what we do, keep no token, have time, and no others' memory ends them."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    monkeypatch.setenv("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "120")
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")  # a child that it minds may die at once


@pytest.fixture
def cluster(with_ray, test_run):
    """The address of a cluster that there is; it goes when the run of all tests ends."""
    with test_run.lock("ray"):
        served = Cluster(test_run.folder() / "ray")
        served.start()
    return f"ray://127.0.0.1:{served.port}"


@pytest.mark.services
def test_a_cluster_comes_to_the_same_bytes_though_a_worker_is_killed_and_leaves_nothing(
    journal, expected, with_ray, tmp_path
):
    killed, ended = tmp_path / "killed", signal.getsignal(signal.SIGTERM)
    before = {*psutil.Process().children(recursive=True)}
    found = results(journal, OnceKilled(killed), RAY)
    first = next(found)
    started = {*psutil.Process().children(recursive=True)} - before
    (raylet,) = [one for one in started if one.name() == "raylet"]
    (folder,) = [word[11:] for word in raylet.cmdline() if word.startswith("--temp_dir=")]
    assert raylet.environ()["RAY_USAGE_STATS_ENABLED"] == "0"
    assert Path(folder).exists()
    assert bytes_of([first, *found]) == expected
    assert killed.exists()
    assert psutil.wait_procs(started, timeout=PATIENCE_S)[1] == []
    assert not Path(folder).exists()
    assert signal.getsignal(signal.SIGTERM) == ended


@pytest.mark.services
def test_a_cluster_that_there_is_comes_to_the_same_bytes(journal, expected, cluster, tmp_path):
    killed = tmp_path / "killed"
    assert bytes_of(results(journal, OnceKilled(killed), cluster)) == expected
    assert killed.exists()


@pytest.mark.services
def test_an_error_of_ours_comes_back_from_a_cluster(journal, cluster):
    with pytest.raises(EngineError, match=r"touches-1-1\.parquet cannot be read") as told:
        [*results(journal, Refusing(), cluster)]
    assert (told.value.code, told.value.exit_code) == ("journal_damaged", JournalDamaged.exit_code)


@pytest.mark.services
def test_a_cluster_with_another_version_is_told_apart(journal, cluster, monkeypatch):
    newer = ModuleType("newer")
    newer.Work = type("Work", (), {"__module__": "newer", "columns": (), "__call__": len})
    monkeypatch.setitem(sys.modules, "newer", newer)
    with pytest.raises(ClusterDiffers, match=r"another leadledger, or none \(No module named 'new"):
        [*results(journal, newer.Work(), cluster)]


@pytest.mark.services
def test_a_bucket_that_ends_every_worker_is_given_up(journal, cluster, monkeypatch):
    monkeypatch.setattr(bulk, "RETRIES", 1)
    with pytest.raises(WorkerDied, match="2 processes of the cluster were, one after another, end"):
        [*results(journal, AlwaysKilled(), cluster, buckets=[3])]


@pytest.mark.services
def test_a_cluster_that_is_not_there_is_away(journal, with_ray, monkeypatch):
    monkeypatch.setattr(bulk._library().util.client.worker, "INITIAL_TIMEOUT_SEC", 1)
    monkeypatch.setattr(bulk._library().util.client.worker, "MAX_TIMEOUT_SEC", 1)
    with pytest.raises(ClusterAway, match=r"the cluster ray://127\.0\.0\.1:9 is away"):
        [*results(journal, Told(), "ray://127.0.0.1:9")]
