"""The page that says what is computed says what is: every example in it is folded.

An example is a table whose rows are instants; the rules are the last TOML above
it. How rows and headings are read is in `deliveries_of` and `answer`.
"""

import json
import random
import re
import shlex
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pytest

from engine.book import Book
from engine.cli.main import cli
from engine.decay import FACTORS, scores_at
from engine.edge import Edge, Row
from engine.folding import fold
from engine.instants import format_instant, parse_instant
from engine.privacy import IdentifierKey
from engine.projections.projection import READ_MODELS, Frames, derived
from engine.reports import funnel as funnels
from engine.rulefile import parse
from tests import naive
from tests.pages import DOCS, Table, shown, starting
from tests.storeless import Line, exports, exports_by, histories, take
from tests.storing import WORKSPACE_KEY, keep

PAGE = DOCS / "semantics.md"
NOBODY = "–"
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d)(:\d\d(?:\.\d+)?)?([+-]\d\d:\d\d)?")
_SAID = re.compile(r"(\w*) ?`([^`]+)`")
_ACTS = {
    "channel": lambda text: {"channel": text},
    "actor": lambda text: {"actor": {"kind": text}},
    "minor": lambda text: {"amount": {"minor": int(text)}},
    "currency": lambda text: {"amount": {"currency": text}},
}


EXAMPLES = starting(PAGE, "when", "what happens")
each_example = pytest.mark.parametrize("table", EXAMPLES, ids=lambda table: table.name)


def instant(written: str) -> int:
    day, minute, seconds, offset = _INSTANT.fullmatch(written).groups()
    return parse_instant(f"{day}T{minute}{seconds or ':00'}{offset or 'Z'}")


def plain(cell: str) -> str:
    """A cell with its instants as the engine writes them."""
    return _INSTANT.sub(lambda found: format_instant(instant(found[0])), cell)


def deliveries_of(table: Table) -> list[Line]:
    """Every touchpoint that the second column names, as it would come in."""
    lines: list[Line] = []
    for when, what, *_ in table.rows:
        for order, (who, said) in enumerate(_SAID.findall(what)):
            type_, *words = shlex.split(said)
            line = {
                "source": "web",
                "event_id": f"e{len(lines) + 1}",
                "type": type_,
                "occurred_at": format_instant(instant(when)),
                "sequence": order,
                "identifiers": [{"kind": "crm_id", "value": who or "Ann"}],
                "attributes": {},
            }
            for word in words:
                add(line, *word.split("=", 1))
            lines.append(line)
    return lines


def add(line: Line, name: str, text: str) -> None:
    for key, part in _ACTS.get(name, lambda text: {"attributes": {name: text}})(text).items():
        line[key] = {**line[key], **part} if isinstance(line.get(key), dict) else part


@cache
def read(name: str) -> list[Line]:
    """What the engine prints at each instant of a table."""
    table = next(table for table in EXAMPLES if table.name == name)
    return exports(table.rules, take(deliveries_of(table)).accepted, instants_of(table))


def instants_of(table: Table) -> list[int]:
    return [instant(row[0]) for row in table.rows]


def answer(heading: str, printed: Line) -> str:
    """What a read says under a heading: a name, and what is asked of it."""
    name, _, asked = heading.strip("`").partition(" ")
    if name in printed["funnels"]:
        return in_funnel(printed["funnels"][name], asked)
    if not printed["states"]:
        return NOBODY
    (state,) = printed["states"]
    if name in state["scores"]:
        return f"{Decimal(state['scores'][name]) / 10**6:.6f}".rstrip("0").rstrip(".")
    if name in state["stages"]:
        return on_track(state, name, asked)
    runs = [run for run in state["clocks"] if run["clock"] == name]
    if runs:
        return runs[-1]["due"] if asked == "due" else ", ".join(run["state"] for run in runs)
    return plainly(state[name])


def plainly(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['minor']} {value['currency']}"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)


def on_track(state: Line, track: str, asked: str) -> str:
    visits = [visit for visit in state["visits"] if visit["track"] == track]
    match asked:
        case "since":
            return visits[-1]["entered"]
        case "visits":
            return ", ".join(visit["stage"] for visit in visits)
        case "cause":
            cause = visits[-1]["cause"]
            return cause.get("event_id") or f"{cause['timer']}, move {cause['move']}"
        case "entry":
            skipped = visits[-1]["skipped"]
            return visits[-1]["direction"] + (f", {skipped} skipped" if skipped else "")
        case _:
            return state["stages"][track] or "none"


def in_funnel(lines: list[Line], asked: str) -> str:
    match asked:
        case "reached":
            return ", ".join(lines[0]["reached_at"])
        case "entered":
            return lines[0]["entered"]
        case _:
            return "; ".join(map(attempt, lines)) or NOBODY


def attempt(line: Line) -> str:
    if line["excluded"]:
        return "excluded"
    return f"{line['depth']}, open" if line["open"] else str(line["depth"])


@each_example
def test_the_engine_answers_what_the_page_says(table):
    for row, printed in zip(table.rows, read(table.name), strict=True):
        for heading, cell in zip(table.heading[2:], row[2:], strict=True):
            assert (row[0], heading, answer(heading, printed)) == (row[0], heading, plain(cell))


@each_example
def test_backwards_and_twice_it_answers_the_same(table):
    told = deliveries_of(table)
    again = take([*reversed(told), *told])
    assert len(again.duplicates) == len(told)
    assert exports(table.rules, again.accepted, instants_of(table)) == read(table.name)


@each_example
def test_the_naive_model_answers_the_same(table):
    model = naive.run(table.rules, deliveries_of(table), instants_of(table))
    assert not model.aside
    assert [{"states": r.states, "funnels": r.funnels} for r in model.reads] == read(table.name)


def test_rules_that_follow_one_another_judge_as_the_page_says():
    (table,) = starting(PAGE, "at", "what happens")
    entries = [(table.rules_before, None), (table.rules, "2026-03-10T00:00:00Z")]
    book = Book.of((at and parse_instant(at), parse(toml)) for toml, at in entries)
    told, instants = deliveries_of(table), instants_of(table)
    reads = exports_by(book, take(told).accepted, instants)
    model = naive.run(entries, told, instants)
    assert [{"states": r.states, "funnels": r.funnels} for r in model.reads] == reads
    for row, printed in zip(table.rows, reads, strict=True):
        said = [answer(heading, printed) for heading in table.heading[2:]]
        assert (row[0], said) == (row[0], row[2:])


def test_every_hard_rule_has_an_example():
    assert {table.section for table in EXAMPLES} == {
        "Why a lead counts as qualified",
        "Memory",
        "Earning",
        "How often something earns",
        "Fading",
        "Moves",
        "How often lately",
        "Timed moves",
        "Clocks",
        "Segments",
        "What was so",
        "Ordered",
        "Strict",
        "Unordered",
        "Which attempts count",
        "Exclusions",
        "Figures",
    }


def test_whose_a_touchpoint_is_on_the_page_is_so(facts):
    (table,) = starting(PAGE, "happened", "what", "whose")
    edge = Edge(IdentifierKey(bytes(32)), facts.keyring(WORKSPACE_KEY))
    told = [json.dumps(told_of(row)).encode() for row in random.sample(table.rows, len(table.rows))]
    rows = [Row(origin="page", line=number, data=line) for number, line in enumerate(told, 1)]
    kept = keep(facts, *edge.accept(rows, instant("2026-04-01 00:00")))
    assert kept.recorded == len(rows)
    found = facts.histories()
    ends = found.starts.tolist()
    leads = [
        sorted(found.event_id(touch) for touch in range(ends[lead], ends[lead + 1]))
        for lead in range(len(found.leads))
    ]
    whose = {who for _, _, who in table.rows}
    assert sorted(leads) == sorted([row[0] for row in table.rows if row[2] == who] for who in whose)


def told_of(row: list[str]) -> Line:
    when, what, _ = row
    type_, *named = what.strip("`").split()
    return {
        "source": "web",
        "event_id": when,
        "type": type_,
        "occurred_at": format_instant(instant(when)),
        "identifiers": [dict(zip(("kind", "value"), one.split(":"), strict=True)) for one in named],
    }


def test_happening_order_is_that_of_the_page():
    (table,) = starting(PAGE, "arrives")
    happening = table.heading.index("happens")
    told = [
        {
            "occurred_at": format_instant(instant(row[1])),
            "sequence": int(row[2]),
            "source": row[3],
            "event_id": row[4],
            "type": "page_viewed",
            "identifiers": [{"kind": "user_id", "value": "ann"}],
        }
        for row in table.rows
    ]
    found = histories(take(told).accepted)
    order = [found.event_id(touch) for touch in range(len(told))]
    assert order == [row[4] for row in sorted(table.rows, key=lambda row: int(row[happening]))]


def test_the_figures_of_the_funnel_are_those_of_the_page():
    (figures,) = starting(PAGE, "as of", "step")
    (leads,) = [table for table in EXAMPLES if table.section == figures.section]
    rules, found = parse(leads.rules), histories(take(deliveries_of(leads)).accepted)
    at = instant(figures.rows[0][0])
    book = Book.always(rules)
    folded = fold(found, book, at)
    rows = derived(folded, np.arange(len(found.leads)), READ_MODELS)
    report = funnels.report(Frames(book, at, rows), rules.funnels[0].name)
    assert report["excluded"] == 1
    assert [row[1:] for row in figures.rows] == [
        [
            str(step["step"]),
            str(step["reached"]),
            percent(step["rate_first"]),
            percent(step["rate_previous"]),
            str(step["immature"]),
            NOBODY if step["dropped"] is None else str(step["dropped"]),
            percent(step["matured_rate"]),
        ]
        for step in report["steps"]
    ]


def percent(rate: float | None) -> str:
    return NOBODY if rate is None else f"{round(100 * rate, 1):g} %"


def test_the_arithmetic_of_the_page_is_that_of_the_engine():
    names: dict[str, Any] = {}
    exec(*shown(PAGE, "python"), names)
    after = names["after"]
    assert [after(1 << 22, ticks) for ticks in range(len(FACTORS))] == FACTORS.tolist()
    rules = parse(next(table.rules for table in EXAMPLES if table.section == "Fading"))
    tick = 2_000_000
    for points in (1, -3, 9_999_999, 10**12):
        for ticks in (0, 1, 2048, 4096, 4097, 12_345, 41 * 4096 - 1, 41 * 4096):
            faded = scores_at(np.array([[points]]), np.array([0]), rules, ticks * tick)
            assert faded[0, 0] == after(points, ticks)


def test_what_the_page_says_is_not_built_is_not():
    (missing,) = starting(PAGE, "not built")
    assert [row[0] for row in missing.rows] == ["collecting over HTTP", "erasing a person"]
    assert command("serve") is None
    assert command("erase") is None
    assert command("lead", "erase") is None


def command(*words: str) -> Any:
    found: Any = cli
    for word in words:
        found = found and found.get_command(None, word)
    return found
