"""Migrations: nothing and the first version both become the tables of today, on both databases."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from eventsourcing.postgres import PostgresApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from sqlalchemy import create_engine

from engine.announcements import Announcer
from engine.cli.main import cli
from engine.codec import decode
from engine.errors import NotAStore, StoreMissing, StoreVersion
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.store import migrating, schema
from engine.store.facts import Facts
from engine.store.ledger import Intake
from engine.store.postgres_connection import connect
from engine.store.revision import REVISION
from engine.store.tables import EVENTS
from tests.store_shape import postgres_shape, sqlite_shape
from tests.storing import store, touch

MIGRATIONS = Path(__file__).parents[1] / "migrations"
FIRST_VERSION = Path(__file__).with_name("first_version.sql").read_text()
FIRST_KEY = WorkspaceKey(bytes.fromhex("22" * 32))
AN, BINH = "61e7e1c97797555e43bd89e89bd3d200", "241b3293e83d529b767b5dd52f27f892"


def scripts():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return list(ScriptDirectory.from_config(config).walk_revisions())


def change(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def shape_of_file(path):
    with closing(sqlite3.connect(path)) as connection:
        return sqlite_shape(connection)


def shape_at(url):
    with psycopg.connect(url) as connection:
        return postgres_shape(connection)


def at(url, *statements):
    with psycopg.connect(url, options="-c search_path=facts") as connection:
        for statement in statements:
            connection.execute(statement)


def migrate(*options):
    """The command, in this process."""
    return CliRunner(env={"LEADLEDGER_DATABASE_URL": None}).invoke(cli, ["migrate", *options])


# from nothing


def test_a_file_that_was_migrated_from_nothing_is_like_one_that_was_made(tmp_path):
    made, migrated = tmp_path / "made.db", tmp_path / "migrated.db"
    Facts.open(made).close()
    with create_engine(f"sqlite:///{migrated}").begin() as connection:
        steps = migrating.upgrade(connection, migrated)
    assert [step.revision for step in steps][-1] == REVISION
    assert shape_of_file(migrated) == shape_of_file(made)


@pytest.mark.services
def test_a_server_that_was_migrated_from_nothing_is_like_one_that_was_made(postgres, database):
    other = postgres.new_database()
    Facts.open(database).close()
    migrated = migrating.migrate(other)
    assert [step.revision for step in migrated.steps][-1] == REVISION
    assert shape_at(other) == shape_at(database)
    Facts.open(other, create=False).close()
    postgres.drop_database(other)


def test_the_last_migration_is_the_revision_of_this_program():
    assert next(script.revision for script in scripts()) == REVISION


def test_migrations_follow_one_another_and_none_leads_back():
    followed = [(script.revision, script.down_revision) for script in reversed(scripts())]
    assert followed == [
        (f"{n:04}", f"{n - 1:04}" if n > 1 else None) for n in range(1, len(followed) + 1)
    ]
    assert not [script.path for script in scripts() if hasattr(script.module, "downgrade")]


def test_a_migration_says_in_its_first_line_what_it_does_and_imports_nothing_of_the_engine():
    for script in scripts():
        assert re.fullmatch(r"[A-Z].*\.", script.doc), script.path
        assert "engine" not in re.findall(
            r"^(?:from|import) (\w+)", Path(script.path).read_text(), re.M
        )


def plain(sql):
    """A statement without schema, quotes and the way it is spaced."""
    return " ".join(sql.replace('"', "").replace("public.", "").rstrip(";").split())


def test_events_are_stored_in_the_very_table_of_the_library(monkeypatch):
    monkeypatch.setattr(PostgresApplicationRecorder, "create_table", lambda self: None)
    of_postgres = PostgresApplicationRecorder(_NoDatastore())
    created = [plain(one.as_string()) for one in of_postgres.sql_create_statements]
    assert {*map(plain, EVENTS["postgresql"])} <= {*created}
    of_sqlite = SQLiteApplicationRecorder(SQLiteDatastore(":memory:"))
    assert plain(EVENTS["sqlite"][0]) in map(plain, of_sqlite.create_table_statements)


class _NoDatastore:
    """What the library's recorders ask of one before they use it."""

    schema, originator_id_type, lock_timeout = "public", "uuid", 0

    def __init__(self):
        self.db_type_names = set()

    def register_type_adapters(self):
        """Nothing is connected."""


# from the first version


@pytest.fixture
def first_file(tmp_path):
    """A file as the first version made it, when revisions were not kept yet."""
    path = tmp_path / "first.db"
    marks = (f"PRAGMA application_id = {schema.FACTS.application_id}", "PRAGMA user_version = 1")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_VERSION)
        for mark in marks:
            connection.execute(mark)
    return path


@pytest.fixture
def first_server(database, first_file, monkeypatch):
    """A server with the first migration alone, and the rows of that file."""
    with monkeypatch.context() as at_that_time:
        at_that_time.setattr(migrating, "REVISION", "0001")
        at_that_time.setattr(migrating, "rebuild", lambda connection: 0)
        migrating.migrate(database)
    with (
        closing(sqlite3.connect(first_file)) as file,
        closing(connect(database, "facts")) as server,
    ):
        tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name = 'rule_book'"
        for (table,) in file.execute(tables).fetchall():
            position = "rowid, " if table == "stored_events" else ""
            rows = file.execute(f"SELECT {position}* FROM {table}")
            server.add_rows(table, [column[0] for column in rows.description], rows.fetchall())
        for table, key in (("strings", "id"), ("aside", "number"), ("accesses", "number")):
            sequence = f"pg_get_serial_sequence('{table}', '{key}')"
            server.execute(f"SELECT setval({sequence}, max({key})) FROM {table}")
    return database


def check_first_facts(facts):
    """All that was recorded into the first version, and that recording goes on from there."""
    facts.check_keys(IdentifierKey(bytes.fromhex("11" * 32)), FIRST_KEY)
    assert facts.histories().leads == [AN]  # the one touchpoint of Binh is retracted
    leads = [facts.leads_beginning(one)[0] for one in (AN, BINH)]
    told = [[(one.position, one.void) for one in facts.touchpoints_of(lead)] for lead in leads]
    assert told == [[(1, None), (3, None)], [(2, 4)]]
    assert decode(facts.touchpoints_of(leads[0])[1].data).event_id == "7"
    assert facts.strings.texts(facts.histories().touches["source"].tolist()) == ["web", "crm"]
    assert facts.intake() == {"first.jsonl": Intake(received=5, recorded=4, set_aside=1)}
    assert [one.data(FIRST_KEY) for one in facts.aside()] == [b"no touchpoint"]
    assert [facts.written_rules(one.rules_id).name for one in facts.rule_book()] == ["small"]
    assert [one.who for one in facts.accesses()] == ["ops"]
    store(facts, touch("new"))
    assert facts.head() == 6
    assert len(facts.histories().leads) == 2


def test_a_file_of_the_first_version_is_refused_with_the_command_to_run(first_file):
    with pytest.raises(StoreVersion, match="an older version; run leadledger migrate"):
        Facts.open(first_file)


def test_a_file_of_the_first_version_opens_after_migrating_with_its_facts_intact(
    first_file, tmp_path
):
    ran = migrate("--db", str(first_file))
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout.startswith(
        f"{first_file} had tables of version 0000; they are of {REVISION} now\n"
    )
    Facts.open(tmp_path / "new.db").close()
    assert shape_of_file(first_file) == shape_of_file(tmp_path / "new.db")
    with Facts.open(first_file) as facts:
        check_first_facts(facts)


@pytest.mark.services
def test_a_server_of_the_first_version_opens_after_migrating_with_its_facts_intact(
    first_server, postgres
):
    assert migrate("--db", first_server).exit_code == 0
    new = postgres.new_database()
    Facts.open(new).close()
    assert shape_at(first_server) == shape_at(new)
    postgres.drop_database(new)
    with Facts.open(first_server) as facts:
        check_first_facts(facts)


def test_of_a_migrated_file_what_comes_from_then_on_can_be_announced(first_file):
    assert migrate("--db", str(first_file)).exit_code == 0
    with Facts.open(first_file) as facts:
        announcer = Announcer(facts)
        begun = announcer.begin()
        store(facts, touch("new", "email:somebody new"))
        told = announcer.step()
    assert begun.stand.position == 5
    assert told.kinds["stage_entered"] == 1


def test_migrating_again_changes_nothing(first_file):
    assert migrate("--db", str(first_file)).exit_code == 0
    before = first_file.read_bytes()
    ran = migrate("--db", str(first_file))
    told = f"{first_file} has the tables of this program, {REVISION}; nothing was changed\n"
    assert ran.stdout == told
    document = {"database": str(first_file), "before": REVISION, "after": REVISION, "applied": []}
    assert json.loads(migrate("--db", str(first_file), "--json").stdout) == document
    assert first_file.read_bytes() == before


@pytest.mark.services
def test_a_server_is_made_migrated_again_and_refused_once_it_is_newer(database):
    ran = migrate("--db", database)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert "  0001  The first tables of the facts.\n" in ran.stdout
    with Facts.open(database) as facts:
        store(facts, touch("a"))
    made = shape_at(database)
    assert "nothing was changed" in migrate("--db", database).stdout
    assert shape_at(database) == made
    at(database, "UPDATE alembic_version SET version_num = '0999'")
    for refuse in (migrating.migrate, Facts.open):
        with pytest.raises(StoreVersion, match="a newer version; install that version"):
            refuse(database)


@pytest.mark.services
def test_a_server_of_an_older_version_is_refused_with_the_command_to_run(database):
    Facts.open(database).close()
    at(database, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StoreVersion, match="an older version; run leadledger migrate"):
        Facts.open(database)


@pytest.mark.services
def test_migrating_waits_for_whoever_writes(database, monkeypatch):
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT_S", 1)
    with Facts.open(database) as facts, facts.transaction():
        ran = migrate("--db", database)
    assert ran.exit_code == 7
    assert "locked" in ran.stderr
    assert migrate("--db", database).exit_code == 0


# refused


def test_a_newer_file_is_refused_and_left_as_it_is(first_file):
    path = first_file
    assert migrate("--db", str(path)).exit_code == 0
    change(path, "UPDATE alembic_version SET version_num = '0999'")
    before = path.read_bytes()
    ran = migrate("--db", str(path))
    assert ran.exit_code == 7
    assert "written by a newer version; install that version" in ran.stderr
    assert path.read_bytes() == before


def test_where_there_is_no_file_none_is_made(tmp_path):
    with pytest.raises(StoreMissing):
        migrating.migrate(str(tmp_path / "none.db"))
    assert not list(tmp_path.iterdir())


def test_tables_of_which_nothing_says_whose_they_are_stay_as_they_are(tmp_path):
    path = tmp_path / "facts.db"
    Facts.open(path).close()
    change(path, "DROP TABLE alembic_version")
    before = shape_of_file(path)
    with pytest.raises(NotAStore, match="no migration of ours"):
        migrating.migrate(str(path))
    assert shape_of_file(path) == before


@pytest.mark.services
def test_what_another_program_has_put_on_a_server_stays_as_it_is(database):
    with psycopg.connect(database) as connection:
        connection.execute("CREATE SCHEMA facts CREATE TABLE streams (mine int)")
    before = shape_at(database)
    with pytest.raises(NotAStore, match="no migration of ours"):
        migrating.migrate(database)
    assert shape_at(database) == before


def test_a_migration_that_fails_leaves_nothing_behind(first_file, monkeypatch):
    path = first_file

    def fail(*_):
        raise sqlite3.OperationalError("on purpose")

    monkeypatch.setattr(migrating.command, "upgrade", fail)
    before = shape_of_file(path)
    with pytest.raises(sqlite3.OperationalError, match="on purpose"):
        migrating.migrate(str(path))
    assert shape_of_file(path) == before


# what it costs those who do not migrate


def test_neither_help_nor_a_file_that_is_there_loads_sqlalchemy(tmp_path):
    Facts.open(tmp_path / "facts.db").close()
    opens = f"from engine.store.facts import Facts; Facts.open({str(tmp_path / 'facts.db')!r})"
    helps = "from engine.cli.main import cli; cli(['--help'], standalone_mode=False)"
    for does in (opens, helps):
        assert "sqlalchemy" not in loaded_by(does)
        assert "alembic" not in loaded_by(does)


def loaded_by(code):
    told = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('LOADED', *sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ran.stdout.split("LOADED")[1].split()}
