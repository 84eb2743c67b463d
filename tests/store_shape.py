"""What tables a database of facts has, told alike however they came to be."""

import sqlite3

_COLUMNS = """
SELECT relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
    pg_get_expr(adbin, adrelid), CASE WHEN attcollation = typcollation THEN '' ELSE collname END
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_type ON pg_type.oid = atttypid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
LEFT JOIN pg_collation ON pg_collation.oid = attcollation
WHERE relnamespace = 'facts'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""
_CONSTRAINTS = """
SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'facts'::regnamespace
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'facts'"
_SETTINGS = """
SELECT relname, relkind::text, reloptions::text FROM pg_class
WHERE relnamespace = 'facts'::regnamespace
"""


def sqlite_shape(connection: sqlite3.Connection) -> set[tuple[object, ...]]:
    """Tables, columns, keys, references and indexes of a file."""
    ask = connection.execute
    shape: set[tuple[object, ...]] = set()
    for name, kind, sql in ask("SELECT name, type, sql FROM sqlite_schema WHERE sql IS NOT NULL"):
        if kind == "index":
            shape.add((name, " ".join(sql.split())))
            continue
        shape.add((name, "WITHOUT ROWID" in sql))
        shape |= {
            (name, number, column, kind.upper(), bool(needed or key), default, key)
            for number, column, kind, needed, default, key in ask(f"PRAGMA table_info({name})")
        }
        shape |= {(name, row[2:5]) for row in ask(f"PRAGMA foreign_key_list({name})")}
        for _, index, unique, origin, partial in ask(f"PRAGMA index_list({name})").fetchall():
            columns = tuple(row[2] for row in ask(f"PRAGMA index_info({index})"))
            shape.add((name, origin, unique, partial, columns))
    return shape


def postgres_shape(connection) -> set[tuple[object, ...]]:
    """The same of the schema `facts`, as its catalogues have it."""
    asked = (_COLUMNS, _CONSTRAINTS, _INDEXES, _SETTINGS)
    return {row for statement in asked for row in connection.execute(statement)}
