"""Pages of docs, read as what they are: tables and blocks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"


class Table(NamedTuple):
    """A table, with the rules that stand above it."""

    section: str
    line: int
    rules: str  # the last TOML, with a name
    heading: list[str]
    rows: list[list[str]]
    rules_before: str = ""  # the TOML above that

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.section}:{self.line}"


def tables(page: Path) -> Iterator[Table]:
    """The tables of a page, from the top."""
    section, rules, before, found = "", "", "", None
    block: list[str] | None = None
    for number, line in enumerate([*page.read_text().splitlines(), ""], start=1):
        if line.startswith("```"):
            if block and block[0] == "```toml":
                named = any(line.startswith("name =") for line in block[1:2])
                name = [] if named else ['name = "example"']
                before, rules = rules, "\n".join([*name, *block[1:]])
            block = [line] if block is None else None
        elif block is not None:
            block.append(line)
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line[1:-1].split("|")]
            if found is None:
                found = Table(section, number, rules, cells, [], before)
            elif set(line) - set("|-"):
                found.rows.append(cells)
            continue
        if found is not None:
            yield found
            found = None
        if block is None and line.startswith("#"):
            section = line.strip("# ")


def starting(page: Path, *words: str) -> list[Table]:
    """The tables whose headings start with these words."""
    return [table for table in tables(page) if table.heading[: len(words)] == list(words)]


def shown(page: Path, language: str) -> list[str]:
    """The blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def quoted(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)
