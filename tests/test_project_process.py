"""`leadledger project` as real processes: stopped, killed, cut off, and nothing is missed."""

import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from engine.privacy import IdentifierKey, WorkspaceKey
from engine.projections.runner import rebuild
from engine.settings import IDENTIFIER_KEY, WORKSPACE_KEY
from engine.store.facts import system_clock
from tests.read_side import DAY
from tests.services.process import wait_until
from tests.shop import Shop, about
from tests.test_follower import rows_of

KEYS = {IDENTIFIER_KEY: "11" * 32, WORKSPACE_KEY: "22" * 32}
INVOKE = "from engine.cli.main import cli; cli()"


class Workplace:
    """A database, and processes that follow it."""

    def __init__(self, url, folder):
        self.url, self.folder = url, folder
        self.shop = Shop(url)
        self.shop.facts.clock = system_clock
        keys = [bytes.fromhex(key) for key in KEYS.values()]
        self.shop.facts.check_keys(IdentifierKey(keys[0]), WorkspaceKey(keys[1]))
        self._started = []

    def start(self):
        """A process that follows, once it says what it does."""
        log = self.folder / f"{len(self._started)}.log"
        with log.open("w") as file:
            command = [sys.executable, "-c", INVOKE, "project", "--db", self.url]
            process = subprocess.Popen(command, stderr=file, env={**os.environ, **KEYS})
        self._started.append(process)
        assert wait_until(lambda: process.poll() is not None or "INFO" in log.read_text())
        return process, log

    def record(self, *leads):
        self.shop.record(*(about(lead, DAY) for lead in leads))

    def shows(self, leads):
        return wait_until(lambda: rows_of(self.shop, "leads") == leads)

    def close(self):
        for process in self._started:
            process.kill()
            process.wait()
        self.shop.close()


@pytest.fixture
def workplace(shop, facts_url, tmp_path):
    """`shop` is only there to begin with nothing."""
    with closing(Workplace(facts_url.removeprefix("sqlite:///"), tmp_path)) as opened:
        yield opened


def same_when_rebuilt(shop):
    kept, stand = shop.stored()
    shop.facts.clock = lambda: stand[0]
    rebuild(shop.facts, shop.models, stand[0])
    return shop.stored() == (kept, stand)


def test_killed_it_is_followed_by_another_and_told_to_stop_it_ends_in_order(workplace):
    workplace.record(1, 2)
    first, _ = workplace.start()
    assert workplace.shows(2)
    second, told = workplace.start()
    assert "standing by" in told.read_text()
    first.send_signal(signal.SIGKILL)
    first.wait()
    workplace.record(3)
    assert workplace.shows(3)
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=60) == 0
    assert "following" in told.read_text()
    assert same_when_rebuilt(workplace.shop)


@pytest.mark.services
@pytest.mark.parametrize("facts_url", ["postgresql"], indirect=True)
def test_cut_off_from_its_server_it_comes_back_and_misses_nothing(workplace, postgres):
    process, told = workplace.start()
    for number in range(1, 4):
        workplace.record(number)
        assert workplace.shows(number)
        postgres.terminate_backends(workplace.url)
    workplace.record(4)
    assert workplace.shows(4)
    assert "again in" in told.read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert same_when_rebuilt(workplace.shop)
