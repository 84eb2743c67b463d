"""What the store keeps beside the touchpoints: keys, the rule book, who looked."""

import re
import sqlite3
from pathlib import Path

import psycopg
import pytest

from engine.errors import UnknownRuleSet, WrongKey
from engine.privacy import WorkspaceKey, new_key
from engine.rulefile import load, parse, shipped
from engine.store.facts import Facts
from engine.store.in_force import DEFAULT_RULES, book_at
from engine.store.rulebook import WrittenRules
from tests.storing import NOW, WORKSPACE_KEY, retraction, store, told, touch, who


def rules(name):
    return WrittenRules(name * 64, name, f'name = "{name}"')


def test_a_data_key_is_made_once_and_the_same_for_all_who_ask(facts, facts_url):
    keys = facts.keyring(WORKSPACE_KEY).keys(["a", "b", "a"])
    assert sorted(keys) == ["a", "b"]
    assert len(set(keys.values())) == 2
    with Facts.open(facts_url) as other:
        assert other.keyring(WORKSPACE_KEY).keys(["b", "a"]) == keys


def test_two_who_make_the_same_key_at_once_get_one(facts, facts_url):
    one, two = facts.keyring(WORKSPACE_KEY), facts.keyring(WORKSPACE_KEY)
    with Facts.open(facts_url) as other:
        late = other.keyring(WORKSPACE_KEY)
        with other.snapshot():
            other.head()
            keys = one.keys(["a"])
            assert late.keys(["a"]) == keys
    assert two.keys(["a"]) == keys


def test_data_keys_are_stored_wrapped(facts_file):
    keys = facts_file.keyring(WORKSPACE_KEY).keys([f"{number}" for number in range(50)])
    facts_file.close()
    stored = b"".join(path.read_bytes() for path in facts_file.path.parent.iterdir())
    assert not any(key in stored for key in keys.values())


def test_another_workspace_key_opens_no_data_key(facts):
    facts.keyring(WORKSPACE_KEY).keys(["a"])
    with pytest.raises(WrongKey):
        facts.keyring(WorkspaceKey(new_key())).keys(["a"])


def test_a_key_that_nobody_made_is_not_among_the_stored(facts):
    assert facts.keyring(WORKSPACE_KEY).stored(["a"]) == {}


def test_the_book_lists_publications_in_their_order(facts, clock):
    facts.publish(rules("a"))
    clock.now += 5
    facts.publish(rules("b"), effective_at=7)
    facts.publish(rules("a"), effective_at=9)
    told_rules = [(entry.rules_id[0], entry.effective_at) for entry in facts.rule_book()]
    assert told_rules == [("a", None), ("b", 7), ("a", 9)]
    assert [entry.published_at for entry in facts.rule_book()] == [NOW, NOW + 5, NOW + 5]
    assert facts.written_rules("b" * 64) == rules("b")


def test_what_was_known_before_a_publication_is_known_without_it(facts, clock):
    facts.publish(rules("a"))
    store(facts, touch("1"))
    before, instant = facts.head(), clock.now
    clock.now += 10
    facts.publish(rules("b"))
    assert facts.recorded_upto(instant) == before  # though nothing else was recorded since
    assert [entry.rules_id[0] for entry in facts.rule_book(before)] == ["a"]
    assert [entry.rules_id[0] for entry in facts.rule_book(facts.head())] == ["a", "b"]
    assert facts.rule_book(known_at=0) == []
    store(facts, touch("2"))
    assert [rows[0] for (rows, *_) in told(facts.histories()).values()] == [2]


def test_a_rule_set_that_was_never_kept_is_not_found(facts):
    with pytest.raises(UnknownRuleSet):
        facts.written_rules("c" * 64)


def in_force(facts, at):
    """The name of the rules in force."""
    with facts.snapshot() as connection:
        return book_at(connection).at(at).name


def publish(facts, name, effective_at=None):
    text = f'name = "{name}"'
    facts.publish(WrittenRules(parse(text).id, name, text), effective_at)


def test_the_shipped_default_is_in_force_until_something_is(facts):
    default = load(shipped()[DEFAULT_RULES]).name
    assert in_force(facts, NOW) == default
    publish(facts, "later", effective_at=NOW)
    assert (in_force(facts, NOW - 1), in_force(facts, NOW)) == (default, "later")


def test_in_force_is_what_was_published_last_of_all_that_is_effective_by_then(facts):
    publish(facts, "always")
    publish(facts, "late", effective_at=20)
    publish(facts, "early", effective_at=10)
    told_rules = [in_force(facts, at) for at in (0, 9, 10, 19, 20, 30)]
    assert told_rules == ["always", "always", "early", "early", "early", "early"]
    publish(facts, "retroactive")
    assert in_force(facts, 0) == in_force(facts, 30) == "retroactive"


def test_a_book_that_names_rules_which_are_not_kept_says_so(facts):
    publish(facts, "a")
    with facts.transaction() as connection:
        if connection.dialect == "postgresql":  # which would rather keep what is referred to
            connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM rule_sets")
        with pytest.raises(UnknownRuleSet):
            book_at(connection)


def test_who_looked_when_and_why_is_kept(facts, clock):
    facts.log_access("mai", "lead-1", "asked for a copy")
    clock.now += 1
    facts.log_access("tom", "lead-2", "support")
    seen = [(entry.at, entry.who, entry.lead, entry.reason) for entry in facts.accesses()]
    assert seen == [
        (NOW, "mai", "lead-1", "asked for a copy"),
        (NOW + 1, "tom", "lead-2", "support"),
    ]


def test_the_page_of_the_house_names_every_table_that_is_kept(facts_file):
    page = (Path(__file__).parents[1] / "docs/architecture.md").read_text(encoding="utf-8")
    section = page.split("## What is kept")[1].split("\n## ")[0]
    told_tables = [
        name
        for line in section.splitlines()
        if line.startswith("| ")
        for name in re.findall(r"`(\w+)`", line)
    ]
    with facts_file.snapshot() as connection:
        kept = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert sorted(told_tables) == sorted(name for (name,) in kept)


def test_what_was_announced_is_announced_once(facts):
    facts.publish(rules("c"))
    instants = dict.fromkeys(("at", "position", "settled_to", "announced_at"), NOW)
    columns = (
        {"number": 1, "first_position": 1}
        | instants
        | {
            "id": "a" * 64,
            "lead": "b" * 32,
            "first_source": "web",
            "first_event_id": "1",
            "kind": "entered",
            "name": "lifecycle.mql",
            "rules_id": "c" * 64,
            "data": b"",
        }
    )
    insert = (
        f"INSERT INTO announcements ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    )
    with facts.transaction() as connection:
        connection.execute(insert, tuple(columns.values()))
    columns["number"] = 2
    conflicts = (sqlite3.IntegrityError, psycopg.IntegrityError)
    with pytest.raises(conflicts, match=r"announcements[._]id"), facts.transaction() as connection:
        connection.execute(insert, tuple(columns.values()))


def test_what_touchpoints_say_of_who_is_who_is_kept_with_its_retraction(facts):
    ann, cookie, bob = (one.digest for one in who("email:ann", "anonymous_id:c", "email:bob"))
    store(
        facts,
        touch("1", "email:ann"),
        touch("2", "email:ann", "anonymous_id:c"),
        touch("3", "email:ann", "email:bob", type="identity_linked"),
        retraction("4", of="3"),
        retraction("5", of="6"),
    )
    store(facts, touch("6", "email:ann", "email:bob"), retraction("7", of="6"))
    with facts.snapshot() as connection:
        digest = dict(connection.execute("SELECT number, digest FROM streams")).get

        def rows(select):
            found = connection.execute(select).fetchall()
            return sorted((*map(digest, row[:2]), *row[2:]) for row in found)

        named = rows("SELECT identifier, stream, position FROM evidence")
        pairs = rows("SELECT identifier, other, position FROM pairs")
        links = rows("SELECT identifier, other, position, linked, void FROM links")
    first, second = sorted((ann, bob))
    assert named == sorted([(cookie, ann, 2), (second, first, 6)])
    assert pairs == sorted([(ann, bob, 3), (bob, ann, 3)])
    assert links == sorted([(ann, bob, 3, 1, 4), (bob, ann, 3, 1, 4)])


def test_the_first_retraction_holds_and_retracting_it_changes_nothing(facts):
    store(facts, touch("1"), retraction("2", of="1"), retraction("3", of="1"))
    store(facts, retraction("4", of="2"))
    (lead,) = facts.lead_numbers().tolist()
    assert [(row.position, row.void) for row in facts.touchpoints_of(lead)] == [(1, 2)]
