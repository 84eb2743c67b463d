"""Sending: every sink takes every announcement, in order, at least once, whatever dies."""

import json
import logging
import os
import signal
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from engine import metrics
from engine.errors import AnnouncerOvertaken, SinkAway
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.settings import IDENTIFIER_KEY, WORKSPACE_KEY
from engine.sinks import sending as sending_module
from engine.sinks.sending import send_some, sending
from engine.store import announcements as ledger
from engine.store.announcements import Placed
from engine.store.facts import Facts, system_clock
from engine.store.rulebook import WrittenRules
from tests import replaying
from tests.read_side import DAY, RULES
from tests.receiving import SECRET, announcement, receiver
from tests.services.process import free_port, wait_until
from tests.shop import SMALL, Shop, about
from tests.storing import Clock

KEYS = {IDENTIFIER_KEY: "11" * 32, WORKSPACE_KEY: "22" * 32}
INVOKE = "from engine.cli.main import cli; cli()"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "told.jsonl"


def numbers_in(path):
    return [json.loads(one)["number"] for one in path.read_text().splitlines()]


@pytest.fixture
def hook():
    made = receiver()
    yield made
    made.close()
    assert made.problems == []


@pytest.fixture
def told(facts):
    """Facts in whose ledger a function puts so many more announcements."""
    facts.publish(WrittenRules(SMALL.id, "small", RULES))

    def tell(count):
        with facts.transaction() as connection:
            begun = ledger.last_number(connection)
            made = [announcement(begun + nth) for nth in range(1, count + 1)]
            ledger.append(connection, [Placed(one, one.number, 1) for one in made])

    return facts, tell


# From the ledger


class List:
    """A sink that takes so many at a time, or nothing."""

    name = "list"

    def __init__(self, most=3):
        self.most, self.took, self.away = most, [], 0

    def send(self, messages):
        if self.away:
            self.away -= 1
            raise SinkAway(self.name, "on purpose")
        some = messages[: self.most]
        self.took += [told.number for told, _ in some]
        return len(some)

    def close(self):
        self.took.append("closed")


def test_a_sink_takes_what_is_told_from_where_it_is_itself(told):
    facts, tell = told
    tell(5)
    sink = List()
    while send_some(facts, sink):
        pass
    tell(1)
    other = List(most=100)
    for one in (sink, other):
        while send_some(facts, one):
            pass
        other.name = "other"
    assert sink.took == [1, 2, 3, 4, 5, 6]
    assert List().took == []


def test_what_is_not_noted_is_sent_again_in_order(told, monkeypatch):
    facts, tell = told
    tell(4)
    sink = List()

    def die(place):
        raise RuntimeError(place)

    monkeypatch.setattr(sending_module, "reached", die)
    with pytest.raises(RuntimeError, match=r"sink\.list"):
        send_some(facts, sink)
    monkeypatch.undo()
    while send_some(facts, sink):
        pass
    assert sink.took == [1, 2, 3, 1, 2, 3, 4]


def test_whoever_was_overtaken_does_not_note_what_it_sent(told):
    facts, tell = told
    tell(4)

    class Slow(List):
        def send(self, messages):
            if not self.took:
                self.took.append("slow")
                send_some(facts, List())
            return super().send(messages)

    with pytest.raises(AnnouncerOvertaken, match="how far the list is"):
        send_some(facts, Slow())


@pytest.fixture
def registry(monkeypatch):
    fresh = CollectorRegistry()
    monkeypatch.setattr(metrics, "_measures", None)
    metrics.measure(fresh)
    return lambda name: fresh.get_sample_value(f"leadledger_sink_{name}", {"sink": "list"})


def test_what_is_away_is_tried_again_and_told_once(told, facts_url, monkeypatch, registry, caplog):
    caplog.set_level(logging.INFO)
    _, tell = told
    monkeypatch.setattr(sending_module, "FIRST_REST_S", 0.01)
    monkeypatch.setattr(sending_module, "LONGEST_REST_S", 0.02)
    monkeypatch.setattr(sending_module, "LOOK_EVERY_S", 0.02)
    sink = List()
    sink.away = 5
    tell(4)
    with sending([lambda: sink], lambda: Facts.open(facts_url)) as look:
        assert wait_until(lambda: len(sink.took) == 4, seconds=30)
        assert registry("retries_total") == 5
        tell(1)
        look(True)
        assert wait_until(lambda: len(sink.took) == 5, seconds=30)
        assert wait_until(lambda: registry("lag_announcements") == 0, seconds=30)
    assert sink.took == [1, 2, 3, 4, 5, "closed"]
    assert registry("lag_seconds") == 0
    said = [one.message for one in caplog.records if "sink list" in one.message]
    assert [one.split("(")[0] for one in said] == [
        "the sink list does not take announcements ",
        "the sink list takes announcements again",
    ]


def test_what_ends_a_sender_is_raised_where_it_is_asked_for(told, facts_url):
    _, tell = told
    tell(1)

    class Broken(List):
        def send(self, messages):
            raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        sending([Broken], lambda: Facts.open(facts_url)) as look,
    ):
        wait_until(lambda: look(False), seconds=10)


# As a process


def announce(folder, *words, crash_at="", code=0, **more):
    """`leadledger announce --once` over the facts in a folder."""
    environ = {**os.environ, **KEYS, "LEADLEDGER_CRASH_AT": crash_at, **more}
    command = [sys.executable, "-c", INVOKE, "announce", "--once", "--db", str(folder / "facts.db")]
    ran = subprocess.run([*command, *words], env=environ, capture_output=True, text=True)
    assert ran.returncode == code, ran.stderr
    return ran


@pytest.fixture
def office(tmp_path):
    """A shop on disk, in which announcing has begun."""
    shop = Shop(tmp_path)
    shop.facts.clock = Clock(DAY)
    first, second = (bytes.fromhex(key) for key in KEYS.values())
    shop.facts.check_keys(IdentifierKey(first), WorkspaceKey(second))
    shop.publish(RULES)
    announce(tmp_path)
    shop.record(about(1, DAY), about(2, DAY, type="price_asked"))
    yield shop
    shop.close()


def test_a_replay_announces_and_sends_nothing(office, tmp_path, path):
    # given what the file gets of some leads live
    def sent():
        announce(tmp_path, "--file", str(path))
        return len(numbers_in(path))

    live = sent()
    assert live > 0
    # when rules by which one went cold earlier are replayed, put in force and out again
    office.facts.clock = system_clock
    run = replaying.start(office)
    after = [sent()]
    replaying.promote(office, run)
    assert replaying.states(office) == ["promoted"]
    after.append(sent())
    replaying.revert(office, run)
    # then it gets nothing of that, and goes on with what comes about
    assert [*after, sent()] == [live] * 3
    office.record(about(3, system_clock()))
    assert sent() > live


PLACES = ["folded", "told", "moved", "kept"]


@pytest.mark.parametrize("place", [*(f"announcer.{one}" for one in PLACES), "sink.file"])
def test_killed_anywhere_the_next_run_tells_the_rest_and_the_file_has_each_once(
    office, tmp_path, path, place
):
    announce(tmp_path, "--file", str(path), crash_at=place, code=-signal.SIGKILL)
    told = json.loads(announce(tmp_path, "--file", str(path), "--json").stdout)["told"]
    assert numbers_in(path) == [*range(1, len(numbers_in(path)) + 1)]
    names = [json.loads(one)["name"] for one in path.read_text().splitlines()]
    assert {"life.visitor", "life.mql"} <= {*names}
    assert (sum(told.values()) == 0) is (place in ("announcer.kept", "sink.file"))
    with office.facts.snapshot() as connection:
        assert ledger.last_number(connection) == len(names) == len({*path.read_text().splitlines()})


def test_killed_after_a_webhook_took_it_the_next_run_sends_it_again_under_its_id(
    office, tmp_path, hook
):
    more = {"LEADLEDGER_WEBHOOK_URL": hook.url, "LEADLEDGER_WEBHOOK_SECRET": SECRET}
    announce(tmp_path, crash_at="sink.webhook", code=-signal.SIGKILL, **more)
    first = len(hook.heard)
    announce(tmp_path, **more)
    assert hook.heard[:first] == hook.heard[first : 2 * first]
    assert len(hook.heard) == 2 * first > 0


def test_a_sink_that_is_away_ends_one_run_with_its_code_and_the_next_catches_up(
    office, tmp_path, path
):
    port = free_port()
    more = {
        "LEADLEDGER_WEBHOOK_URL": f"http://127.0.0.1:{port}/hook?of=ours",
        "LEADLEDGER_WEBHOOK_SECRET": SECRET,
    }
    ran = announce(tmp_path, "--file", str(path), code=7, **more)
    assert "the sink webhook does not take announcements (127.0.0.1" in ran.stderr
    assert SECRET not in ran.stderr
    hook = receiver(port)
    announce(tmp_path, "--file", str(path), **more)
    assert hook.numbers == numbers_in(path)
    hook.close()


def test_a_rebuild_sends_nothing_through_a_sink_that_got_something_live(office, tmp_path, path):
    announce(tmp_path, "--file", str(path))
    live = numbers_in(path)
    assert len(live) > 0
    environ = {**os.environ, **KEYS, "LEADLEDGER_ANNOUNCE_FILE": str(path)}
    rebuild = [sys.executable, "-c", INVOKE, "rebuild", "--db", str(tmp_path / "facts.db")]
    subprocess.run(rebuild, env=environ, check=True, capture_output=True)
    announce(tmp_path, "--file", str(path))
    assert numbers_in(path) == live


def test_one_announces_until_it_is_stopped_and_others_stand_by(office, tmp_path, path):
    environ = {**os.environ, **KEYS}
    command = [sys.executable, "-c", INVOKE, "announce", "--db", str(tmp_path / "facts.db")]
    log = tmp_path / "log"
    with log.open("w") as said:
        process = subprocess.Popen([*command, "--file", str(path)], env=environ, stderr=said)
    try:
        assert wait_until(lambda: path.exists() and len(numbers_in(path)) > 0)
        refusal = announce(tmp_path, code=3)
        assert "another process announces" in refusal.stderr
        before = len(numbers_in(path))
        office.record(about(3, DAY))
        assert wait_until(lambda: len(numbers_in(path)) > before)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
    assert "announcing for" in log.read_text()


@pytest.mark.services
def test_cut_off_from_its_server_it_comes_back_and_misses_nothing(
    postgres, database, tmp_path, path
):
    shop = Shop(database)
    shop.facts.clock = Clock(DAY)
    first, second = (bytes.fromhex(key) for key in KEYS.values())
    shop.facts.check_keys(IdentifierKey(first), WorkspaceKey(second))
    shop.publish(RULES)
    command = [sys.executable, "-c", INVOKE, "announce", "--db", database, "--file", str(path)]
    log = tmp_path / "log"
    with log.open("w") as said:
        process = subprocess.Popen(command, env={**os.environ, **KEYS}, stderr=said)
    try:
        assert wait_until(lambda: "announcing begins" in log.read_text())
        for number in range(1, 4):
            shop.record(about(number, DAY))
            assert wait_until(lambda number=number: told_in(path, "life.visitor") == number)
            postgres.terminate_backends(database)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        shop.close()
    assert numbers_in(path) == [*range(1, len(numbers_in(path)) + 1)]


def told_in(path, name):
    """How often something was told by now."""
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(json.loads(one)["name"] == name for one in lines)
