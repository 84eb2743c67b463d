"""A backup is whole and of one instant, whoever writes meanwhile, and restores to the same."""

import json
import os
import re
import sqlite3
import subprocess
import threading
from contextlib import closing
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.errors import FileInTheWay, NotAStore, StoreCorrupt, StoreMissing
from engine.store import backup
from engine.store.backup import back_up
from engine.store.facts import Facts
from tests.read_side import DAY
from tests.services.postgres import programs
from tests.shop import Shop, about
from tests.storing import WORKSPACE_KEY, store, touch
from tests.test_operations import commands

SOON = 90 * DAY


def touchpoints():
    """Leads one after another, three touchpoints each, without end."""
    number = 0
    while True:
        number += 1
        yield about(number, DAY)
        yield about(number, 2 * DAY, type="price_asked")
        yield about(number, 3 * DAY, type="won")


def read_models(where):
    """Everything that is derived of the facts in a folder or at a URL, and where it stands."""
    shop = Shop(where)
    shop.rebuild(SOON)
    stored = shop.stored()
    shop.close()
    return stored


def test_what_is_restored_from_a_backup_made_while_others_record_gives_equal_read_models(tmp_path):
    # given a database into which somebody records, a touchpoint a transaction
    live, restored, oracle = (tmp_path / name for name in ("live", "restored", "oracle"))
    for folder in (live, restored, oracle):
        folder.mkdir()
    begun, enough = threading.Event(), threading.Event()

    def go_on():
        with Facts.open(live / "facts.db") as facts:
            for one in touchpoints():
                store(facts, one)
                if facts.head() >= 30:
                    begun.set()
                if enough.is_set():
                    return

    recording = threading.Thread(target=go_on)
    recording.start()
    # when a backup is made meanwhile, put in another place, and read models are made of it
    try:
        begun.wait(30)
        back_up(live / "facts.db", restored / "facts.db")
    finally:
        enough.set()
        recording.join()
    with Facts.open(restored / "facts.db") as facts:
        recorded = facts.head()
    tables, where = read_models(restored)
    # then they are those of a database that holds the touchpoints up to there, and no more
    with Facts.open(oracle / "facts.db", clock=lambda: 0) as facts:
        for one, _ in zip(touchpoints(), range(recorded), strict=False):
            store(facts, one)
    assert recorded >= 30
    assert read_models(oracle) == (tables, where)
    assert len(tables["leads"]) == -(-recorded // 3)


def test_recording_goes_on_where_the_backup_ends(tmp_path):
    with Facts.open(tmp_path / "facts.db") as facts:
        store(facts, touch("1"), touch("2"))
        back_up(tmp_path / "facts.db", tmp_path / "copy.db")
        store(facts, touch("3"))
    with Facts.open(tmp_path / "copy.db", create=False) as restored:
        done = store(restored, touch("1"), touch("2"), touch("3"))
        assert (done.recorded, done.duplicates, restored.head()) == (1, 2, 3)


def test_rows_keep_their_numbers_since_these_are_positions(tmp_path):
    with Facts.open(tmp_path / "facts.db") as facts:
        store(facts, touch("1"), touch("2"), touch("3"))
        with facts.transaction() as connection:
            connection.execute("DELETE FROM stored_events WHERE rowid = 2")
    back_up(tmp_path / "facts.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        numbers = copy.execute("SELECT rowid FROM stored_events ORDER BY rowid").fetchall()
    assert numbers == [(1,), (3,)]


def test_a_backup_is_for_its_owner_alone_and_a_single_file(tmp_path):
    with Facts.open(tmp_path / "facts.db") as facts:
        store(facts, touch("1"))
        (tmp_path / "backups").mkdir()
        size = back_up(tmp_path / "facts.db", tmp_path / "backups/copy.db")
    (copy,) = (tmp_path / "backups").iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.stat().st_size == size > 0


def test_nothing_is_written_over(tmp_path):
    Facts.open(tmp_path / "facts.db").close()
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(FileInTheWay, match=r"copy\.db is there already"):
        back_up(tmp_path / "facts.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"
    assert not list(tmp_path.glob("copy.db.*"))


def test_a_damaged_database_gives_no_backup(tmp_path):
    with Facts.open(tmp_path / "facts.db") as facts:
        for number in range(200):
            store(facts, touch(str(number)))
        with facts.transaction() as connection:
            (page,) = connection.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'streams'"
            ).fetchone()
    with closing(sqlite3.connect(tmp_path / "facts.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with (tmp_path / "facts.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(StoreCorrupt):
        back_up(tmp_path / "facts.db", tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy.db*"))


def test_a_backup_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    Facts.open(tmp_path / "facts.db").close()
    monkeypatch.setattr(backup, "_keep", stop)
    with pytest.raises(KeyboardInterrupt):
        back_up(tmp_path / "facts.db", tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy.db*"))


def test_what_is_no_database_of_ours_gives_no_backup(tmp_path):
    with pytest.raises(StoreMissing):
        back_up(tmp_path / "facts.db", tmp_path / "copy.db")
    assert not (tmp_path / "facts.db").exists()
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE another (program)")
    with pytest.raises(NotAStore):
        back_up(tmp_path / "other.db", tmp_path / "copy.db")


def test_the_command_says_where_the_copy_is_and_what_is_not_in_it(tmp_path):
    Facts.open(tmp_path / "facts.db").close()

    def run(*words):
        return CliRunner().invoke(cli, ["backup", *map(str, words)])

    done = run(tmp_path / "copy.db", "--db", tmp_path / "facts.db")
    assert done.exit_code == 0
    assert "the keys are not in it" in done.stdout
    told = json.loads(run(tmp_path / "2.db", "--db", tmp_path / "facts.db", "--json").stdout)
    assert told == {"file": str(tmp_path / "2.db"), "bytes": (tmp_path / "2.db").stat().st_size}
    refused = run(tmp_path / "3.db", "--db", "postgresql://somewhere/leads")
    assert refused.exit_code == 2
    assert "pg_dump" in refused.stderr


@pytest.mark.services
def test_what_is_restored_from_pg_dump_gives_equal_read_models(facts_database, postgres, tmp_path):
    # given a server's database with some leads, and data keys of two
    with Facts.open(facts_database, clock=lambda: 0) as facts:
        store(facts, *(one for one, _ in zip(touchpoints(), range(30), strict=False)))
        made = facts.keyring(WORKSPACE_KEY).keys(["0a" * 16, "0b" * 16])
    # when it is dumped and restored as the page shows
    restored = urlsplit(facts_database)._replace(path=f"/restored_{uuid4().hex[:12]}").geturl()
    try:
        for command in commands("sh"):
            if command.split()[0] in ("pg_dump", "createdb", "pg_restore"):
                run_in(tmp_path, command, facts_database, restored)
        # then read models made of it are equal, and so are the data keys
        assert read_models(restored) == read_models(facts_database)
        with Facts.open(restored, create=False) as facts:
            assert facts.keyring(WORKSPACE_KEY).stored(list(made)) == made
    finally:
        postgres.drop_database(restored)


def run_in(folder, command, url, restored):
    """Run a command of the page on the databases of the test."""
    name = urlsplit(restored).path.removeprefix("/")
    command = re.sub(r" restored$", f" {name}", command)
    environ = {"LEADLEDGER_DATABASE_URL": url, "RESTORED": restored}
    environ["PATH"] = f"{programs()}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", command], cwd=folder, env=os.environ | environ, check=True)
