"""The rule sets that ship: complete, side by side, and what a person expects of a lead's story.

Each story in tests/worked/ was worked out from the meaning of its model, on paper. Its times
are local, seven hours ahead of UTC; a cause is a touchpoint or the kind of a timed move.
"""

import re
import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engine import rulefile
from engine.book import Book
from engine.canonical import canonicalise
from engine.compose import compose_files
from engine.errors import RulesClash, RulesInvalid
from engine.folding import fold
from engine.history import Histories, Packed, pack, unpack
from engine.instants import format_instant, parse_instant
from engine.privacy import IdentifierKey
from engine.resolve import Resolver
from engine.rulelang.values import LANGUAGES
from engine.ruleset import RuleSet
from engine.states import funnel_documents, state_documents
from engine.warm import Words
from tests.pages import DOCS, shown

ROOT = Path(__file__).parents[1]
SHIPPED = rulefile.shipped()
LATER = parse_instant("2030-01-01T00:00:00Z")
PAGE = DOCS / "rules.md"

MODELS = {
    "default": "visitor lead mql sql customer",
    "awareness_consideration_decision": "awareness consideration decision",
    "visitor_to_customer": "visitor lead mql sql opportunity customer",
    "aida": "attention interest desire action",
    "aida_delight": "awareness interest desire action delight",
    "tofu_mofu_bofu": "tofu mofu bofu",
    "conversion_loyalty_advocacy": "awareness consideration conversion loyalty advocacy",
    "temperature_bought": "cold warm hot",
    "temperature_ready": "cold warm hot",
    "sales_pipeline": "prospecting qualification demo proposal negotiation won post_purchase",
    "need_to_care": "need led contact close care",
    "asked_considering_ordered": "asked considering ordered",
    "repeat_and_refer": "satisfied grouped repeats complements refers",
    "seven_steps": "prospecting preparation approach presentation objections closing follow_up",
    "research_to_relationship": "research prospecting call_and_close relationship",
    "product_ladder": "entry core recurring",
    "contact_to_close": "prospect contact qualify nurture offer objections close",
}

each_set = pytest.mark.parametrize("name", SHIPPED)


@cache
def rules(name: str) -> RuleSet:
    return rulefile.load(SHIPPED[name])


@cache
def story(name: str) -> dict:
    return tomllib.loads((ROOT / f"tests/worked/{name}.toml").read_text("utf-8"))


def local(written: str) -> int:
    """Microseconds of a local time as the stories write it."""
    return parse_instant(datetime.fromisoformat(written).isoformat() + "+07:00")


def printed(written: str) -> str | None:
    return format_instant(local(written)) if written else None


def history(told: list[dict], who: dict) -> Histories:
    """One lead's history, as the store would give it."""
    key, words = IdentifierKey(bytes(32)), Words()
    packed = [pack(canonicalise(delivery(one, who), LATER, key).touchpoint, words) for one in told]
    return unpack(
        ["lead"], np.array([0, len(packed)]), Packed(packed), np.arange(len(packed)), words
    )


def delivery(told: dict, who: dict) -> dict:
    rest = {name: part for name, part in told.items() if name not in ("id", "at")}
    return rest | {
        "source": "story",
        "event_id": told["id"],
        "occurred_at": local(told["at"]),
        "identifiers": [who],
    }


def fold_story(name: str, as_of: str = "", without: str = ""):
    """The state of a story's lead at its end or at an instant, and its funnels' lines."""
    one = story(name)
    told = [touch for touch in one["touchpoints"] if touch["type"] != without]
    folded = fold(history(told, one["who"]), Book.always(rules(name)), local(as_of or one["as_of"]))
    (state,) = state_documents(folded)
    lines = {one.name: list(funnel_documents(folded, one.name)) for one in rules(name).funnels}
    return state, lines


def cause(of: dict) -> str:
    return of.get("timer") or of["event_id"]


# ---- what every shipped set has ----


def test_every_model_that_people_use_ships():
    for name, stages in MODELS.items():
        listed = [stage.name for stage in rules(name).tracks[0].stages]
        assert [stage for stage in listed if stage in stages.split()] == stages.split()
    assert set(SHIPPED) == set(MODELS)


@each_set
def test_a_set_is_called_like_its_file(name):
    assert rules(name).name == name


@each_set
def test_every_label_is_there_in_three_languages(name):
    one = rules(name)
    parts = [one, *one.signals, *one.scores, *one.tracks, *one.funnels, *one.clocks]
    parts += [*one.calendars, *one.segments]
    parts += [stage for track in one.tracks for stage in track.stages]
    parts += [step for funnel in one.funnels for step in funnel.steps]
    for part in parts:
        assert set(part.label) == set(LANGUAGES), part
        assert all(words.strip() == words for words in part.label.values())


@each_set
def test_a_set_has_a_funnel_and_ends_both_ways(name):
    one = rules(name)
    assert one.funnels
    assert one.zone == "Asia/Ho_Chi_Minh"
    assert one.value == "deal"
    for track in one.tracks:
        assert {"open", "won", "lost"} <= {stage.kind for stage in track.stages}


@each_set
def test_signals_or_time_lead_to_every_stage(name):
    for track in rules(name).tracks:
        asked = [move for move in track.moves if move.timer or move.when]
        assert {move.to for move in asked} == {stage.name for stage in track.stages}


@each_set
def test_no_signal_is_idle(name):
    text = SHIPPED[name].read_text("utf-8")
    for signal in rules(name).signals:
        assert text.count(f'"{signal.name}"') > 1, signal.name


@each_set
def test_each_name_alias_and_label_means_one_stage_of_a_track(name):
    resolver = Resolver(rules(name))
    for index, track in enumerate(rules(name).tracks):
        for place, stage in enumerate(track.stages):
            for known_as in (stage.name, *stage.aliases, *stage.label.values()):
                assert resolver.target(track.name, known_as) == index * 32 + place, known_as


@each_set
def test_stages_of_a_sales_tool_resolve(name):
    resolver = Resolver(rules(name))
    ends = {stage.kind for track in rules(name).tracks for stage in track.stages if stage.aliases}
    assert {"won", "lost"} <= ends
    assert resolver.target(None, "no such stage") < 0


@each_set
def test_a_section_says_what_a_set_means(name):
    section = re.search(rf"\n### `{name}`\n(.*?)(?=\n##|\Z)", PAGE.read_text("utf-8"), re.DOTALL)
    assert section
    assert len(section[1].split()) >= 60
    for track in rules(name).tracks:
        for stage in track.stages:
            assert f"`{stage.name}`" in section[1], stage.name


# ---- side by side ----


def test_no_two_sets_clash():
    shared, own = {}, set()
    for path in SHIPPED.values():
        document = rulefile.decode(path.read_text("utf-8"))
        for kind in ("signal", "score", "calendar"):
            for item in document.get(kind, ()):
                assert shared.setdefault((kind, item["name"]), item) == item
        for kind in ("track", "funnel", "clock", "segment"):
            names = {(kind, item["name"]) for item in document.get(kind, ())}
            assert not own & names
            own |= names
    assert sum(kind == "signal" for kind, _ in shared) <= 64


def test_every_set_runs_beside_three_others():
    single = [path for name, path in SHIPPED.items() if name != "default"]
    for four in range(0, len(single), 4):
        assert len(rulefile.parse(compose_files(single[four : four + 4])).tracks) == 4


def test_four_tracks_of_four_sets_mean_what_they_meant_alone():
    names = ["aida", "temperature_ready", "sales_pipeline", "repeat_and_refer"]
    composed = rulefile.parse(compose_files([SHIPPED[name] for name in names], "four"))
    for name in names:
        one = story(name)
        folded = fold(
            history(one["touchpoints"], one["who"]), Book.always(composed), local(one["as_of"])
        )
        (state,) = state_documents(folded)
        mine = [visit["stage"] for visit in state["visits"] if visit["track"] == name]
        assert mine == [visit[1] for visit in one["visits"]]


def test_the_default_takes_two_of_the_four_tracks():
    two_more = [SHIPPED[name] for name in ("default", "aida", "temperature_bought")]
    assert len(rulefile.parse(compose_files(two_more)).tracks) == 4
    with pytest.raises(RulesInvalid, match="at most 4"):
        compose_files([*two_more, SHIPPED["need_to_care"]])


def test_one_word_with_two_meanings_is_refused_with_both_places(tmp_path):
    other = tmp_path / "mine.toml"
    text = SHIPPED["aida"].read_text("utf-8")
    other.write_text(text.replace('["won", "purchased", "renewed"]', '["won"]'), "utf-8")
    with pytest.raises(RulesClash) as caught:
        compose_files([SHIPPED["need_to_care"], other])
    (clash,) = caught.value.clashes
    assert clash.what == "signal `bought`"
    assert str(SHIPPED["need_to_care"]) in str(caught.value)
    assert str(other) in str(caught.value)


def test_a_set_beside_itself_is_refused():
    with pytest.raises(RulesClash, match="track `aida`"):
        compose_files([SHIPPED["aida"], SHIPPED["aida"]])


# ---- worked stories ----


@each_set
def test_a_story_is_of_a_size_to_be_followed_by_hand(name):
    one = story(name)
    assert 8 <= len(one["touchpoints"]) <= 20
    assert any(touch["type"] == "stage_changed" for touch in one["touchpoints"])
    visited = {visit[1] for visit in one["visits"]}
    assert set(MODELS[name].split()) <= visited


@each_set
def test_visits_are_those_that_a_person_expects(name):
    state, _ = fold_story(name)
    visits = [
        (visit["track"], visit["stage"], visit["entered"], visit["left"], cause(visit["cause"]))
        for visit in state["visits"]
    ]
    assert visits == [
        (track, stage, printed(entered), printed(left), why)
        for track, stage, entered, left, why in story(name)["visits"]
    ]


@each_set
def test_funnel_lines_are_those_that_a_person_expects(name):
    _, lines = fold_story(name)
    expected = {
        funnel: [printed(at) for at in times] for funnel, times in story(name)["funnels"].items()
    }
    assert set(lines) == set(expected)
    for funnel, reached in expected.items():
        (line,) = lines[funnel]
        assert line["reached_at"] == reached
        assert (line["entered"], line["depth"]) == (reached[0], len(reached))
        assert (line["excluded"], line["open"]) == (False, False)


@each_set
def test_value_clocks_and_segments_are_those_that_a_person_expects(name):
    one = story(name)
    state, _ = fold_story(name)
    assert state["value"] == one["value"]
    assert state["anomalies"] == 0
    clocks = [tuple(run.values()) for run in state["clocks"]]
    assert clocks == [
        (clock, printed(started), printed(due), printed(ended), outcome)
        for clock, started, due, ended, outcome in one.get("clocks", [])
    ]
    for at in one.get("segments", []):
        assert fold_story(name, at["at"])[0]["segments"] == at["names"]


@each_set
def test_signals_alone_reach_the_same_stages(name):
    with_crm, _ = fold_story(name)
    alone, _ = fold_story(name, without="stage_changed")
    assert stages_of(alone) == stages_of(with_crm)
    assert alone["stages"] == with_crm["stages"]


@each_set
def test_a_no_is_lost_until_they_ask_again(name):
    asks = {"type": "form_submitted", "attributes": {"form": "contact"}}
    told = [
        {"id": "1", "at": "2026-03-02 09:00", **asks},
        {"id": "2", "at": "2026-03-05 09:00", "type": "lost"},
        {"id": "3", "at": "2026-03-30 09:00", **asks},
    ]
    if name == "repeat_and_refer":  # who is lost there is a customer who leaves, then buys again
        types = ["purchased", "churned", "purchased"]
        told = [
            {"id": one["id"], "at": one["at"], "type": type}
            for one, type in zip(told, types, strict=True)
        ]
        told.insert(1, {"id": "1b", "at": "2026-03-03 09:00", "type": "testimonial_given"})
    seen = history(told, {"kind": "user_id", "value": "x"})
    assert kinds_at(name, seen, "2026-03-06 00:00") == "lost"
    assert kinds_at(name, seen, "2026-03-31 00:00") in ("open", "won")


def kinds_at(name: str, seen: Histories, at: str) -> str:
    """The kind of the stage that a lead is in on the first track."""
    (state,) = state_documents(fold(seen, Book.always(rules(name)), local(at)))
    track = rules(name).tracks[0]
    (kind,) = [one.kind for one in track.stages if one.name == state["stages"][track.name]]
    return kind


def stages_of(state: dict) -> set[tuple[str, str]]:
    return {(visit["track"], visit["stage"]) for visit in state["visits"]}


# ---- the page ----


def test_fragments_on_the_page_fit_into_its_rule_set():
    (whole,) = shown(PAGE, "toml")
    for fragment in shown(PAGE, "toml fragment"):
        rulefile.parse(f"{whole}\n{fragment}")
