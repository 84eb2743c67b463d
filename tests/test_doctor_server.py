"""The doctor on PostgreSQL: each thing that can be wrong there is found, with the way out."""

import os
from dataclasses import dataclass

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from engine import doctor_server
from engine.cli.main import cli
from engine.rulefile import parse
from engine.store.facts import Facts
from engine.store.rulebook import WrittenRules
from tests.doctored import told, touchpoint, wrong
from tests.read_side import RULES
from tests.services.postgres import database_of

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("read_what_ships_once")]
KEYS = {"LEADLEDGER_IDENTIFIER_KEY": "11" * 32, "LEADLEDGER_WORKSPACE_KEY": "22" * 32}
MINUTE_US = 60_000_000


@dataclass
class Served:
    """A database on a server, and the commands that are run on it."""

    url: str

    def run(self, *command, **environ):
        clean = dict.fromkeys(name for name in os.environ if name.startswith("LEADLEDGER_"))
        env = {**clean, **KEYS, **environ}
        return CliRunner(env=env).invoke(cli, [*command, "--db", self.url])

    def examine(self, **environ):
        ran = self.run("doctor", "--json", **environ)
        return told(ran.exit_code, ran.output)

    def change(self, *statements):
        """What an administrator does to it; returns the rows of the last."""
        with psycopg.connect(self.url, options="-c search_path=facts", autocommit=True) as done:
            for statement in statements:
                cursor = done.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def sound_server(postgres, tmp_path_factory):
    """Leads, one delivery set aside, rules of its own, derived read models."""
    made = Served(postgres.new_database())
    lines = tmp_path_factory.mktemp("lines") / "first.jsonl"
    lines.write_text("".join([*map(touchpoint, range(5)), "no touchpoint\n"]))
    assert made.run("import", str(lines)).exit_code == 3
    with Facts.open(made.url) as facts:
        rules = parse(RULES)
        facts.publish(WrittenRules(rules.id, rules.name, RULES))
    shown = made.run("pipeline")
    assert shown.exit_code == 0, shown.output
    postgres.terminate_backends(made.url)
    yield made
    postgres.drop_database(made.url)


@pytest.fixture
def served(postgres, sound_server):
    """A copy of it, to be damaged."""
    copy = Served(postgres.new_database(template=sound_server.url))
    yield copy
    postgres.drop_database(copy.url)


@pytest.fixture
def clerk(postgres):
    """A user without any right but that to connect."""
    name = f"clerk_{os.getpid()}"
    postgres.run(SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(Identifier(name)))
    yield name
    postgres.run(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(Identifier(name)))


def test_a_sound_server_is_found_sound_and_left_as_it_is(served):
    counters = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    before = served.change(counters)
    found = served.examine()
    assert not wrong(found)
    assert "every table of version" in found["database"]["what"]
    assert found["positions"]["what"] == "1 to 6, without a gap"
    assert found["checkpoint"]["what"].startswith("at position 6 of 6")
    assert "opened: 6" in found["key_fit"]["what"]
    assert served.change(counters) == before


def test_no_password_is_shown(served):
    with_password = make_conninfo(served.url, password="hush-hush")
    assert "hush-hush" not in Served(_url(with_password)).run("doctor").output


def _url(conninfo):
    given = psycopg.conninfo.conninfo_to_dict(conninfo)
    return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**given)


def test_a_server_that_is_away_is_found(own_postgres):
    away = Served(own_postgres.url)
    own_postgres.stop()
    found = away.examine()
    assert wrong(found) == {"database"}
    assert "cannot be used for now" in found["database"]["what"]
    assert found["database"]["fix"].startswith("start the server, or put the URL right")


def test_a_wrong_password_and_a_missing_database_are_found(clerk, served):
    given = psycopg.conninfo.conninfo_to_dict(served.url)
    url = "postgresql://{user}@{host}:{port}/{dbname}".format
    for other in (
        url(**{**given, "user": f"{clerk}:wrong"}),
        url(**{**given, "user": f"{clerk}:x", "dbname": "none_of_this_name"}),
    ):
        found = Served(other).examine()
        assert wrong(found) == {"database"}
        assert "put the URL right" in found["database"]["fix"]


def test_a_database_without_tables_is_found(database):
    found = Served(database).examine()
    assert wrong(found) == {"database"}
    assert found["database"]["what"].startswith("no database at")


def test_keys_that_are_missing_or_others_are_found(served):
    found = served.examine(LEADLEDGER_WORKSPACE_KEY="")
    assert wrong(found) == {"keys", "key_fit"}
    assert "LEADLEDGER_WORKSPACE_KEY" in found["keys"]["fix"]
    found = served.examine(LEADLEDGER_IDENTIFIER_KEY="33" * 32)
    assert wrong(found) == {"key_fit"}
    assert found["key_fit"]["what"].endswith("was begun with another identifier key")
    assert found["key_fit"]["fix"].startswith("set LEADLEDGER_IDENTIFIER_KEY to")


@pytest.mark.parametrize(
    ("version", "age", "way_out"),
    [("0000", "an older", "run leadledger migrate"), ("0999", "a newer", "install that version")],
)
def test_a_server_of_another_version_is_found(served, version, age, way_out):
    served.change(f"UPDATE alembic_version SET version_num = '{version}'")
    found = served.examine()
    assert wrong(found) == {"database"}
    assert f"was written by {age} version" in found["database"]["what"]
    assert found["database"]["fix"].startswith(way_out)


@pytest.mark.parametrize(
    ("damage", "missing"),
    [
        ("DROP TABLE offsets", "offsets.epoch"),
        ("ALTER TABLE aside DROP COLUMN outcome", "aside.outcome"),
        ("DROP INDEX retractions_of", "retractions_of"),
        ("DROP TABLE alembic_version", "alembic_version.version_num"),
        ("DROP TABLE stored_events", "stored_events.notification_id"),
    ],
)
def test_a_half_made_schema_is_found(served, damage, missing):
    served.change(damage)
    found = served.examine()
    assert wrong(found) == {"database"}
    assert "is half-made: missing are" in found["database"]["what"]
    assert missing in found["database"]["what"]


def test_a_clock_that_is_off_is_found(served, monkeypatch):
    now = doctor_server.system_clock()
    monkeypatch.setattr(doctor_server, "system_clock", lambda: now - 10 * MINUTE_US)
    found = served.examine()
    assert wrong(found) == {"clock"}
    assert "10 minutes later by the server's" in found["clock"]["what"]


def test_what_was_recorded_in_the_future_is_found(served):
    served.change("UPDATE recordings SET recorded_at = recorded_at + 3600000000")
    found = served.examine()
    assert wrong(found) == {"clock"}
    assert "60 minutes later than that" in found["clock"]["what"]


def test_a_user_without_rights_is_told_what_to_grant(clerk, served):
    theirs = Served(_url(make_conninfo(served.url, user=clerk, password="x")))
    found = theirs.examine()
    assert wrong(found) == {"database"}
    assert f"{clerk} has no right" in found["database"]["what"]
    served.change(*found["database"]["fix"].partition("run ")[2].split("; "))
    found = theirs.examine()
    assert "rights" in wrong(found)
    assert "no right to make tables for read models" in found["rights"]["what"]
    assert f"OWNER TO {clerk}" in found["rights"]["fix"]
    served.change(
        f"GRANT CREATE, USAGE ON SCHEMA models TO {clerk}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA models TO {clerk}",
    )
    assert not wrong(theirs.examine())
    served.change(f"REVOKE INSERT ON touchpoints FROM {clerk}")
    found = theirs.examine()
    assert wrong(found) == {"rights"}
    assert found["rights"]["what"] == f"{clerk} has no right to write touchpoints"


def test_a_server_that_may_only_be_read_is_found(served, postgres):
    postgres.run(
        SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
            Identifier(database_of(served.url))
        )
    )
    found = served.examine()
    assert wrong(found) == {"rights"}
    assert found["rights"]["what"].endswith("is set to read only")


def test_text_in_another_encoding_is_found(postgres):
    name = f"latin_{os.getpid()}"
    postgres.run(
        SQL("CREATE DATABASE {} ENCODING 'LATIN1' TEMPLATE template0 LOCALE {}").format(
            Identifier(name), Literal("C")
        )
    )
    other = Served(postgres.url.rpartition("/")[0] + f"/{name}")
    assert other.run("migrate").exit_code == 0
    found = other.examine()
    assert wrong(found) == {"server"}
    assert "LATIN1" in found["server"]["what"]
    postgres.drop_database(other.url)


@pytest.mark.parametrize("value", ["1", "y", "True", "on"])
def test_functions_of_the_library_in_the_database_are_found(served, value):
    found = served.examine(POSTGRES_ENABLE_DB_FUNCTIONS=value)
    assert wrong(found) == {"library"}
    assert found["library"]["fix"] == "unset POSTGRES_ENABLE_DB_FUNCTIONS"


def test_functions_that_are_switched_off_are_no_fault(served):
    assert not wrong(served.examine(POSTGRES_ENABLE_DB_FUNCTIONS="n"))


def test_events_that_are_gone_are_found_and_positions_never_used_are_no_fault(served):
    served.change("SELECT nextval(pg_get_serial_sequence('stored_events', 'notification_id'))")
    with Facts.open(served.url) as facts:
        facts.publish(WrittenRules(parse(RULES).id, "again", RULES))
    unused = served.change("SELECT max(notification_id) FROM stored_events")
    served.change("UPDATE stored_events SET notification_id = 9 WHERE notification_id = 7")
    served.change("UPDATE recordings SET first = 9, last = 9 WHERE first = 7")
    served.change("UPDATE rule_book SET position = 9 WHERE position = 7")
    assert unused == [(7,)]
    found = served.examine()
    assert "positions" not in wrong(found)
    assert "1 to 9; 2 were never recorded at, the first 7 to 8" in found["positions"]["what"]
    served.change("DELETE FROM stored_events WHERE notification_id = 2")
    found = served.examine()
    assert wrong(found) == {"positions", "conservation"}
    assert "at the positions 2, and are not there" in found["positions"]["what"]


def test_a_checkpoint_beyond_the_facts_is_found(served):
    served.change("UPDATE models.generations SET checkpoint = 99 WHERE state = 'ready'")
    found = served.examine()
    assert wrong(found) == {"checkpoint"}
    assert found["checkpoint"]["fix"] == "run leadledger rebuild, with the same --db"
    assert served.run("rebuild").exit_code == 0
    assert not wrong(served.examine())


def test_read_models_in_pieces_are_found_and_derived_again(served):
    served.change("DROP TABLE models.generations")
    found = served.examine()
    assert wrong(found) == {"read_models"}
    assert found["read_models"]["fix"] == "run leadledger rebuild, with the same --db"
    ran = served.run("rebuild")
    assert ran.exit_code == 0, ran.output
    assert not wrong(served.examine())


def test_a_rule_set_that_is_gone_is_found(served):
    served.change(
        "ALTER TABLE rule_book DROP CONSTRAINT rule_book_rules_id_fkey", "DELETE FROM rule_sets"
    )
    found = served.examine()
    assert wrong(found) == {"rule_book"}
    assert "names a rule set that cannot be used" in found["rule_book"]["what"]


def test_touchpoints_that_do_not_add_up_are_found(served):
    served.change("DELETE FROM touchpoints WHERE position = 3")
    found = served.examine()
    assert wrong(found) == {"conservation"}
    assert "4 packed" in found["conservation"]["what"]


def test_one_check_that_fails_keeps_no_other_from_being_made(served):
    served.change("ALTER TABLE intake ALTER received TYPE text")
    found = served.examine()
    assert wrong(found) == {"conservation"}
    assert not {"read_models", "checkpoint"} - found.keys()
