"""The columnar journal: what is read of it is what the store tells, whatever became of it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine.crash import CRASH_AT
from engine.errors import (
    JournalDamaged,
    JournalInterrupted,
    JournalMissing,
    NotAJournal,
    StoreError,
)
from engine.history import TOUCH
from engine.journal import making
from engine.journal.files import ATTRIBUTES, read_frame
from engine.journal.journal import Journal, columns_folded, journal_beside
from engine.rulefile import parse
from engine.store.facts import Facts
from tests.journals import (
    ANN,
    BOB,
    FIRST,
    MORE,
    bucket_with,
    by_lead,
    check_it_tells_what_the_store_does,
    few_leads_fill_many_buckets,
    hashes,
    small_journal,
)
from tests.naive.random_rules import chance
from tests.storing import retraction, seeds_over_each, store, told, touch
from tests.test_identity_properties import people_case
from tests.test_identity_properties import told as telling


@pytest.fixture(autouse=True)
def neighbours_lie_apart(monkeypatch):
    few_leads_fill_many_buckets(monkeypatch)


@pytest.fixture
def world(facts_file, tmp_path):
    """Facts of two people and a computer, and a journal of them."""
    return facts_file, small_journal(facts_file, tmp_path / "facts.journal")


def test_attributes_that_several_touchpoints_have_lie_in_a_journal_once(facts_file, tmp_path):
    both = {"path": "/price", "seconds": 7}
    told = both, {"seconds": 7}, both, {}
    store(facts_file, *(touch(f"a{n}", "email:ann", attributes=one) for n, one in enumerate(told)))
    journal = Journal.open(tmp_path / "journal")
    journal.extend(facts_file)
    kept = read_frame(journal.folder, journal.manifest.buckets[0].files[ATTRIBUTES])
    assert sorted(kept["bits"]) == sorted([7, 7, *facts_file.strings.ids(["/price"])])
    check_it_tells_what_the_store_does(journal, facts_file)


@seeds_over_each(sqlite=25, postgresql=6)
def test_a_journal_extended_now_and_then_tells_what_the_store_does(seed, facts_url, tmp_path):
    random, rules, history, _ = people_case(6000 + seed)
    rules, per_bucket = parse(rules), random.choice([3, 10, 1000])
    journal = Journal.open(tmp_path / "journal")
    with Facts.open(facts_url) as facts:
        for _ in telling(random, facts, history):
            if chance(random, 40):
                journal.extend(facts, per_bucket=per_bucket)
                check_it_tells_what_the_store_does(journal, facts, rules)
        journal.extend(facts, per_bucket=per_bucket)
        check_it_tells_what_the_store_does(journal, facts, rules)


@seeds_over_each(sqlite=15, postgresql=3)
def test_extended_in_any_steps_it_is_what_it_is_made_at_once(seed, facts_url, tmp_path):
    random, _, history, _ = people_case(7000 + seed)
    steps, once = Journal.open(tmp_path / "steps"), Journal.open(tmp_path / "once")
    alone = Journal.open(tmp_path / "one bucket")
    with Facts.open(facts_url) as facts:
        for number, _ in enumerate(telling(random, facts, history)):
            if number == 0 or chance(random, 40):
                steps.extend(facts, per_bucket=4)
                alone.extend(facts)
        for journal in (steps, once):
            journal.extend(facts, per_bucket=4)
        assert by_lead(steps) == by_lead(once)
        alone.extend(facts)
        before = hashes(alone)
        alone.discard()
        alone.extend(facts)
        assert hashes(alone) == before


def test_a_journal_lies_beside_its_facts(tmp_path):
    assert journal_beside(tmp_path / "facts.db") == tmp_path / "facts.journal"


def test_where_there_is_no_journal_nothing_is_read(facts_file, tmp_path):
    journal = Journal.open(tmp_path / "none")
    with pytest.raises(JournalMissing, match=r"no journal in .*none"):
        journal.read(0)
    with pytest.raises(JournalMissing):
        journal.verify(facts_file)


def test_a_journal_of_no_facts_has_one_bucket_with_nobody_in_it(facts_file, tmp_path):
    journal = Journal.open(tmp_path / "journal")
    journal.extend(facts_file)
    assert (journal.position, journal.buckets) == (0, range(1))
    assert (journal.read(0).leads, journal.read(0).starts.tolist()) == ([], [0])
    store(facts_file, *FIRST)
    journal.extend(facts_file)
    check_it_tells_what_the_store_does(journal, facts_file)


def test_a_journal_is_read_where_there_is_no_database(world, tmp_path):
    facts, journal = world
    facts.close()
    for path in tmp_path.glob("facts.db*"):
        path.unlink()
    alone = Journal.open(journal.folder)
    lead = alone.read(bucket_with(alone, ANN))
    rows = told(lead)[ANN]
    assert rows == [(2, "web", "a2"), (1, "web", "a1")]
    assert alone.strings.ids(["google", "unheard of"]) == [lead.touches["campaign_source"][0], 0]


def test_only_columns_that_are_asked_for_are_read(world):
    _, journal = world
    bucket = bucket_with(journal, BOB)
    all_of_it, few = journal.read(bucket), journal.read(bucket, ["occurred_at", "position"])
    assert few.touches["occurred_at"].tolist() == all_of_it.touches["occurred_at"].tolist()
    assert few.positions.tolist() == all_of_it.positions.tolist()
    others = [name for name in TOUCH.names if name != "occurred_at"]
    assert not any(few.touches[name].any() for name in others)
    assert (len(few.attributes), few.event_id(0)) == (0, "")
    assert (len(all_of_it.attributes), all_of_it.event_id(0)) == (2, "b1")


def test_folding_reads_what_conditions_name_and_what_it_always_needs():
    rules = parse(
        'name = "n"\n[[signal]]\nname = "a"\ntype = "won"\ncampaign = { medium = "cpc" }\n'
        '[[signal]]\nname = "b"\n[[signal.any]]\nactor = { kind = "human" }\n'
        '[[signal.any]]\nattributes = { path = "/price" }\n'
    )
    always = {"occurred_at", "amount_minor", "currency", "type", "channel", "attributes"}
    assert columns_folded([rules]) == always | {"campaign_medium", "actor_kind"}


def test_buckets_of_leads_that_nothing_touched_are_left_alone(world):
    facts, journal = world
    before = journal.manifest.buckets
    ann = bucket_with(journal, ANN)
    store(facts, touch("a3", "email:ann", occurred_at=20))
    journal.extend(facts, per_bucket=1)
    kept = [one == other for one, other in zip(before, journal.manifest.buckets, strict=True)]
    assert kept == [number != ann for number in journal.buckets]


def test_a_journal_that_has_outgrown_its_buckets_is_made_with_more(facts_file, tmp_path):
    journal = Journal.open(tmp_path / "journal")
    facts = facts_file
    sizes = []
    for number in range(4):
        store(facts, *(touch(f"{number}-{n}", f"email:{number}-{n}") for n in range(10)))
        journal.extend(facts, per_bucket=10)
        sizes.append(len(journal.buckets))
    store(facts, touch("one more"))
    journal.extend(facts, per_bucket=10)
    assert [*sizes, len(journal.buckets)] == [1, 1, 1, 1, 5]
    check_it_tells_what_the_store_does(journal, facts)


def test_buckets_share_many_leads_about_evenly_neighbours_together(monkeypatch):
    monkeypatch.setattr(making, "TOGETHER", np.uint64(7))
    buckets = making.bucket_of(np.arange(800_000) * 8, 100)
    sizes = np.bincount(buckets, minlength=100)
    assert sizes.min() > 7_000
    assert sizes.max() < 9_000
    assert np.all(buckets.reshape(-1, 16) == buckets[::16, None])


def test_who_reads_a_journal_can_go_on_while_it_is_extended_once(world):
    facts, journal = world
    reader = Journal.open(journal.folder)
    before, old = by_lead(reader), {file.name for file in reader.manifest.files()}
    store(facts, *MORE)
    journal.extend(facts, per_bucket=1)
    assert by_lead(reader) == before
    old -= {file.name for file in journal.manifest.files()}
    store(facts, retraction("r1", "a3"))
    journal.extend(facts, per_bucket=1)
    assert not old & {path.name for path in journal.folder.iterdir()}
    with pytest.raises(JournalDamaged, match=r"leads-1-.*.parquet cannot be read; nothing"):
        by_lead(reader)


def test_progress_tells_how_many_leads_are_done(facts_file, tmp_path):
    store(facts_file, *FIRST)
    said = []
    journal = Journal.open(tmp_path / "journal")
    journal.extend(facts_file, lambda done, total: said.append((done, total)))
    assert said == [(0, 4), (4, 4)]  # all that may be leads: the telephone, too


def test_two_that_extend_a_journal_at_once_take_turns(facts_file, tmp_path):
    store(facts_file, *FIRST)
    both = [Journal.open(tmp_path / "journal") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one.extend, facts_file) for one in both]:
            done.result()
    assert [one.manifest.generation for one in both] == [1, 1]
    check_it_tells_what_the_store_does(both[0], facts_file)


def test_many_buckets_are_shared_among_processes(world, tmp_path, monkeypatch):
    facts, journal = world
    monkeypatch.setattr(making, "FEW", 2)
    shared = Journal.open(tmp_path / "shared")
    shared.extend(facts, per_bucket=1)
    assert hashes(shared) == hashes(journal)
    store(facts, *MORE, touch("b3", "email:bob"))
    for one in (shared, journal):
        one.extend(facts, per_bucket=1)
    assert by_lead(shared) == by_lead(journal)
    check_it_tells_what_the_store_does(shared, facts)


def test_what_goes_wrong_in_another_process_is_told_here(world, tmp_path, monkeypatch):
    facts, _ = world
    monkeypatch.setattr(making, "FEW", 2)
    monkeypatch.setattr(Facts, "path", tmp_path / "gone.db")
    journal = Journal.open(tmp_path / "journal")
    with pytest.raises(StoreError, match=r"no database at .*gone.db"):
        journal.extend(facts, per_bucket=1)


def test_a_process_that_is_killed_leaves_the_journal_as_it_was(world, monkeypatch):
    facts, journal = world
    monkeypatch.setattr(making, "FEW", 2)
    store(facts, *MORE, touch("b3", "email:bob"))
    with monkeypatch.context() as dying:
        dying.setenv(CRASH_AT, "journal.bucket")
        with pytest.raises(JournalInterrupted, match="was killed"):
            journal.extend(facts, per_bucket=1)
    assert Journal.open(journal.folder).position == 4
    check_it_tells_what_the_store_does(journal, facts)
    journal.extend(facts, per_bucket=1)
    check_it_tells_what_the_store_does(journal, facts)


def test_facts_of_two_people_who_turn_out_to_be_one_move_to_one_bucket(world):
    facts, journal = world
    assert bucket_with(journal, ANN) != bucket_with(journal, BOB)
    store(facts, touch("j", "email:ann", "email:bob", type="identity_linked", occurred_at=50))
    journal.extend(facts, per_bucket=1)
    assert BOB not in [lead for bucket in journal.buckets for lead in journal.read(bucket).leads]
    rows = told(journal.read(bucket_with(journal, ANN)))[ANN]
    assert [name for _, _, name in rows] == ["a2", "b1", "a1"]
    store(facts, touch("u", "email:ann", "email:bob", type="identity_unlinked", occurred_at=60))
    journal.extend(facts, per_bucket=1)
    assert [name for _, _, name in told(journal.read(bucket_with(journal, BOB)))[BOB]] == ["b1"]


def test_a_journal_of_other_facts_is_made_anew(world, tmp_path):
    _, journal = world
    with Facts.open(tmp_path / "other.db") as other:
        store(other, *FIRST[1:], *MORE)
        journal.extend(other)
        check_it_tells_what_the_store_does(journal, other)


def test_a_journal_of_leads_told_apart_otherwise_is_made_anew(world):
    facts, journal = world
    facts.too_common += 1
    (difference,) = journal.verify(facts)
    assert (difference.what, difference.position) == ("anchor", 4)
    journal.extend(facts)
    assert journal.manifest.too_common == facts.too_common
    check_it_tells_what_the_store_does(journal, facts)


def test_a_folder_of_something_else_is_left_as_it_is(facts_file, tmp_path):
    theirs = tmp_path / "data"
    theirs.mkdir()
    (theirs / "sales.parquet").write_bytes(b"theirs")
    with pytest.raises(NotAJournal, match=r"it holds .sales\.parquet."):
        Journal.open(theirs).extend(facts_file)
    assert [(path.name, path.read_bytes()) for path in theirs.iterdir()] == [
        ("sales.parquet", b"theirs")
    ]
