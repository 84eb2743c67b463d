"""`doctor`: each fault is made for real, found by the command, and mended by what it says."""

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import doctor, doctor_store
from engine.cli.main import cli
from engine.errors import OtherKey
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.rulefile import parse
from engine.settings import IDENTIFIER_KEY, WORKSPACE_KEY, Settings
from engine.store.facts import Facts, system_clock
from engine.store.rulebook import WrittenRules
from tests.read_side import RULES

COMMAND = str(Path(sys.executable).with_name("leadledger"))
OTHER_KEY = "ab" * 32
DAY_US = 86_400_000_000
SHIPPED = doctor.PROGRAM["shipped"]
SHIPPED_ONCE = cache(SHIPPED)  # what ships is the same in all tests, and takes long to read


@pytest.fixture(autouse=True)
def read_what_ships_once(monkeypatch):
    monkeypatch.setitem(doctor.PROGRAM, "shipped", SHIPPED_ONCE)


def touchpoint(number, **more):
    said = {
        "source": "web", "event_id": f"e-{number}", "type": "page_viewed",
        "occurred_at": "2026-03-01T08:00:00Z", "personal": {"name": f"Lead {number}"},
        "identifiers": [{"kind": "email", "value": f"lead{number}@example.vn"}], **more,
    }  # fmt: skip
    return json.dumps(said) + "\n"


class Workspace:
    """A database in a folder, and the commands that are run on it."""

    def __init__(self, folder):
        self.folder = folder
        self.db = folder / "leads.db"
        self.models = folder / "leads.models.db"
        self.keys = folder / "leads.db.keys"

    def run(self, *command, **environ):
        """A command in this process."""
        clean = dict.fromkeys(name for name in os.environ if name.startswith("LEADLEDGER_"))
        at = ("--db", str(self.db))
        return CliRunner(env={**clean, **environ}).invoke(cli, [*command, *at])

    def examine(self, **environ):
        """What the doctor finds, by check; no key is ever in it."""
        ran = self.run("doctor", "--json", **environ)
        return told(ran.exit_code, ran.output)

    def bring(self, name, *lines, code=0):
        (self.folder / name).write_text("".join(lines))
        assert self.run("import", str(self.folder / name)).exit_code == code

    def facts(self, **more):
        return Facts.open(self.db, create=False, **more)

    def publish(self, toml):
        with self.facts() as facts:
            rules = parse(toml)
            facts.publish(WrittenRules(rules.id, rules.name, toml))

    def change(self, *statements, file=None):
        with closing(sqlite3.connect(file or self.db)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def state(self):
        """Every file and all that is in it."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def told(code, output):
    findings = {finding["check"]: finding for finding in json.loads(output)}
    assert code == (0 if all(one["ok"] for one in findings.values()) else 1), output
    assert all(one["ok"] or one["fix"] for one in findings.values()), output
    return findings


def wrong(findings):
    return {name for name, finding in findings.items() if not finding["ok"]}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Made once: leads, one delivery set aside, rules of its own, derived read models."""
    made = Workspace(tmp_path_factory.mktemp("sound"))
    made.bring("first", *map(touchpoint, range(5)), "no touchpoint\n", code=3)
    with made.facts() as facts:
        keys = Settings.load({}, str(made.db))
        facts.check_keys(IdentifierKey(keys.identifier_key), WorkspaceKey(keys.workspace_key))
    made.publish(RULES)
    assert made.run("pipeline").exit_code == 0
    return made


@pytest.fixture
def workspace(sound, tmp_path):
    return Workspace(shutil.copytree(sound.folder, tmp_path / "copy"))


def test_where_nothing_is_wrong_every_check_says_so(workspace):
    findings = workspace.examine()
    assert not wrong(findings)
    assert {"python", "sqlite", "zones", "shipped", "database", "checkpoint"} <= findings.keys()
    assert "6 received = 5 recorded + 0 duplicates + 1 set aside" in str(findings["conservation"])


def test_the_command_changes_nothing_and_leaves_nothing_behind(workspace):
    for file in workspace.folder.glob("*-[ws][ah][lm]"):
        file.unlink()
    before = workspace.state()
    ran = subprocess.run(
        [COMMAND, "doctor", "--json", "--db", workspace.db],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not wrong(told(0, ran.stdout))
    assert workspace.state() == before


def test_no_key_is_shown_whatever_is_wrong_with_it(workspace):
    stored = json.loads(workspace.keys.read_text())
    for variable in (IDENTIFIER_KEY, WORKSPACE_KEY):
        for key in (OTHER_KEY, OTHER_KEY[:-2], OTHER_KEY[:-1] + "x"):
            shown = str(workspace.examine(**{variable: key}))
            assert not any(one[:16] in shown for one in (key, *stored.values()))


# 1. wrong key


@pytest.mark.parametrize("variable", [IDENTIFIER_KEY, WORKSPACE_KEY])
def test_a_key_of_another_database_is_named_with_where_it_came_from(workspace, variable):
    found = workspace.examine(**{variable: OTHER_KEY})
    assert wrong(found) == {"key_fit"}
    assert "was begun with another" in found["key_fit"]["what"]
    assert f"set {variable}" in found["key_fit"]["fix"]
    assert f"or unset it, so that {workspace.keys} is read" in found["key_fit"]["fix"]


def test_a_new_key_file_in_the_place_of_the_old_one_is_found(workspace):
    keys = {"identifier_key": "cd" * 32, "workspace_key": "ef" * 32}
    workspace.keys.write_text(json.dumps(keys))
    found = workspace.examine()
    assert wrong(found) == {"key_fit"}
    assert f"put back {workspace.keys}" in found["key_fit"]["fix"]


def test_without_marks_the_sealed_data_tells_the_workspace_key(workspace):
    workspace.change("DELETE FROM key_marks")
    assert "never kept" in workspace.examine()["key_fit"]["what"]
    found = workspace.examine(**{WORKSPACE_KEY: OTHER_KEY})
    assert "does not open" in found["key_fit"]["what"]


def test_a_lost_key_file_is_found_and_no_other_is_made(workspace):
    workspace.keys.unlink()
    found = workspace.examine()
    assert wrong(found) == {"keys", "key_fit"}
    assert str(workspace.keys) in found["keys"]["fix"]
    assert not workspace.keys.exists()


def test_a_key_that_is_none_is_found(workspace):
    found = workspace.examine(**{IDENTIFIER_KEY: "abc"})
    assert found["settings"]["what"] == f"{IDENTIFIER_KEY} has 3 characters"


def test_facts_refuse_keys_that_they_were_not_begun_with(tmp_path):
    mine, other = bytes(32), bytes([1] * 32)
    with Facts.open(tmp_path / "facts.db") as facts:
        facts.check_keys(IdentifierKey(mine), WorkspaceKey(mine))
        facts.check_keys(IdentifierKey(mine), WorkspaceKey(mine))
        with pytest.raises(OtherKey, match="another identifier key"):
            facts.check_keys(IdentifierKey(other), WorkspaceKey(mine))
        with pytest.raises(OtherKey, match="another workspace key"):
            facts.check_keys(IdentifierKey(mine), WorkspaceKey(other))


# 2. half-written database


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
    workspace.change("DELETE FROM ids WHERE event_id = 'e-3'")
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


# 3. read-only folder


def as_plain_user(workspace):
    """The doctor as a user whom permissions bind, which root is only without a capability."""
    command = [COMMAND, "doctor", "--json", "--db", str(workspace.db)]
    if os.geteuid() == 0:
        without = "--bounding-set=-dac_override", "--inh-caps=-dac_override"
        if not shutil.which("setpriv") or subprocess.run(["setpriv", *without, "true"]).returncode:
            pytest.skip("root is bound by no permission, and setpriv cannot change that here")
        command = ["setpriv", *without, *command]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return told(ran.returncode, ran.stdout)


@pytest.mark.parametrize(("what", "mode"), [("folder", 0o500), ("db", 0o400)])
def test_what_may_not_be_written_is_named_and_the_fix_mends_it(workspace, what, mode):
    path = getattr(workspace, what)
    path.chmod(mode)
    found = as_plain_user(workspace)
    assert wrong(found) == {"rights"}
    assert found["rights"]["what"] == f"no right to write {path}"
    fix(found["rights"])
    assert not wrong(as_plain_user(workspace))


def fix(finding):
    """Run the command that a finding ends with."""
    subprocess.run(shlex.split(finding["fix"].removeprefix("run ")), check=True)


# 4. full disk


def test_a_disk_with_too_little_room_is_found(workspace, monkeypatch):
    usage = shutil.disk_usage(workspace.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    found = workspace.examine()
    assert wrong(found) == {"room"}
    assert f"100 MB are free in {workspace.folder}, and 256 MB are needed" in str(found["room"])
    assert "make 156 MB of room" in found["room"]["fix"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_small_disk_that_is_full_is_found_and_looked_at_all_the_same(sound, tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", tmp_path]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        workspace = Workspace(shutil.copytree(sound.folder, tmp_path, dirs_exist_ok=True))
        with (tmp_path / "fill").open("wb", 0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        found = workspace.examine()
        assert wrong(found) == {"room"}
        assert "0 MB are free" in found["room"]["what"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


# 5. clock off


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


# 6. stale checkpoint


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


# 7. unknown schema


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


# 8. missing rule set


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
    assert not wrong(workspace.examine(LEADLEDGER_RULES=parse(RULES).id))
    found = workspace.examine(LEADLEDGER_RULES="0" * 64)
    assert wrong(found) == {"rule_book"}
    assert "LEADLEDGER_RULES names a rule set that cannot be used" in found["rule_book"]["what"]


# 9. wrong permissions


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_keys_that_others_may_read_are_found_and_the_fix_mends_it(workspace, mode):
    workspace.keys.chmod(mode)
    found = workspace.examine()
    assert wrong(found) == {"keys", "key_fit"}
    assert found["keys"]["fix"] == f"run chmod 600 {workspace.keys}"
    fix(found["keys"])
    assert not wrong(workspace.examine())


def test_a_database_that_others_may_write_is_found_and_the_fix_mends_it(workspace):
    workspace.db.chmod(0o666)
    found = workspace.examine()
    assert wrong(found) == {"rights"}
    fix(found["rights"])
    assert not wrong(workspace.examine())


# 10. old version


@pytest.mark.parametrize(("version", "age"), [(0, "an older"), (99, "a newer")])
def test_a_database_of_another_version_is_found(workspace, version, age):
    workspace.change(f"PRAGMA user_version = {version}")
    found = workspace.examine()
    assert wrong(found) == {"database"}
    assert f"was written by {age} version" in found["database"]["what"]
    assert "that version" in found["database"]["fix"]


def test_read_models_of_another_version_may_go(workspace):
    workspace.change("PRAGMA user_version = 99", file=workspace.models)
    found = workspace.examine()
    assert wrong(found) == {"read_models"}
    assert found["read_models"]["fix"].startswith("rm ")


# and beside these


def test_without_a_database_the_way_to_one_is_told_and_nothing_is_made(tmp_path):
    workspace = Workspace(tmp_path / "not" / "there")
    found = workspace.examine()
    assert wrong(found) == {"database"}
    assert "import something" in found["database"]["fix"]
    assert not list(tmp_path.iterdir())


def test_a_database_of_another_kind_or_a_folder_is_told(tmp_path):
    found = told(1, CliRunner().invoke(cli, ["doctor", "--json", "--db", "mysql://x/y"]).output)
    assert "mysql" in found["settings"]["what"]
    found = told(1, CliRunner().invoke(cli, ["doctor", "--json", "--db", str(tmp_path)]).output)
    assert "is a folder" in found["database"]["what"]


def test_a_program_in_pieces_is_found(workspace, monkeypatch):
    (workspace.folder / "rules").mkdir()
    monkeypatch.setitem(doctor.PROGRAM, "shipped", SHIPPED)
    monkeypatch.setattr("engine.resources.PACKAGE", workspace.folder / "engine")
    assert "missing" in workspace.examine()["shipped"]["what"]


def test_the_time_zones_the_old_sqlite_and_the_compiled_code_are_looked_at(workspace, monkeypatch):
    monkeypatch.setattr(doctor, "ZONES", ("Asia/Nowhere",))
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 0))
    monkeypatch.setattr(doctor, "_may", lambda path: workspace.folder in (path, *path.parents))
    assert wrong(workspace.examine()) == {"zones", "sqlite", "compiled"}


def test_a_lock_is_said_to_keep_writers_apart_where_sqlite_needs_it(workspace, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    assert "a lock keeps the writers" in workspace.examine()["sqlite"]["what"]
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert "lock" not in workspace.examine()["sqlite"]["what"]


def test_for_people_each_finding_is_a_line_and_each_fix_another(workspace):
    workspace.keys.chmod(0o644)
    lines = workspace.run("doctor").output.splitlines()
    assert f"      → run chmod 600 {workspace.keys}" in lines
    assert any(line.startswith("BAD keys: ") for line in lines)
    assert any(line.startswith("ok  database: ") for line in lines)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
