"""`replay diff`: who would stand elsewhere under other rules, since when, and why."""

import csv
import hashlib
import hmac
import io
import json
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from engine import reading
from engine.book import Book
from engine.cli.main import cli
from engine.instants import parse_instant
from engine.projections.database import Models
from engine.reports import funnel, pipeline
from engine.rulefile import parse
from engine.store.facts import Facts, models_of
from engine.whatif.lines import figures, points

KEY = bytes(range(32))
ENV = {"LEADLEDGER_IDENTIFIER_KEY": KEY.hex(), "LEADLEDGER_WORKSPACE_KEY": bytes(32).hex()}
RULES = """
name = "before"
[[signal]]
name = "view"
type = "page_viewed"
[[signal]]
name = "ask"
type = "price_asked"
[[signal]]
name = "call"
type = "call_connected"
[[score]]
name = "heat"
[[score.earn]]
signal = "view"
points = 10
[[track]]
name = "life"
[[track.stage]]
name = "visitor"
[[track.stage]]
name = "hot"
[[track.stage]]
name = "cold"
kind = "parked"
[[track.move]]
to = "hot"
when = { score = "heat", at_least = 20 }
[[track.move]]
to = "visitor"
when = { signal = "view" }
[[track.move]]
to = "cold"
from = ["visitor", "hot"]
after_silence = "10d"
[[clock]]
name = "answer"
start = { signal = "ask" }
stop = { signal = "call" }
within = "1h"
[[segment]]
name = "warm"
where = { score = "heat", at_least = 20 }
[[funnel]]
name = "to_hot"
[[funnel.step]]
signal = "view"
[[funnel.step]]
enters = "life.hot"
"""
DAYS = [f"2026-03-{day:02}T00:00:00.000000Z" for day in range(1, 20)]
LINES = [  # An views on two days; Binh views, then asks; Chi views once
    ("an", "e1", "page_viewed", 0),
    ("an", "e2", "page_viewed", 1),
    ("binh", "e3", "page_viewed", 0),
    ("binh", "e4", "price_asked", 1),
    ("chi", "e5", "page_viewed", 2),
]
FEWER_POINTS = ("points = 10", "points = 8")
SOONER_COLD = ('after_silence = "10d"', 'after_silence = "3d"')
LATER_DUE = ('within = "1h"', 'within = "2h"')
FADING = ('name = "heat"', 'name = "heat"\nhalf_life = "1d"')
WARM_SOONER = (
    'where = { score = "heat", at_least = 20 }',
    'where = { score = "heat", at_least = 10 }',
)


def lead_id(name):
    """The first 32 digits of the keyed digest of kind, namespace (none) and value."""
    return hmac.digest(KEY, f"user_id\x1f\x1f{name}".encode(), "sha256").hex()[:32]


@dataclass
class World:
    """A database of three leads, and commands about it."""

    folder: object

    @property
    def db(self):
        return str(self.folder / "facts.db")

    def run(self, *words):
        return CliRunner(env={**ENV, "LEADLEDGER_DATABASE_URL": self.db}).invoke(cli, words)

    def rules(self, *changes):
        """A file of the rules with some changes."""
        text = RULES
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path = self.folder / f"{len(list(self.folder.glob('*.toml')))}.toml"
        path.write_text(text)
        return str(path)

    def diff(self, *changes, more=(), as_of=DAYS[4]):
        """The JSON document, with the exit code."""
        asked = ("--against", self.rules(), "--as-of", as_of, "--json", *more)
        result = self.run("replay", "diff", self.rules(*changes), *asked)
        return json.loads(result.stdout), result.exit_code


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("whatif"))
    lines = (
        {
            "source": "web",
            "event_id": event_id,
            "type": type_,
            "occurred_at": DAYS[day],
            "identifiers": [{"kind": "user_id", "value": who}],
        }
        for who, event_id, type_, day in LINES
    )
    path = made.folder / "lines.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert made.run("import", str(path)).exit_code == 0
    return made


def by_touchpoint(at, event_id, key):
    name = {"source": "web", "event_id": event_id}
    return {"at": at, "touchpoint": name, "timer": None, "key": key}


def of(document):
    """The leads that differ, by name: where they part, and what differs."""
    names = {lead_id(name): name for name in ("an", "binh", "chi")}
    return {
        names[lead["lead"]]: (lead["parted"], told(lead["differences"]))
        for lead in document["differ"]
    }


def told(differences):
    return {f"{one['what']} {one['name']}": (one["before"], one["after"]) for one in differences}


def test_both_values_are_told_and_the_touchpoint_and_rule_that_part_them(world):
    document, code = world.diff(FEWER_POINTS)
    key = "score.heat.earn[1].points"
    assert code == 5
    assert of(document) == {
        "an": (
            by_touchpoint(DAYS[0], "e1", key),
            {
                "score heat": (20_000_000, 16_000_000),
                "stage life": ("hot", "visitor"),
                "segment warm": (True, False),
            },
        ),
        "binh": (by_touchpoint(DAYS[0], "e3", key), {"score heat": (10_000_000, 8_000_000)}),
        "chi": (by_touchpoint(DAYS[2], "e5", key), {"score heat": (10_000_000, 8_000_000)}),
    }
    assert document["differing_in"] == [
        {"what": "score", "name": "heat", "leads": 3},
        {"what": "stage", "name": "life", "leads": 1},
        {"what": "segment", "name": "warm", "leads": 1},
    ]
    assert document["moves"] == [{"track": "life", "before": "hot", "after": "visitor", "leads": 1}]
    assert document["keys"] == [{"key": key, "leads": 3}]
    assert (document["touchpoints"], document["leads"], document["differing"]) == (5, 3, 3)


def test_where_a_timed_move_parts_them_it_is_named(world):
    document, _ = world.diff(SOONER_COLD)
    timer = {"track": "life", "timer": "after_silence", "move": 3, "rules": "after"}
    parted = {"at": DAYS[4], "touchpoint": None, "timer": timer, "key": "track.life.move[3]"}
    assert of(document) == {
        "an": (parted, {"stage life": ("hot", "cold")}),
        "binh": (parted, {"stage life": ("visitor", "cold")}),
    }


def test_where_time_alone_parts_them_no_touchpoint_is_named(world):
    document, _ = world.diff(FADING, as_of=DAYS[3])
    by_time = {"at": DAYS[3], "touchpoint": None, "timer": None, "key": "score.heat.half_life"}
    assert of(document)["chi"] == (by_time, {"score heat": (10_000_000, 5_000_000)})


def test_a_clock_differs_by_when_it_is_due_and_what_becomes_of_it(world):
    document, _ = world.diff(LATER_DUE, as_of="2026-03-02T01:30:00Z")
    run = {"started": DAYS[1], "ended": None}
    assert of(document) == {
        "binh": (
            by_touchpoint(DAYS[1], "e4", "clock.answer.within"),
            {
                "clock answer": (
                    [{**run, "due": "2026-03-02T01:00:00.000000Z", "state": "breached"}],
                    [{**run, "due": "2026-03-02T02:00:00.000000Z", "state": "running"}],
                )
            },
        )
    }


def test_a_segment_that_asks_otherwise_parts_them_where_the_first_is_in_it(world):
    document, _ = world.diff(WARM_SOONER)
    assert of(document) == {
        "binh": (
            by_touchpoint(DAYS[0], "e3", "segment.warm.where"),
            {"segment warm": (False, True)},
        ),
        "chi": (
            by_touchpoint(DAYS[2], "e5", "segment.warm.where"),
            {"segment warm": (False, True)},
        ),
    }


def test_scores_differ_by_more_than_a_number_of_points(world):
    assert [*of(world.diff(FEWER_POINTS, more=("--points", "2"))[0])] == ["an"]
    assert [*of(world.diff(FEWER_POINTS, more=("--points", "1.999999"))[0])] == [
        "an",
        "binh",
        "chi",
    ]
    result = world.run("replay", "diff", world.rules(), "--points", "1.0000001")
    assert (result.exit_code, "up to 6 decimals" in result.stderr) == (2, True)


def test_what_only_one_set_has_is_listed_and_is_no_change(world):
    document, code = world.diff(
        ('name = "heat"', 'name = "warmth"'),
        ('score = "heat"', 'score = "warmth"'),
        ('name = "warm"\n', 'name = "keen"\n'),
        ('name = "cold"', 'name = "asleep"'),
        ('to = "cold"', 'to = "asleep"'),
    )
    assert (document["differ"], code) == ([], 0)
    assert document["only_before"] == ["score heat", "stage life.cold", "segment warm"]
    assert document["only_after"] == ["score warmth", "stage life.asleep", "segment keen"]


def test_the_same_rules_by_another_name_differ_in_nothing(world):
    document, code = world.diff(('name = "before"', 'name = "after"'))
    assert (document["differ"], document["keys"], code) == ([], [], 0)
    assert document["pipeline"]["before"] == document["pipeline"]["after"]


def test_figures_before_and_after_are_those_of_the_reports(world):
    document, _ = world.diff(FEWER_POINTS)
    with Facts.open(world.db) as facts:
        models = Models.open(models_of(facts.path))
        for side, text in (("before", RULES), ("after", RULES.replace(*FEWER_POINTS))):
            book = Book.always(parse(text))
            asked = reading.Question(book, parse_instant(DAYS[4]), book, parse_instant(DAYS[4]))
            frames = reading.frames(facts, models, asked)
            assert plain(pipeline.report(frames)) == document["pipeline"][side]
            (found,) = document["funnels"]
            assert plain(funnel.report(frames, "to_hot")) == found[side]
        models.close()
    hot = [one["pipeline"][side]["tracks"][0]["stages"][1] for one in [document] for side in SIDES]
    assert [stage["count"] for stage in hot] == [1, 0]


SIDES = ("before", "after")


def plain(document):
    return json.loads(json.dumps(document))


def test_only_figures_that_differ_are_told_by_where_they_stand():
    step = {"step": 1, "reached": 3, "rate_first": 1.0, "label": {"en": "Viewed"}}
    before = {"as_of": "x", "steps": [step, {**step, "step": 2, "reached": 2}]}
    after = {"as_of": "y", "steps": [{**step, "label": {}}, {**step, "step": 2, "reached": 1}]}
    assert [*figures(before, after)] == [("steps.2.reached", 2, 1)]
    assert [*figures(before, {"steps": [step]})] == []  # what one has alone is no change


def test_nothing_but_the_journal_is_written(world):
    world.diff(FEWER_POINTS)

    def written():
        files = [path for path in world.folder.rglob("facts*") if path.is_file()]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = written()
    world.diff(FEWER_POINTS)
    assert written() == before


def test_what_cannot_be_compared_is_told_beside_every_form(world):
    for form in ((), ("--csv",), ("--json",)):
        result = world.run("replay", "diff", "aida", "--against", "seven_steps", *form)
        assert result.exit_code == 0
        assert "only in aida, and not compared: " in result.stderr
        assert "so nothing of a lead is compared" in result.stderr


def test_csv_has_a_row_for_each_lead_and_difference(world):
    asked = ("--against", world.rules(), "--as-of", DAYS[4], "--csv")
    result = world.run("replay", "diff", world.rules(FEWER_POINTS), *asked)
    rows = [*csv.DictReader(io.StringIO(result.stdout))]
    parted = {
        "parted_at": DAYS[0],
        "source": "web",
        "event_id": "e1",
        **dict.fromkeys(("track", "timer", "move"), ""),
        "key": "score.heat.earn[1].points",
    }
    an = {"lead": lead_id("an"), **parted}
    assert [row for row in rows if row["lead"] == lead_id("an")] == [
        {**an, "what": "score", "name": "heat", "before": "20", "after": "16"},
        {**an, "what": "stage", "name": "life", "before": "hot", "after": "visitor"},
        {**an, "what": "segment", "name": "warm", "before": "in", "after": "out"},
    ]
    assert (len(rows), result.exit_code) == (5, 5)


def test_the_table_lists_so_many_leads_and_says_how_many_there_are(world):
    asked = ("--against", world.rules(), "--as-of", DAYS[4], "--limit", "1")
    result = world.run("replay", "diff", world.rules(FEWER_POINTS), *asked)
    assert result.exit_code == 5
    assert result.stdout.startswith("3 of 3 leads differ\n")
    assert "1 of 3 leads that differ" in result.stdout
    assert "web e1" in result.stdout
    assert "web e3" not in result.stdout
    assert "5 touchpoints of 3 leads to fold under both" in result.stderr


def test_the_table_begins_with_leads_that_stand_in_other_stages(world):
    # an was hot before, and only gains more points than anybody
    doubled = world.rules(("points = 10", "points = 20"))
    asked = ("--against", world.rules(), "--as-of", DAYS[4], "--limit", "1")
    result = world.run("replay", "diff", doubled, *asked)
    assert "web e3" in result.stdout
    assert "web e1" not in result.stdout


def test_against_the_rules_in_force_is_what_is_asked_unless_others_are_named(world):
    result = world.run("replay", "diff", "default", "--json")
    document = json.loads(result.stdout)
    assert (document["before"], document["differ"], result.exit_code) == (document["after"], [], 0)


def test_what_was_not_known_then_is_left_out(world):
    asked = ("--known-at", "#3")
    document, _ = world.diff(FEWER_POINTS, more=asked)
    assert of(document) == {
        "an": of(world.diff(FEWER_POINTS)[0])["an"],
        "binh": of(world.diff(FEWER_POINTS)[0])["binh"],
    }


@pytest.mark.parametrize(
    ("micro", "shown"),
    [(20_000_000, "20"), (-1, "-0.000001"), (0, "0"), (12_500_000, "12.5"), (-7_250_000, "-7.25")],
)
def test_points_are_shown_exactly(micro, shown):
    assert points(micro) == shown
