"""Replays whose process is killed anywhere, and readers that look on all the while."""

import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from engine import replay
from engine.book import Book
from engine.crash import CRASH_AT
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.projections.projection import PROJECTIONS
from engine.projections.runner import book_known, bring_up_to_date, derive_leads
from engine.replay_runs import standing
from engine.store.facts import system_clock
from tests.checksums import Sight, read_seen, sum_of, watch
from tests.faults import replaying
from tests.read_side import DAY
from tests.replaying import (
    WARM,
    drop,
    in_force,
    nine_leads,
    promote,
    revert,
    shadow_of,
    start,
    states,
)
from tests.services.process import wait_until
from tests.shop import COLD_SOON, OTHER, SMALL, about, retraction, tables_of
from tests.test_follower import following
from tests.test_project_process import KEYS
from tests.warm import Warm

MODULE = "tests.faults.replaying"
LATE = ("engine.replay", "engine.store.postgres", "engine.store.sqlite", "engine.service")
CAUGHT_UP = ("runner.derived", "runner.moved", "runner.replaced", "runner.kept")
FILLING = (
    *("replay.rules", "replay.begun", "replay.derived", "replay.derived:3", "replay.added"),
    *("replay.added:2", "replay.added:3", "replay.filled", "replay.filled:3", "replay.full"),
    *CAUGHT_UP,
    *("replay.caught_up", "replay.ready"),
)
SWITCHING = (  # what is in force is caught up, then what will be, and once more in the end
    *("runner.moved", "runner.kept", "runner.derived:2", "runner.replaced:2", "runner.kept:2"),
    *("replay.meant", "replay.published", "replay.switched", "runner.moved:3", "runner.kept:3"),
)
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def warm():
    """Forks replays off."""
    made = Warm(MODULE, "engine.cli.replay", *LATE)
    yield made
    made.close()


class Place:
    """A shop with nine leads, and processes that replay their history."""

    def __init__(self, warm, shop, url, folder):
        self.shop, self._warm, self._url, self._folder = shop, warm, url, folder
        keys = [bytes.fromhex(key) for key in KEYS.values()]
        shop.facts.check_keys(IdentifierKey(keys[0]), WorkspaceKey(keys[1]))
        shop.facts.clock = system_clock
        self.rules = folder / "rules.toml"
        self.rules.write_text(COLD_SOON)
        self._new = iter(range(100, 10_000))

    def begin(self, command, crash_at=""):
        """Start a process that does something with a replay; its pid."""
        environ = {
            **KEYS,
            "LEADLEDGER_DATABASE_URL": self._url,
            replaying.COMMAND: command,
            CRASH_AT: crash_at,
        }
        return self._warm.start(MODULE, environ, self._folder / "log")

    def ends(self, pid):
        """How a process ends."""
        assert wait_until(lambda: pid in self._warm.codes, 60), self.said()
        return self._warm.codes.pop(pid)

    def run(self, command, crash_at=""):
        """The exit code of a process that does something with a replay."""
        return self.ends(self.begin(command, crash_at))

    def said(self):
        return (self._folder / "log").read_text()

    def record(self):
        """Something new, something late, something void."""
        new = next(self._new)
        self.shop.record(
            about(new, 9 * DAY), about(2, 8 * DAY, event_id=f"late {new}"), about(4, new)
        )
        self.shop.record(retraction(f"4-{new}"))

    def finish(self):
        """Go on with what was killed; start anew where not even its row was written."""
        there = standing(self.shop.facts, self.shop.models)
        command = f"start {self.rules}"
        if there:
            command = "resume"
            if there[0].state == "ready":
                return
            assert there[0].state == "interrupted"
        assert self.run(command) == 0, self.said()

    def holds(self):
        """What readers see is whole, and of the rules in force, whatever was killed."""
        found, book = in_force(self.shop), book_known(self.shop.facts)
        return found is not None and self.shop.told_truly(found, book.until(found.settled_to))


@pytest.fixture
def place(warm, shop, facts_url, tmp_path, monkeypatch):
    """Nine leads at day 10, and what is late for them."""
    return Place(warm, nine_leads(shop, monkeypatch), facts_url, tmp_path)


# Killed


@pytest.mark.parametrize("at", FILLING)
def test_killed_while_it_fills_it_ends_with_the_same_rows(place, at):
    place.record()
    assert place.run(f"start {place.rules}", at) == KILLED, place.said()
    assert place.holds()
    place.record()
    place.finish()
    (run,) = standing(place.shop.facts, place.shop.models)
    assert (run.state, run.done) == ("ready", run.total)
    assert place.shop.told_truly(shadow_of(place.shop, run), Book.always(OTHER))
    assert place.holds()
    assert place.run("promote") == 0, place.said()
    assert (in_force(place.shop).number, place.holds()) == (run.generation, True)


def test_killed_at_every_place_in_turn_it_ends_with_the_same_rows(place):
    for at in FILLING[1:]:
        place.record()
        there = standing(place.shop.facts, place.shop.models)
        command = "resume" if there else f"start {place.rules}"
        if there and there[0].state == "ready":
            break
        assert place.run(command, at) in (KILLED, 0), place.said()
        assert place.holds()
    place.finish()
    (run,) = standing(place.shop.facts, place.shop.models)
    assert place.shop.told_truly(shadow_of(place.shop, run), Book.always(OTHER))


def test_killed_at_any_moment_it_ends_with_the_same_rows(place):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance, kills = random.Random(seed), 0
    while not (there := standing(place.shop.facts, place.shop.models)) or (
        there[0].state != "ready" and kills < 8
    ):
        pid = place.begin("resume" if there else f"start {place.rules}")
        time.sleep(chance.uniform(0.1, 0.5))
        place.record()
        subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)
        place.ends(pid)
        kills += 1
        assert place.holds()
    place.finish()
    (run,) = standing(place.shop.facts, place.shop.models)
    assert place.shop.told_truly(shadow_of(place.shop, run), Book.always(OTHER))


@pytest.mark.parametrize("at", SWITCHING)
@pytest.mark.parametrize("what", ["promote", "revert"])
def test_killed_while_it_switches_it_has_switched_or_has_not(place, what, at):
    shop = place.shop
    run = start(shop)
    before, after = (SMALL, OTHER), ("ready", "promoted")
    if what == "revert":
        run = promote(shop, run)
        before, after = (OTHER, SMALL), ("promoted", "reverted")
    place.record()
    code = place.run(what, at)
    assert code == KILLED or (code == 0 and at.endswith((":2", ":3"))), place.said()
    switched = book_known(shop.facts).id == before[1].id
    assert book_known(shop.facts).id == before[switched].id
    assert states(shop) == [after[switched]]
    assert place.holds()
    if not switched:
        assert place.run(what) == 0, place.said()
    bring_up_to_date(shop.facts, shop.models, shop.facts.clock())
    assert states(shop) == [after[1]]
    assert in_force(shop).number == {"promote": run.generation, "revert": 1}[what]
    assert place.holds()
    drop(shop, run)
    assert place.holds()


@pytest.mark.parametrize("what", ["cancel", "drop"])
def test_killed_while_it_ends_one_it_leaves_nothing_that_stays(place, what):
    shop = place.shop
    start(shop, stopping=lambda: True)
    assert place.run(what, "replay.ended") == KILLED, place.said()
    assert states(shop) == [{"cancel": "cancelled", "drop": "dropped"}[what]]
    assert place.holds()
    shop.rebuild(shop.facts.clock())
    assert {name.rpartition("_")[2] for name in tables_of(shop.models)} == {"3"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_pauses_and_says_how_to_go_on(place, number):
    shop = place.shop
    pid = place.begin(f"start {place.rules}", "replay.filled:1:stop")
    assert wait_until(lambda: [run.done for run in standing(shop.facts, shop.models)] == [3])
    assert states(shop) == ["running"]
    for one in (number, signal.SIGCONT):
        subprocess.run(["kill", f"-{one}", str(pid)], check=True)
    assert place.ends(pid) == 130
    assert states(shop) == ["paused"]
    assert "leadledger replay resume 1" in place.said()
    assert place.run("resume") == 0
    assert states(shop) == ["ready"]


# Readers


@contextmanager
def looked_on(shop, url, folder, seen):
    """Readers in threads and in a process, for as long as the block lasts."""
    now, stop, file = shop.facts.clock(), threading.Event(), folder / "seen"
    command = [sys.executable, "-m", "tests.checksums", url, str(now), str(file)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(watch, url, now, stop.is_set) for _ in range(2)]
        try:
            assert process.stdout.readline() == "looking\n"
            yield
        finally:
            stop.set()
            process.communicate("\n", timeout=60)
        seen += [reader.result() for reader in readers]
    seen.append(read_seen(file))


def test_readers_see_the_rows_of_one_book_or_the_other_and_never_a_mix(
    shop, facts_url, tmp_path, monkeypatch
):
    nine_leads(shop, monkeypatch)
    seen, numbers = [], iter(range(100, 1000))

    def traffic(*_):
        for _ in range(3):
            new = next(numbers)
            shop.record(about(new, 9 * DAY), about(3, 7 * DAY, event_id=f"late {new}"))
            time.sleep(0.02)

    with looked_on(shop, facts_url, tmp_path, seen), following(shop):
        run = start(shop, progress=traffic)
        for switch in (promote, revert, promote, revert, promote):
            traffic()
            run = switch(shop, run)
            traffic()
        other = start(shop, WARM, progress=traffic)
        promote(shop, other)
        drop(shop, run)
        traffic()
        revert(shop, other)
        traffic()
    assert sum(one.missed for one in seen) == 0
    assert min(one.looks for one in seen) > 10
    sights = set().union(*(one.sights for one in seen))
    rules = {parsed.id: parsed for parsed in (SMALL, OTHER, replay.parse(WARM))}
    assert {sight.book for sight in sights} == rules.keys()
    leads = shop.facts.lead_numbers()
    for book, settled_to, checkpoint, digest in sights:
        stand = settled_to, PROJECTIONS, checkpoint
        tables = derive_leads(shop.facts, leads, Book.always(rules[book]), *stand)
        assert sum_of(tables) == digest, Sight(book, settled_to, checkpoint, digest)
