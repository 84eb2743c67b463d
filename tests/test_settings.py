"""Settings: where the database is, and where its keys are."""

import json
import threading

import pytest

from engine.errors import (
    BadKey,
    BadSetting,
    KeyFileDamaged,
    KeyFileExposed,
    KeyFileUnwritable,
    KeyMissing,
)
from engine.settings import Settings, database_path, make_key_file

ONE, TWO = "01" * 32, "02" * 32
BOTH = {"LEADLEDGER_IDENTIFIER_KEY": ONE, "LEADLEDGER_WORKSPACE_KEY": TWO}


@pytest.fixture
def database(tmp_path):
    return tmp_path / "leads.db"


def url(path):
    return f"sqlite:///{path}"


def key_file(database, text, mode=0o600):
    path = database.with_name("leads.db.keys")
    path.write_text(text)
    path.chmod(mode)
    return path


def test_keys_of_the_environment_need_no_file(database):
    loaded = Settings.load(BOTH, url(database))
    assert (loaded.identifier_key, loaded.workspace_key) == (b"\1" * 32, b"\2" * 32)
    assert not list(database.parent.iterdir())


def test_a_new_database_gets_a_key_file_for_its_owner_alone(database):
    loaded = Settings.load({}, url(database))
    file = database.with_name("leads.db.keys")
    assert loaded.key_file == file
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text()) == {
        "identifier_key": loaded.identifier_key.hex(),
        "workspace_key": loaded.workspace_key.hex(),
    }
    assert loaded.identifier_key != loaded.workspace_key
    assert [file] == list(database.parent.iterdir())


def test_the_same_keys_are_read_again(database):
    assert Settings.load({}, url(database)) == Settings.load({}, url(database))


def test_a_key_of_the_environment_outweighs_the_file_and_is_not_written_to_it(database):
    loaded = Settings.load({"LEADLEDGER_IDENTIFIER_KEY": ONE}, url(database))
    assert loaded.identifier_key == b"\1" * 32
    assert list(json.loads(loaded.key_file.read_text())) == ["workspace_key"]


def test_a_database_without_its_keys_is_given_no_others(database):
    database.write_bytes(b"SQLite format 3\0")
    with pytest.raises(KeyMissing, match=r"leads\.db\.keys.*LEADLEDGER_IDENTIFIER_KEY"):
        Settings.load({}, url(database))
    assert [database] == list(database.parent.iterdir())


def test_a_file_may_lack_a_key_that_the_environment_gives(database):
    key_file(database, json.dumps({"workspace_key": TWO}))
    loaded = Settings.load({"LEADLEDGER_IDENTIFIER_KEY": ONE}, url(database))
    assert loaded.workspace_key == b"\2" * 32
    with pytest.raises(KeyMissing, match="the identifier key is missing"):
        Settings.load({}, url(database))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_key_file_that_others_may_touch_is_refused(database, mode):
    file = key_file(database, json.dumps({"identifier_key": ONE, "workspace_key": TWO}), mode)
    with pytest.raises(KeyFileExposed, match=f"{mode:04o}.*chmod 600 {file}"):
        Settings.load({}, url(database))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("\xff", "no JSON"),
        ("[]", "nothing else"),
        (json.dumps({"identifier_key": ONE, "workspace_key": TWO, "more": 1}), "nothing else"),
    ],
)
def test_a_damaged_key_file_is_refused(database, text, problem):
    key_file(database, "").write_bytes(text.encode("latin-1"))
    with pytest.raises(KeyFileDamaged, match=problem):
        Settings.load({}, url(database))


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("a" * 63, "63 characters"),
        ("a" * 66, "66 characters"),
        ("g" * 64, "other characters"),
        ("\u0661" * 64, "other characters"),
        (" " + "a" * 63, "other characters"),
        (7, "no text"),
    ],
)
def test_a_key_that_is_none_is_refused_without_being_shown(database, key, problem):
    key_file(database, json.dumps({"identifier_key": key, "workspace_key": TWO}))
    with pytest.raises(BadKey, match=problem) as caught:
        Settings.load({}, url(database))
    assert "aaaa" not in str(caught.value)
    if isinstance(key, str):
        with pytest.raises(BadKey, match=f"LEADLEDGER_IDENTIFIER_KEY has {problem[:2]}"):
            Settings.load({"LEADLEDGER_IDENTIFIER_KEY": key}, url(database))


def test_keys_are_never_printed(database):
    loaded = Settings.load(BOTH, url(database))
    assert not any(part in repr(loaded) for part in (ONE, TWO, repr(b"\1" * 32)[2:-1]))


def test_the_default_database_lies_in_the_user_s_data_folder(tmp_path):
    by_home = Settings.load({"HOME": str(tmp_path), **BOTH})
    assert database_path(by_home.database_url) == tmp_path / ".local/share/leadledger/leadledger.db"
    by_xdg = Settings.load({"HOME": "/nowhere", "XDG_DATA_HOME": str(tmp_path), **BOTH})
    assert database_path(by_xdg.database_url) == tmp_path / "leadledger/leadledger.db"
    relative = Settings.load({"HOME": str(tmp_path), "XDG_DATA_HOME": "data", **BOTH})
    assert relative == by_home


def test_the_data_folder_is_made_for_its_owner_alone(tmp_path):
    loaded = Settings.load({"XDG_DATA_HOME": str(tmp_path / "data")})
    assert loaded.key_file.parent.stat().st_mode & 0o777 == 0o700


def test_an_argument_outweighs_the_environment(database):
    environ = {"LEADLEDGER_DATABASE_URL": "sqlite:////elsewhere.db", **BOTH}
    assert Settings.load(environ, url(database)).database_url == url(database)
    assert str(database_path(Settings.load(environ).database_url)) == "/elsewhere.db"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("sqlite:////srv/a%20b.db?timeout=5", "/srv/a b.db"),
        ("sqlite+pysqlite:///b.db", "b.db"),
        ("folder/c.db", "folder/c.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql+psycopg://user:secret@host/leads", None),
    ],
)
def test_a_database_is_a_url_or_the_path_of_a_file(written, path):
    found = database_path(Settings.load(BOTH, written).database_url)
    assert (found and str(found)) == path


def test_keys_of_a_database_in_memory_go_with_it():
    assert Settings.load({}, "sqlite://") != Settings.load({}, "sqlite://")


def test_a_database_on_a_server_needs_keys_from_somewhere(tmp_path):
    server = "postgresql://host/leads"
    with pytest.raises(KeyMissing, match="set LEADLEDGER_IDENTIFIER_KEY"):
        Settings.load({}, server)
    file = tmp_path / "keys"
    with pytest.raises(KeyMissing, match=r"bring .*keys back"):
        Settings.load({"LEADLEDGER_KEY_FILE": str(file)}, server)
    keys = make_key_file(file)
    loaded = Settings.load({"LEADLEDGER_KEY_FILE": str(file)}, server)
    assert loaded.workspace_key == keys["workspace_key"]


def test_two_who_make_a_key_file_at_once_get_the_same_keys(tmp_path):
    file = tmp_path / "keys"
    made = []
    threads = [threading.Thread(target=lambda: made.append(make_key_file(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [made[0]] * 8
    assert [file] == list(tmp_path.iterdir())


def test_a_key_file_that_cannot_be_made_is_told(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(KeyFileUnwritable, match="cannot be made"):
        Settings.load({}, url(in_the_way / "leads.db"))


def test_a_key_file_that_cannot_be_read_is_told(database):
    database.with_name("leads.db.keys").mkdir(mode=0o700)
    with pytest.raises(KeyFileDamaged, match="cannot be read"):
        Settings.load({}, url(database))


@pytest.mark.parametrize("region", ["vn", "VNM", "V", "84", "\u0412\u041d"])
def test_a_phone_region_is_a_country_of_two_letters(region):
    with pytest.raises(BadSetting, match="LEADLEDGER_PHONE_REGION"):
        Settings.load({"LEADLEDGER_PHONE_REGION": region, **BOTH}, "sqlite://")


def test_the_phone_region_is_vietnam_unless_said_otherwise():
    assert Settings.load(BOTH, "sqlite://").phone_region == "VN"
    thai = Settings.load({"LEADLEDGER_PHONE_REGION": "TH", **BOTH}, "sqlite://")
    assert thai.phone_region == "TH"


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5", "1000000000", "\u0663"])
def test_how_many_are_too_common_is_a_whole_number_from_one_on(number):
    with pytest.raises(BadSetting, match="LEADLEDGER_TOO_COMMON"):
        Settings.load({"LEADLEDGER_TOO_COMMON": number, **BOTH}, "sqlite://")


def test_more_than_ten_are_too_common_unless_said_otherwise():
    assert Settings.load(BOTH, "sqlite://").too_common == 10
    assert Settings.load({"LEADLEDGER_TOO_COMMON": "3", **BOTH}, "sqlite://").too_common == 3
