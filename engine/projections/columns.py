"""Arrays of ids and indexes as columns of words; what every read model is derived with."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Boolean, Integer, String, Table, Text

from engine.history import NEVER, Histories, Strings

NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # of a lead; SQLite's own row number
TEXT = String().with_variant(Text(collation="C"), "postgresql")  # ordered by its bytes
_DTYPES = {String: pl.String, Integer: pl.Int64, BigInteger: pl.Int64, Boolean: pl.Boolean}


def schema(table: Table) -> pl.Schema:
    """The columns of a frame that holds rows of a table."""
    return pl.Schema({column.name: _DTYPES[type(column.type)] for column in table.columns})


def rows_of(table: Table, columns: dict[str, pl.Series]) -> pl.DataFrame:
    """A frame of exactly a table's columns and types, whatever integers they came as."""
    return pl.DataFrame(columns).cast(schema(table)).select(table.columns.keys())


def picked(words: Sequence[str], at: NDArray[np.integer]) -> pl.Series:
    """The words at these indexes; null where an index is negative."""
    return pl.Series([*words, None], dtype=pl.String).gather(np.where(at < 0, len(words), at))


def texts(
    strings: Strings, ids: NDArray[np.integer], dtype: type[pl.DataType] = pl.String
) -> pl.Series:
    """The texts of dictionary ids; null for 0. Each id is looked up once."""
    distinct = np.unique(ids)
    at = np.searchsorted(distinct, ids)
    known = strings.texts(distinct.tolist())
    words = [text if number else None for number, text in zip(distinct, known, strict=True)]
    return pl.Series(words, dtype=dtype).gather(at)


def event_ids(histories: Histories, touches: NDArray[np.int64]) -> pl.Series:
    """The event ids of these touches; null where an index is negative."""
    data = np.ascontiguousarray(histories.event_ids).data
    at = histories.event_id_at[touches].tolist()
    sizes = histories.event_id_size[touches].tolist()
    words = [str(data[a : a + size], "utf-8") for a, size in zip(at, sizes, strict=True)]
    return pl.Series(words, dtype=pl.String)


def instants(at: NDArray[np.int64]) -> pl.Series:
    """Instants, null for those that never came."""
    column = pl.Series(np.ascontiguousarray(at))
    return column.set(column == NEVER, None)


def counted(*keys: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many-th of its group each row is, from 1; rows of a group stand together."""
    rows = np.arange(len(keys[0]))
    starts = np.zeros(len(rows), np.bool_)
    starts[:1] = True
    for key in keys:
        starts[1:] |= key[1:] != key[:-1]
    return rows - np.maximum.accumulate(np.where(starts, rows, 0)) + 1
