"""Fixtures that several test modules share; and what tests say for everybody, at the end."""

import shutil
from collections import Counter

import pytest

from engine import doctor
from engine.projections.database import Models
from engine.store.facts import Facts
from tests.doctored import SHIPPED_ONCE, Workspace, sound_workspace
from tests.import_world import new_world
from tests.shop import Shop
from tests.storing import Clock, empty_tables

pytest_plugins = ["tests.disks", "tests.emitting", "tests.services.fixtures"]


def pytest_terminal_summary(terminalreporter):
    """Whichever process ran the tests: why some were skipped, and what others have to say."""
    skipped = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, times in skipped.items():
        terminalreporter.write_line(f"{times} skipped: {reason.removeprefix('Skipped: ')}")
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "says":
                terminalreporter.write_line(value)


@pytest.fixture
def say(record_property):
    """A function that notes a line for the summary."""
    return lambda line: record_property("says", line)


@pytest.fixture
def clock():
    """A clock that stands until it is moved."""
    return Clock()


@pytest.fixture
def facts_file(tmp_path, clock):
    """An empty file of facts that goes by the clock."""
    with Facts.open(tmp_path / "facts.db", clock=clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def reused_database(postgres):
    """The URL of a PostgreSQL database with all tables: to make one takes half a second."""
    url = postgres.new_database()
    Facts.open(url).close()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def facts_database(postgres, reused_database):
    """The URL of a PostgreSQL database with no facts, and nobody else connected."""
    postgres.terminate_backends(reused_database)
    empty_tables(reused_database)
    return reused_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def facts_url(request, tmp_path):
    """The URL of an empty database: a test that asks for it runs over each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/facts.db"
    return request.getfixturevalue("facts_database")


@pytest.fixture
def facts(facts_url, clock):
    """An empty database of each kind that goes by the clock."""
    with Facts.open(facts_url, clock=clock) as opened:
        yield opened


@pytest.fixture
def world(tmp_path):
    """A place to import into; whatever was imported, all that came is accounted for."""
    made = new_world(tmp_path)
    yield made
    assert made.conserved()
    made.facts.close()


@pytest.fixture
def shop_file(tmp_path):
    """Facts and read models in files of one folder."""
    opened = Shop(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def shop(facts_url):
    """Facts and read models in each kind of database."""
    if facts_url.startswith("postgresql"):
        Models.discard(facts_url)
    opened = Shop(facts_url)
    yield opened
    opened.close()


@pytest.fixture
def read_what_ships_once(monkeypatch):
    """Let the doctor look at schemas, rules and mappings once a process."""
    monkeypatch.setitem(doctor.PROGRAM, "shipped", SHIPPED_ONCE)


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """A database with nothing wrong, to be copied."""
    return sound_workspace(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def workspace(sound, tmp_path):
    """A copy of it, to be damaged."""
    return Workspace(shutil.copytree(sound.folder, tmp_path / "copy"))
