"""Read models of other versions of this program: older ones are made anew, newer ones refused."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from engine.errors import ReadModelsDamaged
from engine.projections import database
from engine.projections.database import Models
from tests.read_side import DAY
from tests.shop import about, all_of, tables_of

# What the first version made, and a generation as it left it.
FIRST = """
CREATE TABLE generations (
    number INTEGER PRIMARY KEY, state TEXT, rules_id TEXT, derived_by INTEGER,
    settled_to BIGINT, checkpoint BIGINT, anchor TEXT
);
CREATE TABLE leads_7 (lead BIGINT PRIMARY KEY);
INSERT INTO generations VALUES (7, 'live', 'some', 2, 0, 0, '');
"""


def of_the_first_version(shop):
    """Put in the place of the read models what the first version would have left."""
    shop.models.close()
    Models.discard(shop.models_at)
    if isinstance(shop.models_at, str):
        with psycopg.connect(shop.models_at, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA models; SET search_path TO models; {FIRST}")
    else:
        with closing(sqlite3.connect(shop.models_at)) as connection:
            marks = f"PRAGMA application_id = {database.FORMAT.application_id}"
            connection.executescript(f"{FIRST}; {marks}; PRAGMA user_version = 1")


def test_those_of_an_older_version_are_made_anew_without_a_word(shop):
    shop.record(about(1, 0))
    of_the_first_version(shop)
    shop.models = Models.open(shop.models_at)
    assert tables_of(shop.models) == set()
    assert shop.keep_up(DAY).number == 1
    assert tables_of(shop.models) == all_of(1)
    Models.open(shop.models_at).close()
    assert tables_of(shop.models) == all_of(1)


def test_several_who_open_them_at_once_make_them_anew_once(shop):
    shop.record(about(1, 0))
    of_the_first_version(shop)
    with ThreadPoolExecutor(4) as pool:
        opened = [*pool.map(Models.open, [shop.models_at] * 4)]
    shop.models = opened[0]
    shop.keep_up(DAY)
    assert all(tables_of(models) == all_of(1) for models in opened)
    for models in opened[1:]:
        models.close()


def test_those_of_a_newer_version_are_refused_and_can_be_discarded(shop, monkeypatch):
    monkeypatch.setattr(database, "VERSION", database.VERSION - 1)
    with pytest.raises(ReadModelsDamaged):
        Models.open(shop.models_at)
