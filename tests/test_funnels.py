"""Funnels: by hand, and against an exhaustive search on many thousands of random logs."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.folded import FUNNEL_HIT, VISIT
from engine.funnels import TouchItems, match, table
from engine.history import NEVER
from engine.ruleset import Exclusion, Funnel, RuleSet, Signal, Stage, Step, Track, Trigger
from tests.funnel_search import Item, Line, is_timed, lines, random_cases

HOUR = 3_600_000_000
# Signals at both ends of the 64 bits: the last one is the sign of a signed integer.
RULES = RuleSet(
    name="case",
    id="",
    fold_id="",
    signals=tuple(
        Signal(name, ()) for name in ("visit", "form", *(f"x{i}" for i in range(61)), "call")
    ),
    tracks=(
        Track("life", (Stage("lead"), Stage("cold"))),
        Track("deal", (Stage("won"),)),
    ),
)
BITS = {signal.name: 1 << i for i, signal in enumerate(RULES.signals)}


def funnel_of(*steps, **settings):
    """A funnel; a step is a signal, a "track.stage", or one of them and its within in hours."""
    pairs = [(step, None) if isinstance(step, str) else step for step in steps]
    triggers = [Trigger(enters=n) if "." in n else Trigger(signal=n) for n, _ in pairs]
    within = [None if hours is None else hours * HOUR for _, hours in pairs]
    return Funnel("f", tuple(map(Step, triggers, within)), **settings)


def items_of(log):
    """Items from "1 visit form, 2 > life.lead, 3 ~ life.cold": touch, caused and timed entry."""
    items, cause = [], None
    for text in log.split(", "):
        hour, *words = text.split()
        at = round(float(hour) * HOUR)
        if words[:1] in ([">"], ["~"]):
            items.append(Item(at, stage=words[1], cause=cause if words[0] == ">" else None))
        else:
            cause = len(items)
            items.append(Item(at, signals=frozenset(words)))
    return items


def columns(leads):
    """The items of many leads as touches and stage entries."""
    starts, at, signals, entries = [0], [], [], []
    for lead, items in enumerate(leads):
        for item in items:
            if item.stage is None:
                at.append(item.at)
                signals.append(sum(BITS[name] for name in item.signals))
                continue
            track, stage = item.stage.split(".")
            t = [one.name for one in RULES.tracks].index(track)
            s = [one.name for one in RULES.tracks[t].stages].index(stage)
            move = 0 if item.cause is not None else 1
            entries.append((lead, t, s, 1, item.at, NEVER, len(at) - 1, move, 0, 0, 0))
        starts.append(len(at))
    touches = TouchItems(np.array(starts), np.array(at, np.int64), np.array(signals, np.uint64))
    return touches, np.array(entries, VISIT)


def matched(funnel, *logs, as_of=24.0):
    """Lead, entry, depth, hours reached, excluded, open until (hours; None: without end)."""
    touches, entries = columns([items_of(log) for log in logs])
    hits = match(table(RULES, funnel), touches, entries, round(as_of * HOUR))
    return [
        (
            int(hit["lead"]),
            hit["entered"] / HOUR,
            int(hit["depth"]),
            [at / HOUR for at in hit["reached"][: hit["depth"]]],
            bool(hit["excluded"]),
            None if hit["open_until"] == NEVER else hit["open_until"] / HOUR,
        )
        for hit in hits
    ]


def test_a_lead_without_an_entry_has_no_line():
    assert matched(funnel_of("visit", "form"), "1 form", "1 visit") == [
        (1, 1.0, 1, [1.0], False, 0.0)
    ]


def test_a_later_choice_keeps_a_within_open():
    funnel = funnel_of("visit", "form", ("call", 1))
    assert matched(funnel, "1 visit, 2 form, 8 form, 9 call") == [
        (0, 1.0, 3, [1.0, 2.0, 9.0], False, 0.0)
    ]


def test_an_item_serves_one_step():
    assert matched(funnel_of("visit", "visit"), "1 visit", "1 visit, 1 visit") == [
        (0, 1.0, 1, [1.0], False, 0.0),
        (1, 1.0, 2, [1.0, 1.0], False, 0.0),
    ]


def test_a_window_includes_its_last_instant():
    funnel = funnel_of("visit", "form", window_us=2 * HOUR)
    assert matched(funnel, "1 visit, 3 form", "1 visit, 3.0001 form") == [
        (0, 1.0, 2, [1.0, 3.0], False, 0.0),
        (1, 1.0, 1, [1.0], False, 3.0),
    ]


def test_what_happened_later_than_as_of_is_not_known():
    log = "1 visit, 2 form, 2 > life.lead, 3 ~ life.cold"
    depths = [
        matched(funnel_of("visit", "form", "life.lead", "life.cold"), log, as_of=hour)[0][2]
        for hour in (1.9, 2, 2.9, 3)
    ]
    assert depths == [1, 3, 3, 4]


def test_a_timed_entry_follows_the_touches_of_its_instant():
    log = "1 visit, 3 call, 3 ~ life.cold"
    assert matched(funnel_of("call", "life.cold"), log)[0][2] == 2
    assert matched(funnel_of("life.cold", "call"), log)[0][2] == 1


def test_a_strict_chain_is_broken_by_a_touch_of_the_universe():
    log = "1 visit, 2 call, 3 form"
    assert matched(funnel_of("visit", "form", order="strict"), log)[0][2] == 1
    narrow = funnel_of("visit", "form", order="strict", universe=("visit", "form"))
    assert matched(narrow, log)[0][2] == 2


def test_the_touch_that_caused_an_entry_does_not_lie_before_it():
    funnel = funnel_of("visit", "life.lead", order="strict")
    caused, other = "1 visit, 2 form, 2 > life.lead", "1 visit, 1.5 call, 2 form, 2 > life.lead"
    timed = "1 visit, 2 form, 2 ~ life.lead"
    assert [line[2] for line in matched(funnel, caused, other, timed)] == [2, 1, 1]


def test_unordered_steps_are_given_items_of_their_own():
    # Either serves the first step, only a visit the second.
    either = ("life.lead", "life.lead", "visit")
    funnel = funnel_of(*either, order="unordered", window_us=9 * HOUR)
    logs = ("1 visit, 2 > life.lead, 3 > life.lead", "1 form, 2 > life.lead", "1 visit, 2 visit")
    assert matched(funnel, *logs) == [
        (0, 1.0, 3, [1.0, 2.0, 3.0], False, 0.0),
        (1, 2.0, 1, [2.0], False, 11.0),
        (2, 1.0, 1, [1.0], False, 10.0),
    ]


def test_an_unordered_item_moves_on_to_make_room():
    # The first touch could be all three, the second visit or form, the third a visit alone.
    funnel = funnel_of("visit", "form", "call", order="unordered")
    log = "1 visit form call, 2 visit form, 3 visit, 4 visit"
    assert matched(funnel, log) == [(0, 1.0, 3, [1.0, 2.0, 3.0], False, 0.0)]


def test_any_prefers_the_deepest_then_the_earliest_then_the_latest_entry():
    funnel = funnel_of("visit", "form", entry="any", window_us=9 * HOUR)
    assert matched(funnel, "1 visit, 2 visit, 3 form, 4 visit, 5 form") == [
        (0, 2.0, 2, [2.0, 3.0], False, 0.0)
    ]


def test_any_counts_an_attempt_that_is_not_void_and_first_does_not():
    settings = {"window_us": 9 * HOUR, "exclusions": (Exclusion("call", 1, 2),)}
    log = "1 visit, 2 call, 3 visit, 4 form"
    assert matched(funnel_of("visit", "form", entry="any", **settings), log) == [
        (0, 3.0, 2, [3.0, 4.0], False, 0.0)
    ]
    assert matched(funnel_of("visit", "form", **settings), log) == [(0, 1.0, 0, [], True, 0.0)]


def test_a_lead_is_open_as_long_as_any_attempt_is():
    # The attempt from 1:00 gets deepest; the one from 4:00 lasts longest.
    funnel = funnel_of("visit", "form", "call", entry="any", window_us=5 * HOUR)
    assert matched(funnel, "1 visit, 2 form, 4 visit") == [(0, 1.0, 2, [1.0, 2.0], False, 9.0)]


def test_every_begins_anew_after_the_last_attempt():
    funnel = funnel_of("visit", "form", entry="every", window_us=4 * HOUR)
    log = "1 visit, 2 form, 2.5 visit, 6 visit, 6.5 visit, 7 visit, 8 form"
    assert matched(funnel, log) == [
        (0, 1.0, 2, [1.0, 2.0], False, 0.0),
        (0, 2.5, 1, [2.5], False, 6.5),
        (0, 7.0, 2, [7.0, 8.0], False, 0.0),
    ]


def test_a_void_attempt_completes_like_any_other():
    settings = {"window_us": 9 * HOUR, "exclusions": (Exclusion("call", 1, 2),)}
    funnel = funnel_of("visit", "form", entry="every", **settings)
    assert matched(funnel, "1 visit, 2 call, 3 form, 3.5 visit, 4 form") == [
        (0, 1.0, 0, [], True, 0.0),
        (0, 3.5, 2, [3.5, 4.0], False, 0.0),
    ]


def test_an_exclusion_goes_by_item_order_and_ends_with_the_window():
    settings = {"window_us": 9 * HOUR, "exclusions": (Exclusion("call", 1, 2),)}
    logs = (
        "1 visit, 1 call, 1 form",
        "1 call, 1 visit, 1 form",
        "1 visit, 2 form, 3 call",
        "1 visit, 10 call",
        "1 visit, 10.0001 call",
    )
    found = matched(funnel_of("visit", "form", **settings), *logs)
    assert [line[4] for line in found] == [True, False, False, True, False]


def test_a_shallower_chain_keeps_an_attempt_open():
    funnel = funnel_of("visit", "form", ("call", 1), window_us=20 * HOUR)
    assert matched(funnel, "1 visit, 2 form") == [(0, 1.0, 2, [1.0, 2.0], False, 21.0)]


def test_an_attempt_is_open_until_its_last_chain_ends():
    funnel = funnel_of("visit", ("form", 3), ("call", 4))
    assert matched(funnel, "1 visit, 2 form, 3 form") == [(0, 1.0, 2, [1.0, 2.0], False, 7.0)]
    endless = funnel_of("visit", "form", ("call", 4))
    assert matched(endless, "1 visit, 2 form") == [(0, 1.0, 2, [1.0, 2.0], False, None)]


def test_a_strict_attempt_ends_with_the_next_touch_of_the_universe():
    funnel = funnel_of("visit", "form", order="strict", window_us=9 * HOUR)
    assert [line[5] for line in matched(funnel, "1 visit", "1 visit, 2 call")] == [10.0, 0.0]


def test_no_leads_give_no_hits():
    touches, entries = columns([])
    hits = match(table(RULES, funnel_of("visit")), touches, entries, 0)
    assert (len(hits), hits.dtype) == (0, FUNNEL_HIT)


def test_columns_of_any_memory_layout_give_the_same_bytes():
    touches, entries = columns([items_of("1 visit, 2 form, 2 > life.lead")])
    funnel = table(RULES, funnel_of("visit", "life.lead"))
    rows = np.zeros(2, [("at", "<i8"), ("odd", "u1"), ("signals", "<u8")])
    rows["at"], rows["signals"] = touches.at, touches.signals
    rows.flags.writeable = False
    strided = TouchItems(touches.starts.astype(np.int32), rows["at"], rows["signals"])
    wanted = match(funnel, touches, entries, 24 * HOUR)
    assert match(funnel, strided, entries, 24 * HOUR).tobytes() == wanted.tobytes()


def hits_of(funnel, leads, as_of):
    touches, entries = columns(leads)
    return match(table(RULES, funnel), touches, entries, as_of)


def agrees(hit, line: Line, as_of: int) -> bool:
    """The same depth and instants, and open at the same instants."""
    until = int(hit["open_until"])
    instants = [as_of, until, *([until - 1] if until else []), 10**9]
    return (
        hit["entered"] == line.entered
        and hit["depth"] == line.depth
        and hit["reached"].tolist() == line.reached + [0] * (12 - line.depth)
        and bool(hit["excluded"]) == (line.depth == 0)
        and all((t < until) == line.open_at(t) for t in instants if t < NEVER)
    )


def features_met(funnel: Funnel, line: Line, as_of: int) -> Iterator[str]:
    yield f"{funnel.order} {funnel.entry}"
    if line.depth == 0:
        yield "excluded"
    elif line.depth == len(funnel.steps) > 1:
        yield f"complete {funnel.order}"
    elif is_timed(funnel):
        yield "open" if line.open_at(as_of) else "over"
    for step, before, at in zip(funnel.steps[1:], line.reached, line.reached[1:], strict=False):
        if step.within_us is not None and at - before > step.within_us:
            yield "a later choice got deeper"


def test_random_logs_give_what_an_exhaustive_search_finds(capsys: pytest.CaptureFixture[str]):
    met: Counter[str] = Counter()
    logs = 0
    for funnel, leads, as_of in random_cases(seed=7, funnels=13, leads=20):
        hits = hits_of(funnel, leads, as_of)
        row = 0
        for lead, items in enumerate(leads):
            known = [item for item in items if item.at <= as_of]
            found = lines(funnel, known)
            mine = hits[row : row + len(found)]
            row += len(found)
            assert [int(hit["lead"]) for hit in mine] == [lead] * len(found)
            for hit, line in zip(mine, found, strict=True):
                assert agrees(hit, line, as_of), (funnel, known, as_of, hit, line)
                met.update(features_met(funnel, line, as_of))
            met["several lines"] += len(found) > 1
            logs += 1
        assert row == len(hits)
    with capsys.disabled():
        print(f"\nfunnels: {logs:,} random logs searched: {dict(sorted(met.items()))}")
    assert logs >= 20_000
    assert min(met.values()) > 20


def digest_of_a_part() -> str:
    """Of the bytes of all hits of some of the random logs."""
    parts = (hits_of(*case).tobytes() for case in random_cases(seed=11, funnels=1, leads=10))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_uncompiled_the_same_functions_give_the_same_bytes():
    root = Path(__file__).parents[1]
    script = "from tests.test_funnels import digest_of_a_part; print(digest_of_a_part())"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == digest_of_a_part()
