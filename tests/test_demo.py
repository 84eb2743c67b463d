"""The demo's place: what an earlier demo left goes, and nothing of anybody else."""

import pytest

from engine import demo
from engine.edge import Edge
from engine.errors import NotADemo
from engine.lifecycle import record
from engine.privacy import IdentifierKey
from engine.progress import quiet
from engine.store.facts import Facts
from tests.storing import WORKSPACE_KEY, refused


@pytest.fixture
def place(tmp_path):
    """A folder in which a demo was, and a file beside it."""
    (tmp_path / "leadledger.csv").touch()
    with Facts.open(demo.clean(tmp_path)) as facts:
        edge = Edge(IdentifierKey(bytes(32)), facts.keyring(WORKSPACE_KEY))
        demo.record_sample(facts, edge, WORKSPACE_KEY, (7, 3), quiet)
    return tmp_path


def test_a_demo_takes_the_place_of_an_earlier_one_alone(place):
    demo.clean(place)
    assert [path.name for path in place.iterdir()] == ["leadledger.csv"]


def test_a_database_of_anybody_is_not_taken_for_a_demo(place):
    with Facts.open(place / demo.FILE) as facts:
        record(facts, [refused(b"{}")], workspace_key=WORKSPACE_KEY)

    with pytest.raises(NotADemo, match="--folder"):
        demo.clean(place)

    with Facts.open(place / demo.FILE, create=False) as facts:
        assert len(facts.aside()) == 1
