"""On which line of a TOML text does each key stand?

`tomllib` does not say. The text is known to be valid here, so a scan of its
tokens is enough; what it does not find has no line.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping

from engine.rulelang.reader import Path

TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\n\[\]{}=,.]"
    r"|[^\s\[\]{}=,.\#\"']+",
    re.DOTALL,
)
END = ("", 0)
Token = tuple[str, int]  # text, line


def locate(text: str) -> Mapping[Path, int]:
    """The line of every key and element, from 1, by its path."""
    try:
        return _Scan(text).lines
    except RecursionError:
        return {}


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of a key; that of the nearest table around it where it has none."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _Scan:
    """One walk over the tokens: headers set the table, `key =` lines add to it."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self.last_index: dict[Path, int] = {}  # of each array of tables
        self.tokens = _tokens(text)
        self.token = next(self.tokens, END)
        table: Path = ()
        while self.token != END:
            if self.token[0] == "[":
                table = self._header()
            elif self.token[0] == "\n":
                self._step()
            else:
                self._pair(table)

    def _step(self) -> Token:
        taken, self.token = self.token, next(self.tokens, END)
        return taken

    def _blank(self) -> None:
        while self.token[0] == "\n":
            self._step()

    def _note(self, path: Path, line: int) -> Path:
        for size in range(1, len(path) + 1):
            self.lines.setdefault(path[:size], line)
        return path

    def _header(self) -> Path:
        line = self._step()[1]
        repeated = self.token[0] == "["
        if repeated:
            self._step()
        *outer, last = self._keys("]")
        while self.token[0] == "]":
            self._step()
        path: Path = ()
        for key in outer:
            path = self._inside((*path, key))
        path = (*path, last)
        if repeated:
            self.last_index[path] = self.last_index.get(path, -1) + 1
        return self._note(self._inside(path), line)

    def _inside(self, path: Path) -> Path:
        return (*path, self.last_index[path]) if path in self.last_index else path

    def _keys(self, end: str) -> list[str]:
        keys = []
        while self.token[0] not in (end, ""):
            token = self._step()[0]
            if token[0] in "\"'":
                keys.append(next(iter(tomllib.loads(f"{token} = 0"))))
            elif token != ".":
                keys.append(token)
        self._step()
        return keys

    def _pair(self, table: Path) -> None:
        line = self.token[1]
        self._value(self._note((*table, *self._keys("=")), line))

    def _value(self, path: Path) -> None:
        if self.token[0] == "[":
            self._array(path)
        elif self.token[0] == "{":
            self._inline(path)
        else:
            while self.token[0] not in ("\n", ",", "]", "}", ""):
                self._step()

    def _array(self, path: Path) -> None:
        self._step()
        self._blank()
        index = 0
        while self.token[0] not in ("]", ""):
            self._value(self._note((*path, index), self.token[1]))
            index += 1
            self._separator()
        self._step()

    def _inline(self, path: Path) -> None:
        self._step()
        self._blank()
        while self.token[0] not in ("}", ""):
            self._pair(path)
            self._separator()
        self._step()

    def _separator(self) -> None:
        self._blank()
        if self.token[0] == ",":
            self._step()
        self._blank()


def _tokens(text: str) -> Iterator[Token]:
    line, seen = 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", seen, match.start())
        seen = match.start()
        if not match[0].startswith("#"):
            yield match[0], line
