"""`doctor`: faults of keys, rights, disk and set-up, made for real, found and mended."""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import suppress

import pytest
from click.testing import CliRunner

from engine import doctor, doctor_files
from engine.cli.main import cli
from engine.errors import OtherKey
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.settings import IDENTIFIER_KEY, WORKSPACE_KEY
from engine.store.facts import Facts
from tests.doctored import COMMAND, SHIPPED, Workspace, fix, told, wrong

OTHER_KEY = "ab" * 32
pytestmark = pytest.mark.usefixtures("read_what_ships_once")


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


# wrong key


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


# read-only folder


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


# full disk


def test_a_disk_with_too_little_room_is_found(workspace, monkeypatch):
    usage = shutil.disk_usage(workspace.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    found = workspace.examine()
    assert wrong(found) == {"room"}
    assert f"100 MB are free in {workspace.folder}, and 256 MB are needed" in str(found["room"])
    assert "make 156 MB of room" in found["room"]["fix"]


def test_a_small_disk_that_is_full_is_found_and_looked_at_all_the_same(sound, small_disk):
    small_disk.grow(2)
    workspace = Workspace(shutil.copytree(sound.folder, small_disk.folder, dirs_exist_ok=True))
    with (small_disk.folder / "fill").open("wb", 0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    found = workspace.examine()
    assert wrong(found) == {"room"}
    assert "0 MB are free" in found["room"]["what"]


# wrong permissions


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


# beside these


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
    monkeypatch.setattr(doctor_files, "may", lambda path: workspace.folder in (path, *path.parents))
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
