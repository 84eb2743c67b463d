"""`doctor`: faults of the files, made for real, found, and mended by what it says."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import doctor, doctor_store
from engine.rulefile import parse
from engine.store.facts import system_clock
from engine.store.rulebook import WrittenRules
from tests.doctored import DAY_US, Workspace, touchpoint, wrong
from tests.read_side import RULES

pytestmark = pytest.mark.usefixtures("read_what_ships_once")


# half-written database


def test_a_database_whose_making_was_interrupted_is_found_and_completed_by_the_fix(workspace):
    for file in workspace.folder.glob("leads.*db*"):
        if file != workspace.keys:
            file.unlink()
    workspace.db.touch(0o600)
    found = workspace.examine()
    assert wrong(found) == {"database"}
    assert "making it was interrupted" in found["database"]["what"]
    assert "leadledger import" in found["database"]["fix"]
    workspace.bring("again", touchpoint(1))
    assert not wrong(workspace.examine())


@pytest.mark.parametrize("table", ["ids", "recordings", "data_keys"])
def test_a_table_that_is_missing_is_named(workspace, table):
    workspace.change(f"DROP TABLE {table}")
    found = workspace.examine()
    assert wrong(found) == {"database"}
    assert "half-written" in found["database"]["what"]
    assert table in found["database"]["what"]


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_found(workspace, part):
    os.truncate(workspace.db, int(workspace.db.stat().st_size * part))
    found = workspace.examine()
    assert wrong(found) == {"database"}
    assert "backup" in found["database"]["fix"] or "name another" in found["database"]["fix"]


def test_a_page_that_was_overwritten_is_found(workspace):
    with workspace.db.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    assert "damaged" in workspace.examine()["database"]["what"]


def test_a_lost_touchpoint_is_missed(workspace):
    workspace.change("DELETE FROM recent_ids WHERE event_id = 'e-3'")
    found = workspace.examine()
    assert wrong(found) == {"conservation"}
    assert "5 touchpoints were recorded, but there are 4 ids" in found["conservation"]["what"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE intake SET received = received + 1", "some are lost"),
        ("DELETE FROM aside", "1 were set aside, but there are 0"),
    ],
)
def test_what_was_set_aside_and_lost_is_missed(workspace, statement, said):
    workspace.change(statement)
    assert said in workspace.examine()["conservation"]["what"]


# clock off


def test_a_clock_that_was_put_back_is_found(workspace):
    with workspace.facts(clock=lambda: system_clock() + DAY_US) as facts:
        rules = parse(RULES)
        facts.publish(WrittenRules(rules.id, rules.name, RULES))
    found = workspace.examine()
    assert wrong(found) == {"clock"}
    assert "1,440 minutes later" in found["clock"]["what"]
    assert "timedatectl" in found["clock"]["fix"]


def test_five_minutes_are_no_fault(workspace):
    with workspace.facts(clock=lambda: system_clock() + 4 * 60_000_000) as facts:
        rules = parse(RULES)
        facts.publish(WrittenRules(rules.id, rules.name, RULES))
    assert not wrong(workspace.examine())


# stale checkpoint


def put_back_an_old_backup(workspace):
    backup = workspace.db.read_bytes()
    workspace.bring("more", touchpoint(9))
    workspace.run("pipeline")
    for end in ("-wal", "-shm"):
        workspace.db.with_name(f"leads.db{end}").unlink(missing_ok=True)
    workspace.db.write_bytes(backup)


def publish_other_rules(workspace):
    workspace.publish(RULES.replace("points = 8", "points = 9"))


def be_of_another_version(workspace):
    workspace.change("UPDATE generations SET derived_by = 0", file=workspace.models)


def have_come_from_the_future(workspace):
    workspace.change(
        f"UPDATE generations SET settled_to = {system_clock() + DAY_US}", file=workspace.models
    )


def lose_a_table(workspace):
    with closing(sqlite3.connect(workspace.models)) as connection:
        number = connection.execute("SELECT number FROM generations").fetchone()[0]
        connection.execute(f"DROP TABLE leads_{number}")


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (put_back_an_old_backup, "at position 7, beyond the last one, 6"),
        (publish_other_rules, "are in force"),
        (be_of_another_version, "as version 0 derives rows"),
        (have_come_from_the_future, "which is yet to come"),
        (lose_a_table, "without the tables leads_1"),
    ],
)
def test_a_stale_checkpoint_is_found_and_mended_by_a_rebuild(workspace, seed, said):
    seed(workspace)
    found = workspace.examine()
    assert wrong(found) == {"checkpoint"}
    assert said in found["checkpoint"]["what"]
    assert found["checkpoint"]["fix"] == f"run leadledger rebuild --db {workspace.db}"
    assert workspace.run("rebuild").exit_code == 0
    assert not wrong(workspace.examine())


def test_read_models_far_behind_are_found_and_a_little_behind_is_no_fault(workspace, monkeypatch):
    workspace.bring("more", touchpoint(7), touchpoint(8))
    assert not wrong(workspace.examine())
    monkeypatch.setattr(doctor_store, "FAR_BEHIND", 1)
    assert "at position 6, far behind 8" in workspace.examine()["checkpoint"]["what"]


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_read_models_are_found_and_may_go(workspace, damage):
    for end in ("-wal", "-shm"):
        workspace.folder.joinpath(f"leads.models.db{end}").unlink(missing_ok=True)
    workspace.models.write_bytes(damage)
    found = workspace.examine()
    assert wrong(found) == {"read_models"}
    remove, _, then = found["read_models"]["fix"].partition(", then ")
    assert then.startswith("leadledger rebuild")
    subprocess.run(remove, shell=True, check=True)
    assert workspace.run("rebuild").exit_code == 0
    assert not wrong(workspace.examine())


# unknown schema


def test_a_touchpoint_of_an_unknown_schema_is_found(workspace):
    workspace.change(
        "UPDATE stored_events SET state = "
        "CAST(x'c3010123456789abcdef' || substr(state, 11) AS BLOB) WHERE rowid = 4"
    )
    found = workspace.examine()
    assert wrong(found) == {"events"}
    assert "1 stored touchpoints, the first at position 4" in found["events"]["what"]
    assert "0123456789abcdef" in found["events"]["what"]
    assert "schemas/touchpoint.avsc" in found["events"]["fix"]


def test_an_event_of_another_program_is_found(workspace):
    workspace.change("UPDATE stored_events SET topic = 'shop:Order' WHERE rowid = 2")
    assert "'shop:Order'" in workspace.examine()["events"]["what"]


# missing rule set


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM rule_sets", "entry 1 of the rule book names a rule set that cannot be used"),
        ("UPDATE rule_sets SET toml = '[['", "entry 1 of the rule book names a rule set that"),
        ("UPDATE rule_sets SET toml = replace(toml, '= 8', '= 9')", "now reads as another one"),
    ],
)
def test_a_rule_set_that_the_book_names_and_nobody_has_is_found(workspace, statement, said):
    workspace.change(statement)
    found = workspace.examine()
    assert wrong(found) == {"rule_book"}
    assert said in found["rule_book"]["what"]


def test_rules_that_are_not_where_the_setting_says_are_found(workspace):
    broken = workspace.folder / "broken.toml"
    broken.write_text("name = 5\n")
    for named in ("nowhere/rules.toml", str(broken)):
        found = workspace.examine(LEADLEDGER_RULES=named)
        assert wrong(found) == {"rules"}
        assert named in found["rules"]["what"]
        assert found["rules"]["fix"].startswith("unset LEADLEDGER_RULES, or name")
    assert not wrong(workspace.examine(LEADLEDGER_RULES="default"))


def test_a_published_id_that_the_setting_names_is_looked_up(workspace):
    for named in (parse(RULES).id, parse(RULES).id[:6]):
        assert not wrong(workspace.examine(LEADLEDGER_RULES=named))
    found = workspace.examine(LEADLEDGER_RULES="0" * 64)
    assert wrong(found) == {"rule_book"}
    assert "LEADLEDGER_RULES names a rule set that cannot be used" in found["rule_book"]["what"]


# old version


@pytest.mark.parametrize(
    ("version", "age", "way_out"),
    [
        ("0000", "an older", "run leadledger migrate, with the same --db"),
        ("0999", "a newer", "install that version"),
    ],
)
def test_a_database_of_another_version_is_found(workspace, version, age, way_out):
    workspace.change(f"UPDATE alembic_version SET version_num = '{version}'")
    found = workspace.examine()
    assert wrong(found) == {"database"}
    assert f"was written by {age} version" in found["database"]["what"]
    assert found["database"]["fix"] == way_out


def test_a_database_from_before_versions_were_kept_is_found_and_migrated(workspace):
    workspace.change(
        "ALTER TABLE streams ADD COLUMN folded_from INTEGER",
        "ALTER TABLE intake ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0",
        "DROP TABLE dropped",
        "DROP TABLE pairs",
        "DROP TABLE links",
        "DROP TABLE alembic_version",
        "PRAGMA user_version = 1",
    )
    found = workspace.examine()
    assert wrong(found) == {"database"}
    assert found["database"]["fix"] == "run leadledger migrate, with the same --db"
    assert workspace.run("migrate").exit_code == 0
    assert not wrong(workspace.examine())


def test_events_that_are_gone_from_recorded_positions_are_found(workspace):
    workspace.change("DELETE FROM stored_events WHERE rowid = 2")
    found = workspace.examine()
    assert wrong(found) == {"positions", "conservation"}
    assert "at the positions 2, and are not there" in found["positions"]["what"]


def test_read_models_of_an_older_version_are_no_fault(workspace):
    workspace.change("PRAGMA user_version = 1", file=workspace.models)
    found = workspace.examine()
    assert not wrong(found)
    assert "made by an older version" in found["checkpoint"]["what"]
    assert workspace.run("pipeline").exit_code == 0
    assert "older" not in workspace.examine()["checkpoint"]["what"]


def test_read_models_of_another_version_may_go(workspace):
    workspace.change("PRAGMA user_version = 99", file=workspace.models)
    found = workspace.examine()
    assert wrong(found) == {"read_models"}
    assert found["read_models"]["fix"].startswith("rm ")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=9))
def test_whatever_a_file_holds_the_doctor_answers(sound, tmp_path, monkeypatch, places):
    workspace = Workspace(tmp_path)
    shutil.copytree(sound.folder, tmp_path, dirs_exist_ok=True)
    data = bytearray(workspace.db.read_bytes())
    for part, byte in places:
        data[int(part * len(data))] = byte
    workspace.db.write_bytes(data)
    monkeypatch.setattr(doctor, "PROGRAM", {})
    findings = doctor.examine({}, str(workspace.db))
    assert {finding.check for finding in findings} >= {"keys", "room", "database"}
