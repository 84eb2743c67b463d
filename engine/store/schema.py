"""The tables of the facts file.

`stored_events` is the table of the eventsourcing library, to the letter; its
rowid is the position. Everything else is written in the same transaction.
"""

from engine.store.sqlite import Format

EVENTS = (
    "CREATE TABLE IF NOT EXISTS stored_events ("
    "originator_id TEXT, "
    "originator_version INTEGER, "
    "topic TEXT, "
    "state BLOB, "
    "PRIMARY KEY "
    "(originator_id, originator_version))"
)

_TABLES = """
CREATE TABLE streams (
    number INTEGER PRIMARY KEY,
    originator TEXT NOT NULL UNIQUE, -- originator_id: the first 128 bits of the digest, hex
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    folded_from INTEGER -- position of its first touchpoint of a folded type
);
CREATE TABLE ids (
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    content BLOB NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (source, event_id)
) WITHOUT ROWID;
CREATE TABLE recent_ids ( -- those that are not in `ids` yet: see engine/store/ids.py
    position INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE touchpoints (
    stream INTEGER NOT NULL,
    position INTEGER NOT NULL,
    void INTEGER, -- position from which on it is left out; 0: never folded
    packed BLOB NOT NULL, -- see engine/history.py
    PRIMARY KEY (stream, position)
) WITHOUT ROWID;
CREATE TABLE recordings (
    first INTEGER PRIMARY KEY, -- position
    last INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL -- microseconds, UTC, never falling
);
CREATE INDEX recordings_at ON recordings (recorded_at, last);
CREATE TABLE retractions (
    position INTEGER PRIMARY KEY,
    source TEXT NOT NULL, -- of the touchpoint that it voids
    event_id TEXT NOT NULL,
    stream INTEGER -- of that touchpoint, where it came first
);
CREATE INDEX retractions_of ON retractions (source, event_id, position);
CREATE TABLE evidence (
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    relation INTEGER NOT NULL, -- 0 on one touchpoint, 1 linked, 2 unlinked
    stream INTEGER NOT NULL,
    void INTEGER, -- position of the retraction
    PRIMARY KEY (position, kind, digest)
) WITHOUT ROWID;
CREATE TABLE strings (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);
CREATE TABLE data_keys (
    key_id TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE key_marks (
    name TEXT PRIMARY KEY, -- identifier key, workspace key
    mark TEXT NOT NULL -- tells the key from others without giving it away
) WITHOUT ROWID;
CREATE TABLE aside (
    number INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    origin TEXT NOT NULL,
    line INTEGER NOT NULL,
    partition INTEGER NOT NULL, -- of the topic; 0 for files
    form TEXT NOT NULL,
    at INTEGER NOT NULL,
    wrapped_key BLOB NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    retried_at INTEGER,
    outcome TEXT -- recorded, duplicate; null while it is aside
);
CREATE INDEX aside_from ON aside (origin, line, partition);
CREATE INDEX aside_waiting ON aside (number) WHERE outcome IS NULL;
CREATE TABLE intake (
    origin TEXT PRIMARY KEY,
    received INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    set_aside INTEGER NOT NULL,
    dropped INTEGER NOT NULL -- identifiers
) WITHOUT ROWID;
CREATE TABLE imports (
    key TEXT PRIMARY KEY,
    state TEXT NOT NULL -- JSON
) WITHOUT ROWID;
CREATE TABLE offsets (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    topic_id TEXT NOT NULL, -- of the broker: a topic made anew under the old name has another
    next_offset INTEGER NOT NULL,
    epoch INTEGER NOT NULL, -- raised by each new owner; under an old one nothing is written
    owner TEXT NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE message_headers (
    position INTEGER PRIMARY KEY, -- of a touchpoint that came with headers worth keeping
    headers BLOB NOT NULL -- MessagePack: pairs of name and bytes
);
CREATE TABLE accesses (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    lead TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE rule_sets (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    toml TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE rule_book (
    number INTEGER PRIMARY KEY,
    rules_id TEXT NOT NULL REFERENCES rule_sets (id),
    effective_at INTEGER, -- null: the beginning of time
    published_at INTEGER NOT NULL,
    position INTEGER NOT NULL
);
CREATE TABLE announcements ( -- rows are added, never changed
    number INTEGER PRIMARY KEY, -- in the order of telling
    id TEXT NOT NULL UNIQUE, -- digest of first touchpoint, kind, name, at and position
    lead TEXT NOT NULL, -- the id that it went by
    first_source TEXT NOT NULL, -- its first touchpoint in happening order
    first_event_id TEXT NOT NULL,
    kind TEXT NOT NULL, -- what was told: a stage entered, a clock breached, a segment joined ...
    name TEXT NOT NULL, -- of the stage (track.stage), clock or segment
    at INTEGER NOT NULL, -- when it came about: microseconds, UTC
    cause TEXT, -- JSON, as a visit tells it; null: time alone
    position INTEGER NOT NULL, -- known at which it was folded
    settled_to INTEGER NOT NULL, -- as of which it was folded: microseconds, UTC
    rules_id TEXT NOT NULL REFERENCES rule_sets (id),
    corrects TEXT, -- id of the announcement that later knowledge made wrong
    announced_at INTEGER NOT NULL, -- microseconds, UTC
    data BLOB NOT NULL -- the Avro bytes that went out
);
CREATE INDEX announcements_of ON announcements (lead, kind, name, at);
"""

FACTS = Format(
    application_id=0x4C65_4C65,
    version=1,
    statements=(EVENTS, *(part for part in _TABLES.split(";\n") if part.strip())),
)
