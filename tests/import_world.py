"""A database, an edge before it, and a folder of files to import into it."""

import json
from dataclasses import dataclass
from pathlib import Path

from engine import mapfile
from engine.edge import Edge
from engine.importer import Imported, import_file
from engine.mapping import RowMapping
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.progress import Progress, quiet
from engine.store.facts import Facts

WORKSPACE = WorkspaceKey(bytes(32))
LEADS = """
name = "leads"
[[touchpoint]]
source = "crm"
event_id = "{id}"
type = "lead_created"
occurred_at = "{at}"
identifiers = [{ kind = "external_id", value = "{id}" }]
personal.name = "{name}"
"""
NO_ID = LEADS.replace('event_id = "{id}"\n', "")
HEADING = "id,at,name\n"


@dataclass
class World:
    """A database, an edge before it, and a folder of files to import."""

    facts: Facts
    edge: Edge
    folder: Path

    def file(self, data: str | bytes, name: str = "rows.csv") -> Path:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def mapping(self, toml: str) -> RowMapping:
        """A mapping from a file, so that it can be found again."""
        path = self.folder / "mapping.toml"
        path.write_text(toml, encoding="utf-8")
        return mapfile.load(str(path))

    def run(
        self,
        path: Path,
        mapping: RowMapping | None = None,
        progress: Progress = quiet,
    ) -> Imported:
        done = import_file(
            self.facts, self.edge, path, mapping, workspace_key=WORKSPACE, progress=progress
        )
        assert done.received == done.recorded + done.duplicates + sum(done.set_aside.values())
        return done

    def ids(self) -> list[str]:
        """The event ids of all that is recorded, sorted."""
        histories = self.facts.histories()
        return sorted(map(histories.event_id, range(len(histories.touches))))

    def reasons(self) -> list[tuple[int, str]]:
        """Line and reason of all that is set aside."""
        return [(item.line, item.reason) for item in self.facts.aside()]

    def conserved(self) -> bool:
        """Whether all that ever came is recorded, a duplicate or set aside."""
        return all(
            one.received == one.recorded + one.duplicates + one.set_aside
            for one in self.facts.intake().values()
        )


def new_world(folder: Path) -> World:
    facts = Facts.open(folder / "facts.db")
    return World(facts, Edge(IdentifierKey(bytes(range(32))), facts.keyring(WORKSPACE)), folder)


def touchpoint(number: int, **more: object) -> str:
    fields = {
        "source": "web",
        "event_id": f"e{number}",
        "type": "page_viewed",
        "occurred_at": "2026-03-01T08:00:00Z",
        "identifiers": [{"kind": "user_id", "value": f"u{number}"}],
    }
    return json.dumps(fields | more) + "\n"


def row(number: int, name: str = "Ánh") -> str:
    return f"{number},2026-03-01T08:00:00Z,{name}\n"


def rows(numbers: range) -> str:
    return "".join(map(row, numbers))
