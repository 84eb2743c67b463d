"""The facts file itself: one writer, nothing half, and a clear word when it cannot be used."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engine.errors import (
    NotAStore,
    StoreCorrupt,
    StoreFull,
    StoreLocked,
    StoreMissing,
    StoreReadOnly,
    StoreVersion,
    UnknownStore,
)
from engine.store import sqlite
from engine.store.facts import Facts, file_of, models_of
from engine.store.faults import told_clearly
from tests.storing import store, told, touch

ROOT = Path(__file__).parents[1]
NOBODY = 65534
READ_ONLY = 42


def run(code, *arguments, **options):
    """Another process that runs some lines, with the helpers at hand."""
    prelude = (
        "import os, sys, signal, resource\n"
        "from engine.store.facts import Facts\n"
        "from tests.storing import store, touch\n"
    )
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, **options
    )


def faults(facts):
    """What SQLite finds wrong with the file; reads all of it."""
    with facts.snapshot() as connection:
        rows = connection.execute("PRAGMA quick_check").fetchall()
    return [row[0] for row in rows if row[0] != "ok"]


def test_two_files_and_their_names(tmp_path):
    with Facts.open(f"sqlite:///{tmp_path}/deep/er/leads.db") as facts:
        assert facts.path == tmp_path / "deep/er/leads.db"
        assert models_of(facts.path) == tmp_path / "deep/er/leads.models.db"
        assert facts.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b.db", "a/b.db"), ("sqlite:////a/b.db", "/a/b.db"), ("x.db", "x.db")],
)
def test_a_url_or_a_path_names_a_file(url, path):
    assert file_of(url) == Path(path)


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite://", "sqlite:///", ":memory:"])
def test_a_url_of_another_kind_is_refused(url):
    with pytest.raises(UnknownStore):
        file_of(url)


def test_the_writer_waits_in_wal_mode_and_never_checkpoints_on_its_own(tmp_path):
    with Facts.open(tmp_path / "facts.db") as facts, facts.transaction() as connection:
        asked = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete", "wal_autocheckpoint")
        }
    assert asked == {
        "journal_mode": "wal", "synchronous": 1, "secure_delete": 1, "wal_autocheckpoint": 0,
    }  # fmt: skip


def test_a_reader_cannot_write(tmp_path):
    with (
        Facts.open(tmp_path / "facts.db") as facts,
        facts.snapshot() as connection,
        pytest.raises(StoreReadOnly),
        told_clearly(facts.path),
    ):
        connection.execute("DELETE FROM strings")


def test_a_long_log_is_moved_into_the_file_by_the_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(sqlite, "FIRST_CHECKPOINT", 2)
    with Facts.open(tmp_path / "facts.db") as facts:
        for number in range(40):
            store(facts, touch(f"{number}"))
        assert facts.path.stat().st_size > 20 * 4096
        assert Path(f"{facts.path}-wal").stat().st_size < 100 * 4096
        assert len(facts.histories().touches) == 40


def test_recording_keeps_the_locks_that_tell_other_processes_of_us(tmp_path):
    in_use = 128  # the byte of the log's index that every SQLite connection holds a lock on
    script = (
        "import fcntl, sys\n"
        f"with open(sys.argv[1], 'r+b') as index: fcntl.lockf(index, 6, 1, {in_use})"
    )
    with Facts.open(tmp_path / "facts.db") as facts:
        store(facts, touch("1"))

        command = [sys.executable, "-c", script, f"{facts.path}-shm"]
        taken = subprocess.run(command, capture_output=True, text=True)

    assert "BlockingIOError" in taken.stderr, "another process would begin the index anew"


def test_a_missing_file_is_missed_and_not_made(tmp_path):
    with pytest.raises(StoreMissing):
        Facts.open(tmp_path / "none.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, but long enough to be looked at\n" * 100)
    before = path.read_bytes()
    with pytest.raises(NotAStore):
        Facts.open(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.commit()
    with pytest.raises(NotAStore, match="another program"):
        Facts.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("mine",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize(("version", "age"), [("0000", "an older"), ("0999", "a newer")])
def test_a_database_of_another_version_says_what_to_do(tmp_path, version, age):
    path = tmp_path / "facts.db"
    Facts.open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    with pytest.raises(StoreVersion, match=age):
        Facts.open(path)


def test_a_damaged_file_is_told_from_a_foreign_one(tmp_path):
    path = tmp_path / "facts.db"
    with Facts.open(path) as facts:
        store(facts, *(touch(f"{number}") for number in range(500)))
        assert faults(facts) == []
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreCorrupt), Facts.open(path) as facts:
        facts.histories()


def test_a_file_that_ends_early_is_damaged(tmp_path):
    path = tmp_path / "facts.db"
    with Facts.open(path) as facts:
        store(facts, *(touch(f"{number}") for number in range(500)))
    os.truncate(path, 8192)
    with pytest.raises(StoreCorrupt), Facts.open(path) as facts:
        facts.histories()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o444), (0o555, 0o666), (0o777, 0)])
def test_without_the_right_to_write_the_error_says_so(folder_mode, file_mode):
    with TemporaryDirectory() as name:
        path = Path(name, "facts.db")
        Facts.open(path).close()
        path.chmod(file_mode)
        path.parent.chmod(folder_mode)
        process = multiprocessing.get_context("fork").Process(target=_write_as_nobody, args=(path,))
        process.start()
        process.join(60)
        assert process.exitcode == READ_ONLY


def _write_as_nobody(path):
    os.setuid(NOBODY)
    try:
        with Facts.open(path) as facts:
            store(facts, touch("1"))
    except StoreReadOnly:
        sys.exit(READ_ONLY)


def test_a_writer_waits_for_the_others_and_then_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_S", 0.05)
    with (
        Facts.open(tmp_path / "facts.db") as one,
        Facts.open(tmp_path / "facts.db") as two,
        one.transaction(),
        pytest.raises(StoreLocked),
    ):
        store(two, touch("1"))
    store(two, touch("1"))


def _record_some(path, start):
    with Facts.open(path) as facts:
        for number in range(start, start + 30):
            store(facts, touch(f"{number}", f"email:{number % 5}"), touch("the same for all"))


def test_writers_of_several_processes_lose_and_double_nothing(tmp_path):
    path = tmp_path / "facts.db"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_record_some, args=(path, 30 * n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with Facts.open(path) as facts:
        rows = [row for rows in told(facts.histories()).values() for row in rows]
        counts = facts.intake()["test"]
    assert sorted(row[2] for row in rows) == sorted([*map(str, range(90)), "the same for all"])
    assert sorted(row[0] for row in rows) == list(range(1, 92))
    assert (counts.received, counts.recorded, counts.duplicates) == (180, 91, 89)


def test_killed_in_the_middle_of_a_transaction_nothing_half_is_left(tmp_path):
    path = tmp_path / "facts.db"
    code = (
        "facts = Facts.open(sys.argv[1])\n"
        "store(facts, touch('before'))\n"
        "from engine.store import ledger\n"
        "ledger.stamp = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store(facts, *(touch(f'{n}') for n in range(2000)))\n"
    )
    assert run(code, path).returncode == -signal.SIGKILL
    with Facts.open(path) as facts:
        assert facts.head() == 1
        assert faults(facts) == []
        assert facts.intake()["test"].recorded == 1
        assert store(facts, *(touch(f"{n}") for n in range(2000))).recorded == 2000
        assert len(facts.histories().touches) == 2001


FULL = (
    "facts = Facts.open(sys.argv[1])\n"
    "from engine.errors import StoreFull\n"
    "{limit}"
    "try:\n"
    "    for batch in range(100):\n"
    "        store(facts, *(touch(f'{{batch}}-{{n}}') for n in range(100)))\n"
    "except StoreFull as error:\n"
    "    print(facts.head(), error)\n"
)


def test_where_a_file_may_not_grow_the_error_says_so_and_the_next_run_goes_on(tmp_path):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, -1))\n"
    done = run(FULL.format(limit=limit), tmp_path / "facts.db")
    assert "no room left" in done.stdout, done.stderr
    goes_on(tmp_path / "facts.db", int(done.stdout.split()[0]))


def test_on_a_full_disk_the_error_says_so_and_the_next_run_goes_on(small_disk):
    done = run(FULL.format(limit=""), small_disk.folder / "facts.db")
    assert "no room left" in done.stdout, done.stderr
    small_disk.grow(64)
    goes_on(small_disk.folder / "facts.db", int(done.stdout.split()[0]))


def goes_on(path, head):
    with Facts.open(path) as facts:
        assert facts.head() == head
        assert head % 100 == 0
        assert faults(facts) == []
        for batch in range(20):
            store(facts, *(touch(f"{batch}-{number}") for number in range(100)))
        assert facts.intake()["test"].recorded == facts.head() == 2000
        assert facts.intake()["test"].duplicates == head


def test_full_is_full_even_where_sqlite_speaks_of_input_and_output(tmp_path):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    error.sqlite_errorname = "SQLITE_IOERR_WRITE"
    with pytest.raises(StoreFull), told_clearly(tmp_path / "facts.db"):
        raise error
