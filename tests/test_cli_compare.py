"""The command `audit compare`: what it prints, and what it refuses."""

import json

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from tests.audited import AN, BINH, Audited, lead, retracting, said

ENV = {"LEADLEDGER_IDENTIFIER_KEY": bytes(range(32)).hex(), "LEADLEDGER_TOO_COMMON": "3"}
ENV["LEADLEDGER_WORKSPACE_KEY"] = ENV["LEADLEDGER_IDENTIFIER_KEY"]
RULES = """
name = "small"
zone = "Asia/Ho_Chi_Minh"
value = "deal"
[[signal]]
name = "ask"
type = "price_asked"
[[signal]]
name = "deal"
type = "won"
[[score]]
name = "interest"
[[score.earn]]
signal = "ask"
points = 2.5
[[track]]
name = "life"
[[track.stage]]
name = "hot"
[[track.stage]]
name = "won"
kind = "won"
[[track.move]]
to = "won"
from = ["*"]
when = { signal = "deal" }
[[track.move]]
to = "hot"
when = { signal = "ask" }
[[clock]]
name = "answer"
start = { enters = "life.hot" }
stop = { signal = "deal" }
within = "1d"
[[funnel]]
name = "sale"
[[funnel.step]]
signal = "ask"
[[funnel.step]]
signal = "deal"
[[segment]]
name = "keen"
where = { score = "interest", at_least = 2 }
"""


@pytest.fixture
def store(tmp_path, clock):
    """An asks for the price (2) and buys (3); Binh asks (4), and it is taken back (5)."""
    made = Audited(f"sqlite:///{tmp_path}/facts.db", clock)
    made.publish(RULES)
    made.tell(said("e-2", "price_asked", AN, hour=1))
    made.tell(said("e-3", "won", AN, hour=2, amount={"minor": 1234567, "currency": "VND"}))
    made.tell(said("e-4", "price_asked", BINH, hour=1))
    made.tell(retracting("e-5", "e-4"))
    yield made
    made.close()


def run(store, *words):
    return CliRunner().invoke(
        cli, ["audit", "compare", *words, "--db", str(store.facts.path)], env=ENV
    )


def table(text):
    """The cells of each row; lines of one cell are joined."""
    return [line.split() for line in text.splitlines() if line.strip() and "─" not in line]


AS_OF = ("--as-of", "2026-03-01T20:00:00Z")


def test_the_tables_say_what_differs_and_what_did_it(store):
    done = run(store, "2", "3", *AS_OF)
    assert (done.exit_code, done.stderr) == (0, "")
    name = lead(AN)[:8]
    between = "between #2 and #3, as of 2026-03-02 03:00 Asia/Ho_Chi_Minh"
    assert table(done.stdout) == [
        f"What differs of all leads {between}".split(),
        "figure before after because of".split(),
        "funnel.sale.2 0 1 #3".split(),
        "pipeline.life.hot.leads 1 0 #3".split(),
        "pipeline.life.hot.won 0 1 #3".split(),
        "pipeline.life.won 0 1 #3".split(),
        "pipeline.life.won.leads 0 1 #3".split(),
        "pipeline.life.won.value.VND – 1.23 M VND #3".split(),
        "pipeline.life.won.won 0 1 #3".split(),
        f"Leads that differ {between}: 1".split(),
        "lead figure before after because of".split(),
        f"{name} clock.answer running: 2026-03-01 08:00:00 – …, due 2026-03-02 08:00:00 "
        "met: 2026-03-01 08:00:00 – 2026-03-01 09:00:00, due 2026-03-02 08:00:00 #3".split(),
        "funnel.sale to step 1, entered 2026-03-01 08:00:00 "
        "to step 2, entered 2026-03-01 08:00:00 #3".split(),
        "outcome.life – won #3".split(),
        "stage.life hot won #3".split(),
        "touchpoints 1 2 #3".split(),
        "value – 1.23 M VND #3".split(),
        "visits.life hot 2026-03-01 08:00:00 hot 2026-03-01 08:00:00 #3".split(),
        "won 2026-03-01 09:00:00".split(),
        "What did it: 1 · times in Asia/Ho_Chi_Minh".split(),
        "at what which happened recorded".split(),
        "#3 touchpoint web e-3 won 2026-03-01 09:00:00 2026-03-02 09:00:00".split(),
    ]


def test_scores_are_told_in_points_and_segments_by_name(store):
    lines = table(run(store, "3", "4", *AS_OF).stdout)
    assert [*"score.interest – 2.5 #4".split()] in lines
    assert [*"segments – keen #4".split()] in lines


def test_a_retraction_is_told_with_what_it_voids_and_rules_by_name(store):
    lines = table(run(store, "4", "5", *AS_OF).stdout)
    assert lines[-1][:6] == ["#5", "retraction", "web", "e-5", "of", "web"]
    lines = table(run(store, "0", "2", *AS_OF).stdout)
    (of_rules,) = (line for line in lines if line[:3] == ["#1", "rule", "set"])
    assert (of_rules[3], of_rules[5:8]) == ("small", ["for", "all", "time"])


def test_of_many_only_so_many_are_listed_and_it_says_so(store):
    done = run(store, "0", "4", "--limit", "1", *AS_OF)
    assert "Leads that differ between #0 and #4" in done.stdout
    assert ": 1 of 2 (--limit)" in done.stdout
    assert "What did it: 1 of 4 (--limit) · times in" in done.stdout
    assert table(done.stdout)[-1][:3] == ["#1", "rule", "set"]  # rarer than touchpoints


def test_one_document_has_all_of_it(store):
    done = run(store, "3", "4", "--json", *AS_OF)
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["known_at"] == [3, 4]
    assert document["as_of"] == "2026-03-01T20:00:00.000000Z"
    (changed,) = document["leads"]
    assert changed["lead"] == lead(BINH)
    assert changed["changes"][-1] == {
        "figure": "visits.life",
        "before": None,
        "after": [{"stage": "hot", "entered": "2026-03-01T01:00:00.000000Z"}],
        "causes": [4],
    }
    (of_all,) = (one for one in document["figures"] if one["figure"] == "leads")
    assert of_all == {
        "figure": "leads",
        "before": 1,
        "after": 2,
        "leads": [lead(BINH)],
        "causes": [4],
    }


def test_what_leaves_no_trace_is_told_so(store):
    done = run(store, "3", "5", *AS_OF)
    assert done.stdout == (
        "no figure differs between #3 and #5, as of 2026-03-02 03:00 Asia/Ho_Chi_Minh\n"
    )


@pytest.mark.parametrize(
    ("then", "now", "position"), [("3", "3", 3), ("99", "100", 5), ("2000-01-01", "2001-01-01", 0)]
)
def test_of_two_that_mean_one_position_there_is_nothing_to_say(store, then, now, position):
    done = run(store, then, now)
    assert done.exit_code == 0
    said_so = f"K1 and K2 both mean #{position}: nothing was recorded in between\n"
    assert done.stdout == said_so


def test_a_later_before_an_earlier_is_refused(store):
    done = run(store, "#4", "#2")
    assert done.exit_code == 2
    assert "K1, #4, comes after K2, #2: name the earlier first." in done.stderr


def test_what_is_no_position_and_no_instant_is_refused(store):
    done = run(store, "4", "yesterday")
    assert done.exit_code == 2
    assert "Invalid value for 'K2'" in done.stderr
    assert "or a position like #4711" in done.stderr


def test_a_store_with_nothing_in_it_has_nothing_to_compare(tmp_path, clock):
    empty = Audited(f"sqlite:///{tmp_path}/facts.db", clock)
    assert (
        run(empty, "1", "2").stdout == "K1 and K2 both mean #0: nothing was recorded in between\n"
    )
    empty.close()


def test_that_there_is_no_store_is_said(tmp_path):
    words = ["audit", "compare", "1", "2", "--db", str(tmp_path / "none.db")]
    done = CliRunner().invoke(cli, words, env=ENV)
    assert done.exit_code == 7
    assert "no database at" in done.stderr
