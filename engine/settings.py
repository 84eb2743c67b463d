"""Settings, read once where a program starts; nothing else looks at the environment.

Keys come from the environment or from a key file beside the database. A new
database gets a new key file; one that is there and has lost its keys is never
given others, because nothing stored would fit them.
"""

import json
import os
import re
import stat
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from engine.errors import (
    BadKey,
    BadSetting,
    KeyFileDamaged,
    KeyFileExposed,
    KeyFileUnwritable,
    KeyMissing,
    NotAStore,
)

DATABASE = "LEADLEDGER_DATABASE_URL"
IDENTIFIER_KEY = "LEADLEDGER_IDENTIFIER_KEY"
WORKSPACE_KEY = "LEADLEDGER_WORKSPACE_KEY"
KEY_FILE = "LEADLEDGER_KEY_FILE"
PHONE_REGION = "LEADLEDGER_PHONE_REGION"
TOO_COMMON = "LEADLEDGER_TOO_COMMON"
METRICS_PORT = "LEADLEDGER_METRICS_PORT"
METRICS_HOST = "LEADLEDGER_METRICS_HOST"
DUE_SOON = "LEADLEDGER_DUE_SOON"
ANNOUNCE_FILE = "LEADLEDGER_ANNOUNCE_FILE"
WEBHOOK_URL = "LEADLEDGER_WEBHOOK_URL"
WEBHOOK_SECRET = "LEADLEDGER_WEBHOOK_SECRET"
WEBHOOK_INSECURE = "LEADLEDGER_WEBHOOK_INSECURE"

_HEAD = b"SQLite format 3\0"  # of a database that is not empty
DEFAULT_PHONE_REGION = "VN"
DEFAULT_TOO_COMMON = 10
DEFAULT_METRICS_HOST = "127.0.0.1"
KEY_BYTES = 32
SHORTEST_SECRET = 32  # characters
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_SQLITE = "sqlite:///"
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_NAMES = {"identifier_key": IDENTIFIER_KEY, "workspace_key": WORKSPACE_KEY}


@dataclass(frozen=True)
class Settings:
    """What a program needs to know before it does anything."""

    database_url: str
    identifier_key: bytes = field(repr=False)
    workspace_key: bytes = field(repr=False)
    key_file: Path | None = None  # None: no file, the keys are from the environment
    phone_region: str = DEFAULT_PHONE_REGION  # where a phone number without + is read
    too_common: int = DEFAULT_TOO_COMMON  # with more of one strong kind an identifier names nobody
    metrics_port: int | None = None  # None: a process that runs long shows no metrics
    metrics_host: str = DEFAULT_METRICS_HOST  # the address where it listens

    @classmethod
    def load(cls, environ: Mapping[str, str], database: str | None = None) -> Self:
        """The settings of an environment; `database` is a URL and outweighs the environment's.

        Makes the key file of a database that is not there yet.

        Raises:
            BadSetting, BadKey: A value cannot be used.
            KeyFileExposed, KeyFileDamaged, KeyMissing: So it is with the keys.
            NotAStore: They are missing, and the file is no database that they could be of.
        """
        url = database_url(environ, database)
        file = _key_file(environ, url)
        given = {
            name: _parse_key(variable, environ[variable])
            for name, variable in _NAMES.items()
            if environ.get(variable)
        }
        keys = {**_stored_keys(url, file, given), **given}
        return cls(
            database_url=url,
            identifier_key=keys["identifier_key"],
            workspace_key=keys["workspace_key"],
            key_file=file,
            phone_region=_region(environ),
            too_common=_too_common(environ),
            metrics_port=_port(environ),
            metrics_host=environ.get(METRICS_HOST) or DEFAULT_METRICS_HOST,
        )


@dataclass(frozen=True)
class AnnounceSettings:
    """What is announced besides what rules say, and where it goes on this machine."""

    due_soon_us: int | None = None  # before a clock's time is up; None: that is not announced
    file: Path | None = None  # of JSON Lines
    webhook_url: str | None = field(default=None, repr=False)
    webhook_secret: bytes = field(default=b"", repr=False)
    webhook_insecure: bool = False  # whether it may be reached without TLS

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """The settings of an environment.

        Raises:
            BadSetting: A value cannot be used, or a webhook has no secret.
        """
        url = environ.get(WEBHOOK_URL) or None
        return cls(
            due_soon_us=_duration_us(environ),
            file=Path(environ[ANNOUNCE_FILE]) if environ.get(ANNOUNCE_FILE) else None,
            webhook_url=url,
            webhook_secret=_webhook_secret(environ) if url else b"",
            webhook_insecure=_yes(environ, WEBHOOK_INSECURE),
        )


def make_key_file(path: Path, names: Collection[str] = tuple(_NAMES)) -> dict[str, bytes]:
    """Make a key file with fresh keys, for its owner alone, and give the keys.

    Where another process was faster its file stands, and its keys are given.

    Raises:
        KeyFileUnwritable: Its folder does not let it be made.
        KeyFileExposed, KeyFileDamaged: The one that stands there cannot be used.
    """
    keys = {name: os.urandom(KEY_BYTES) for name in names}
    try:
        draft = _written_draft(path, {name: key.hex() for name, key in keys.items()})
        try:
            os.link(draft, path)  # whole or not at all, and never over another
        finally:
            draft.unlink()
    except OSError as error:
        if path.exists():
            return _read_key_file(path)
        raise KeyFileUnwritable(path, error.strerror or str(error)) from error
    return keys


def _written_draft(path: Path, document: Mapping[str, str]) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # with mode 0600
    with open(handle, "w", encoding="ascii") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(handle)
    return Path(draft)


def _stored_keys(url: str, file: Path | None, given: Mapping[str, bytes]) -> dict[str, bytes]:
    """The keys that the environment does not give, from the key file."""
    missing = [name for name in _NAMES if name not in given]
    if not missing:
        return {}
    database = database_path(url)
    if file is None and _is_sqlite(url):
        return {name: os.urandom(KEY_BYTES) for name in missing}  # gone with the memory it is in
    if file is not None and file.exists():
        stored = _read_key_file(file)
    elif file is not None and database is not None and not database.exists():
        stored = make_key_file(file, missing)
    else:
        stored = {}
    for name in missing:
        if name not in stored:
            _check_is_database(database)
            raise KeyMissing(name.replace("_", " "), _NAMES[name], file)
    return stored


def _check_is_database(path: Path | None) -> None:
    if path is None or not os.access(path, os.R_OK):
        return
    if path.is_dir():
        raise NotAStore(path, "a folder")
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
    if head != _HEAD:
        raise NotAStore(path, "no SQLite database" if head else "an empty file")


def _read_key_file(path: Path) -> dict[str, bytes]:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise KeyFileDamaged(path, "it cannot be read (it is no file)")
        mode = stat.S_IMODE(mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileExposed(path, mode)
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise KeyFileDamaged(path, f"it cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise KeyFileDamaged(path, "it is no JSON") from error
    if not isinstance(document, dict) or not document.keys() <= _NAMES.keys():
        raise KeyFileDamaged(path, f"it may hold {' and '.join(_NAMES)}, and nothing else")
    return {name: _parse_key(f"{name} in {path}", value) for name, value in document.items()}


def _parse_key(name: str, digits: object) -> bytes:
    """A key of 64 hex digits; errors say how long it is, never what it is."""
    if not isinstance(digits, str):
        raise BadKey(name, "is no text")
    if len(digits) != 2 * KEY_BYTES:
        raise BadKey(name, f"has {len(digits)} characters")
    if set(digits) - _HEX_DIGITS:
        raise BadKey(name, "has other characters than hex digits")
    return bytes.fromhex(digits)


def _key_file(environ: Mapping[str, str], url: str) -> Path | None:
    """Where the keys lie: where the environment says, else beside the database."""
    named = environ.get(KEY_FILE)
    if named:
        return Path(named)
    database = database_path(url)
    return database.with_name(f"{database.name}.keys") if database else None


def _default_url(environ: Mapping[str, str]) -> str:
    data = environ.get("XDG_DATA_HOME", "")
    home = Path(environ.get("HOME") or Path.home())
    folder = Path(data) if Path(data).is_absolute() else home / ".local" / "share"
    return f"{_SQLITE}{folder / 'leadledger' / 'leadledger.db'}"


def database_url(environ: Mapping[str, str], database: str | None = None) -> str:
    """Which database: the one that is named, else the environment's, else that of the user.

    Raises:
        BadSetting: One is named, and the name is empty.
    """
    if database == "":
        raise BadSetting("the database", "has an empty name", "name a file, or leave out --db")
    return database or environ.get(DATABASE) or _default_url(environ)


def _is_sqlite(url: str) -> bool:
    return "://" not in url or url.startswith("sqlite")


def database_path(url: str) -> Path | None:
    """The file of an SQLite URL or of a plain path; None in memory or on a server.

    Raises:
        BadSetting: No file can be called so.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "sqlite", f"/{url}"
    else:
        rest = unquote(rest.partition("?")[0])
    path = rest.removeprefix("/")
    if scheme.partition("+")[0] != "sqlite" or path in ("", ":memory:"):
        return None
    if "\0" in path:
        raise BadSetting("the database", "has a NUL in its name", "name another file")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ~somebody
        raise BadSetting(
            "the database", "lies in the home of nobody known here", "write its path from / on"
        ) from error


def _region(environ: Mapping[str, str]) -> str:
    region = environ.get(PHONE_REGION) or DEFAULT_PHONE_REGION
    if not (len(region) == 2 and region.isascii() and region.isalpha() and region.isupper()):
        raise BadSetting(PHONE_REGION, f"is {region!r}", "write a country as VN or TH")
    return region


def _too_common(environ: Mapping[str, str]) -> int:
    number = environ.get(TOO_COMMON) or str(DEFAULT_TOO_COMMON)
    if not (number.isascii() and number.isdigit() and int(number[:9]) > 0 and len(number) < 9):
        raise BadSetting(TOO_COMMON, f"is {number!r}", "write a number as 10, or leave it out")
    return int(number)


def _port(environ: Mapping[str, str]) -> int | None:
    port = environ.get(METRICS_PORT)
    if not port:
        return None
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 1 << 16):
        raise BadSetting(METRICS_PORT, f"is {port!r}", "write a port as 9464, or leave it out")
    return int(port)


def _duration_us(environ: Mapping[str, str]) -> int | None:
    text = environ.get(DUE_SOON)
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise BadSetting(DUE_SOON, f"is {text!r}", "write a duration as 15m, 2h or 1d")
    return int(found[1]) * _UNITS_S[found[2]] * 1_000_000


def _webhook_secret(environ: Mapping[str, str]) -> bytes:
    """What receivers know announcements by; errors say how long it is, never what it is."""
    secret = environ.get(WEBHOOK_SECRET, "")
    if len(secret) < SHORTEST_SECRET:
        problem = f"has {len(secret)} characters" if secret else "is missing"
        fix = f"set {SHORTEST_SECRET} or more that nobody can guess, and tell them the receiver"
        raise BadSetting(WEBHOOK_SECRET, problem, fix)
    return secret.encode(errors="surrogateescape")


def _yes(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name) or "0"
    if text not in ("0", "1"):
        raise BadSetting(name, f"is {text!r}", "write 1 for yes, or leave it out")
    return text == "1"
