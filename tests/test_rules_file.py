"""Rule files: where they are found, and how they are read."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from engine import resources, rulefile
from engine.errors import ResourceMissing, RulesUnreadable
from engine.rulefile import parse


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "a"\r\n')
    assert rulefile.load(path).name == "a"


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    with pytest.raises(RulesUnreadable, match=r"missing\.toml: No such file") as caught:
        rulefile.load(tmp_path / "missing.toml")
    assert (caught.value.code, caught.value.exit_code) == ("rules_unreadable", 4)


def test_fractions_stay_decimals_until_they_are_understood():
    document = rulefile.decode("a = 0.1\nb = 1e99999999999999999999\nc = 2")
    assert document == {"a": Decimal("0.1"), "b": Decimal("inf"), "c": 2}


def test_shipped_rule_sets_are_listed_by_name(tmp_path, monkeypatch):
    for name in ("b.toml", "a.toml", "notes.md"):
        (tmp_path / name).touch()
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path if name == "rules" else None)
    assert rulefile.shipped() == {"a": tmp_path / "a.toml", "b": tmp_path / "b.toml"}
    assert list(rulefile.shipped()) == ["a", "b"]


def test_shipped_data_lies_inside_the_package_or_beside_it(tmp_path, monkeypatch):
    package = tmp_path / "engine"
    monkeypatch.setattr(resources, "PACKAGE", package)
    beside = tmp_path / "rules"
    beside.mkdir()
    assert resources.folder("rules") == beside
    inside = package / "_data" / "rules"
    inside.mkdir(parents=True)
    assert resources.folder("rules") == inside
    with pytest.raises(ResourceMissing, match="mappings"):
        resources.folder("mappings")


def conformance_rule_sets() -> list[str]:
    cases = sorted((Path(__file__).parent / "conformance").rglob("*.json"))
    books = [json.loads(case.read_text("utf-8")).get("book", ()) for case in cases]
    return [entry["rules"] for book in books for entry in book]


def test_every_rule_set_of_the_conformance_cases_is_valid():
    texts = conformance_rule_sets()
    if not texts:
        pytest.skip("tests/conformance holds no cases")
    for text in texts:
        rules = parse(text)
        assert (len(rules.id), len(rules.fold_id)) == (64, 64)
