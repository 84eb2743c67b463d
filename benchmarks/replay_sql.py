"""The decayed score and the stage of every lead, in SQL: ClickHouse over a journal's files.

The rules are small enough for SQL to say in full: signals by type, one score that fades, is
limited in frequency and clamped, and one track without timed moves. They are also written
for the engine, and both must come to the same.
"""

import time
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.book import Book
from engine.decay import scores_at
from engine.fold_eras import fold_all
from engine.instants import DAY_US
from engine.journal.journal import Journal
from engine.rulefile import parse

SIGNALS = {
    "active": ["page_viewed", "ad_clicked", "form_submitted", "call_connected", "meeting_held"],
    "interested": ["content_downloaded", "webinar_attended", "email_clicked", "trial_started"],
    "enquired": ["form_submitted", "chat_started", "price_asked"],
    "talked": ["call_connected", "meeting_held", "demo_held", "email_replied"],
    "turned_down": ["lost", "disqualified"],
    "bought": ["won", "purchased"],
}
EARNS: list[tuple[str, int, int | None, int]] = [  # signal, points, at most, every so many days
    ("active", 1, 5, 1),
    ("interested", 5, 3, 7),
    ("enquired", 30, 1, 7),
    ("talked", 15, 2, 7),
    ("turned_down", -50, None, 0),
]
HALF_LIFE, CAP, ENOUGH = 14, 100, 40  # days, points, points
STAGES = ("visitor", "lead", "mql", "customer", "lost")
MOVES = [  # to, from, signal
    ("customer", None, "bought"),
    ("lost", ("visitor", "lead", "mql"), "turned_down"),
    ("mql", ("lead",), None),  # by the score, once it has enquired
    ("lead", ("none", "visitor"), "enquired"),
    ("visitor", ("none",), "active"),
]
NEVER = -(10**17)
CLOSE = CAP * (2 ** (2 / 4096) - 1)  # points: the engine counts whole ticks of a half-life


class Answer(NamedTuple):
    """What a query came to."""

    seconds: float
    leads: int
    differing: int  # from what the engine says, in score or stage


def rules() -> str:
    """The rules, for the engine."""
    lines = ['name = "in_sql"']
    for name, types in SIGNALS.items():
        lines.append(f'[[signal]]\nname = "{name}"\ntype = {types}')
    lines.append(f'[[score]]\nname = "points"\nhalf_life = "{HALF_LIFE}d"\nfloor = 0\ncap = {CAP}')
    for signal, points, at_most, every in EARNS:
        limit = f'\nat_most = {at_most}\nevery = "{every}d"' if at_most else ""
        lines.append(f'[[score.earn]]\nsignal = "{signal}"\npoints = {points}{limit}')
    lines.append('[[track]]\nname = "stage"')
    lines += [f'[[track.stage]]\nname = "{stage}"' for stage in STAGES]
    for to, sources, moved_by in MOVES:
        asks = f'signal = "{moved_by}"' if moved_by else ""
        asks = asks or f'seen = ["enquired"], score = "points", at_least = {ENOUGH}'
        source = [*(sources or ("*",))]
        lines.append(f'[[track.move]]\nto = "{to}"\nfrom = {source}\nwhen = {{ {asks} }}')
    return "\n".join(lines).replace("'", '"')


def query(journal: Journal, as_of: int) -> str:
    """The same for ClickHouse: lead, points as of an instant, index of the stage or -1.

    A step takes (when, points, seen, stage, and of each limited rule: since when, how often)
    and a touchpoint (when, signals as bits) to the next.
    """
    bits = {name: 1 << index for index, name in enumerate(SIGNALS)}
    types = sorted({type_ for some in SIGNALS.values() for type_ in some})
    carried = [sum(bits[n] for n, some in SIGNALS.items() if type_ in some) for type_ in types]
    ids = journal.strings.ids(types)
    sums: list[str] = []
    windows: list[str] = []
    for signal, points, at_most, every in EARNS:
        matched = f"bitAnd(x.2, {bits[signal]}) > 0"
        if not at_most:
            sums.append(f"if({matched}, {points}, 0)")
            continue
        since, used = f"a.{5 + len(windows)}", f"a.{6 + len(windows)}"
        opens = f"x.1 >= {since} + {every * DAY_US}"
        times = f"if({matched}, if({opens}, 1, {used} + 1), {used})"
        windows += [f"if({matched} and {opens}, x.1, {since})", times]
        sums.append(f"if({matched} and {times} <= {at_most}, {points}, 0)")
    faded = f"a.2 * exp2((a.1 - x.1) / {HALF_LIFE * DAY_US})"
    score = f"least({CAP}., greatest(0., {faded} + {' + '.join(sums)}))"
    seen = "bitOr(a.3, x.2)"
    moves = ", ".join(_move(*move, bits, score, seen) for move in MOVES)
    step = f"(x.1, {score}, {seen}, multiIf({moves}, a.4), {', '.join(windows)})"
    start = ", ".join(
        ["toInt64(0), 0., toInt64(0), toInt64(-1)"] + ["toInt64(?)", "toInt64(0)"] * 4
    )
    start = start.replace("?", str(NEVER))
    signals = f"toInt64(transform(assumeNotNull(type), {ids}, {carried}, 0))"
    ordered = f"arraySort(x -> x.1, groupArray((assumeNotNull(occurred_at), {signals})))"
    return (
        f"SELECT lead, end.2 * exp2((end.1 - {as_of}) / {HALF_LIFE * DAY_US}), end.4 FROM ("
        f"SELECT assumeNotNull(lead) AS lead, arrayFold((a, x) -> {step}, {ordered}, ({start})) "
        f"AS end FROM file('{journal.folder}/touches-*.parquet') GROUP BY lead) "
        "ORDER BY lead"
    )


def _move(
    to: str, sources: Any, signal: str | None, bits: dict[str, int], score: str, seen: str
) -> str:
    """Condition and stage of a move."""
    places = {"none": -1} | {stage: index for index, stage in enumerate(STAGES)}
    known = [places[source] for source in sources or places if source != to]
    asks = f"bitAnd(x.2, {bits[signal]}) > 0" if signal else ""
    asks = asks or f"bitAnd({seen}, {bits['enquired']}) > 0 and {score} >= {ENOUGH}"
    return f"a.4 in {known} and {asks}, toInt64({places[to]})"


def asked(folder: Path, as_of: int) -> Answer:
    """Time the query, on all cores, and look whether it says what the engine does."""
    chdb: Any = import_module("chdb")  # typed in part, and not always there
    journal = Journal.open(folder)
    sql = query(journal, as_of)
    begun = time.perf_counter()
    told = chdb.query(sql, "Arrow")
    seconds = time.perf_counter() - begun
    return Answer(seconds, *_compared(journal, as_of, told.bytes()))


def _compared(journal: Journal, as_of: int, arrow: bytes) -> tuple[int, int]:
    """How many leads there are, and for how many the engine says something else."""
    import polars as pl

    eras, rows = Book.always(parse(rules())).eras, pl.read_ipc(arrow)
    lead, points, stage = (rows[name].to_numpy() for name in rows.columns)
    differing = 0
    for bucket in journal.buckets:
        histories = journal.read(bucket)
        states = fold_all(histories, eras, as_of).states
        scores = scores_at(states["scores"], states["last_at"], eras[0].rules, as_of)[:, 0]
        at = np.searchsorted(lead, histories.numbers)
        off = np.abs(points[at] - scores / 1e6) > CLOSE
        differing += int((off | (stage[at] != states["stage"][:, 0])).sum())
    return len(lead), differing
