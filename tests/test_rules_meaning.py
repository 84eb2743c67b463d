"""What a valid rule file means: every table of the language, defaults written out."""

import pytest

from engine.rulefile import parse
from engine.ruleset import (
    Condition,
    Count,
    Earn,
    Signal,
    Stage,
    Timer,
    When,
)
from tests.rule_faults import SIGNALS, TRACK

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def test_a_scalar_means_is_and_a_list_means_one_of():
    (signal,) = parse(
        'name = "a"\n[[signal]]\nname = "s"\ntype = "won"\nchannel = ["email", "sms"]\n'
    ).signals
    assert signal == Signal(
        "s",
        (
            Condition("type", {"is": ("won",)}),
            Condition("channel", {"in": ("email", "sms")}),
        ),
    )


def test_every_operator_keeps_its_operand():
    (signal,) = parse(
        """
        name = "a"
        [[signal]]
        name = "s"
        attributes.a = { is = 1, not = true, at_least = 0.5, at_most = 2 }
        attributes.b = { not = ["x", 2.5], in = [""], starts_with = "", contains = "c" }
        attributes."c d" = { matches = "^b+$", exists = false }
        campaign.term = "t"
        actor.id = "7"
        amount.minor = { at_least = -9223372036854775808 }
        """
    ).signals
    assert {condition.field: condition.operators for condition in signal.conditions} == {
        "attributes.a": {"is": (1,), "not": (True,), "at_least": 0.5, "at_most": 2},
        "attributes.b": {"not": ("x", 2.5), "in": ("",), "starts_with": "", "contains": "c"},
        "attributes.c d": {"matches": "^b+$", "exists": False},
        "campaign.term": {"is": ("t",)},
        "actor.id": {"is": ("7",)},
        "amount.minor": {"at_least": -(2**63)},
    }


def test_any_holds_groups_of_conditions():
    (signal,) = parse(
        """
        name = "a"
        [[signal]]
        name = "s"
        any = [
          { type = "call_connected", attributes.seconds = { at_least = 30 } },
          { type = ["email_replied"] },
        ]
        """
    ).signals
    assert signal.conditions == ()
    assert signal.any == (
        (
            Condition("type", {"is": ("call_connected",)}),
            Condition("attributes.seconds", {"at_least": 30}),
        ),
        (Condition("type", {"in": ("email_replied",)}),),
    )


@pytest.mark.parametrize(
    ("written", "micro_points"),
    [
        ("7.25", 7_250_000),
        ("1e-06", 1),
        ("-0.000005", -5),
        ("0.1", 100_000),
        ("1_000_000", 10**12),
        ("-1e6", -(10**12)),
        ("5.000000000", 5_000_000),
        ("-0.0", 0),
    ],
)
def test_points_are_exact_micro_points(written, micro_points):
    rules = parse(f'{SIGNALS}[[score]]\nname="s"\n[[score.earn]]\nsignal="call"\npoints={written}')
    assert rules.scores[0].earns == (Earn("call", micro_points),)


def test_a_score_without_bounds_may_go_a_million_points_either_way():
    (score,) = parse('name = "a"\n[[score]]\nname = "s"\n').scores
    assert (score.floor, score.cap, score.half_life_us) == (-(10**12), 10**12, None)


def test_a_score_keeps_half_life_bounds_and_limits():
    (score,) = parse(
        SIGNALS
        + """
        [[score]]
        name = "s"
        half_life = "1h"
        floor = -2.5
        cap = 0
        [[score.earn]]
        signal = "visit"
        points = 5
        at_most = 3
        every = "7d"
        """
    ).scores
    assert (score.half_life_us, score.floor, score.cap) == (HOUR, -2_500_000, 0)
    assert score.earns == (Earn("visit", 5_000_000, 3, 7 * DAY),)


@pytest.mark.parametrize(
    ("written", "duration_us"),
    [("1s", 10**6), ("90m", 90 * MINUTE), ("2h", 2 * HOUR), ("30d", 30 * DAY), ("2w", 14 * DAY)],
)
def test_durations_are_microseconds(written, duration_us):
    rules = parse(f'{SIGNALS}[[funnel]]\nname="f"\nwindow="{written}"\nstep=[{{signal="call"}}]')
    assert rules.funnels[0].window_us == duration_us


def test_a_stage_keeps_all_that_is_said_of_it():
    (track,) = parse(
        """
        name = "a"
        [[track]]
        name = "t"
        label = { en = "Track" }
        [[track.stage]]
        name = "plain"
        [[track.stage]]
        name = "full"
        label = { en = "Full", vi = "Đầy", th = "เต็ม" }
        aliases = ["F", "full one"]
        kind = "lost"
        probability = 0.25
        time_limit = "14d"
        [[track.stage]]
        name = "short"
        aliases = "S"
        """
    ).tracks
    assert track.label == {"en": "Track"}
    assert track.stages == (
        Stage("plain"),
        Stage(
            "full",
            kind="lost",
            aliases=("F", "full one"),
            probability=0.25,
            time_limit_us=14 * DAY,
            label={"en": "Full", "vi": "Đầy", "th": "เต็ม"},
        ),
        Stage("short", aliases=("S",)),
    )


@pytest.mark.parametrize(
    ("to", "sources"),
    [
        ("new", ("none",)),
        ("parked", ("none", "new")),
        ("busy", ("none", "new")),
        ("bought", ("none", "new", "busy")),
    ],
)
def test_a_move_leaves_none_and_the_open_stages_before_unless_it_says_otherwise(to, sources):
    rules = parse(f'{SIGNALS}{TRACK}[[track.move]]\nto = "{to}"\nwhen = {{ signal = "call" }}')
    assert rules.tracks[0].moves[0].sources == sources


def test_from_is_kept_as_written():
    moves = (
        parse(
            f"{SIGNALS}{TRACK}"
            '[[track.move]]\nto="busy"\nfrom=["none", "busy", "*"]\nwhen={seen="call"}\n'
            '[[track.move]]\nto="busy"\nfrom="new"\nwhen={seen="call"}\n'
        )
        .tracks[0]
        .moves
    )
    assert [move.sources for move in moves] == [("none", "busy", "*"), ("new",)]


def test_when_keeps_every_part():
    move = (
        parse(
            f"""{SIGNALS}
            [[score]]
            name = "s"
            {TRACK}
            [[track]]
            name = "care"
            [[track.stage]]
            name = "served"
            [[track.move]]
            to = "served"
            [track.move.when]
            signal = "visit"
            seen = ["visit", "call"]
            not_seen = "call"
            score = "s"
            at_least = -0.5
            below = 50
            count = {{ signal = "visit", at_least = 3, within = "6h" }}
            stage = ["life.none", "life.busy"]
            """
        )
        .tracks[1]
        .moves[0]
    )
    assert move.timer is None
    assert move.when == When(
        signal=("visit",),
        seen=("visit", "call"),
        not_seen=("call",),
        score="s",
        at_least=-500_000,
        below=50_000_000,
        count=Count("visit", 3, 6 * HOUR),
        stage=("life.none", "life.busy"),
    )


@pytest.mark.parametrize(
    ("written", "timer"),
    [
        ('after_silence="30d"', Timer("after_silence", 30 * DAY)),
        ('after_silence="30d"\nof="call"', Timer("after_silence", 30 * DAY, of="call")),
        ('after_stay="1w"', Timer("after_stay", 7 * DAY)),
        ('below_score={score="s",below=0.5}', Timer("below_score", score="s", below=500_000)),
    ],
)
def test_a_timed_move_has_one_timer(written, timer):
    rules = parse(
        f'{SIGNALS}[[score]]\nname="s"\n{TRACK}[[track.move]]\nto="parked"\nfrom="new"\n{written}'
    )
    assert rules.tracks[0].moves[0].timer == timer
    assert rules.tracks[0].moves[0].when is None


def test_timed_moves_may_meet_again_without_going_round():
    rules = parse(
        f"{SIGNALS}{TRACK}"
        '[[track.move]]\nto="parked"\nfrom=["new", "busy"]\nafter_stay="1d"\n'
        '[[track.move]]\nto="bought"\nfrom=["new", "parked"]\nafter_stay="2d"\n'
        '[[track.move]]\nto="new"\nfrom="parked"\nwhen={signal="visit"}\n'
    )
    assert len(rules.tracks[0].moves) == 3


def test_the_heading_names_the_rule_set():
    rules = parse('value = "call"\nlabel = { th = "ร้าน" }\n' + SIGNALS)
    assert (rules.name, rules.label, rules.zone, rules.value) == (
        "shop",
        {"th": "ร้าน"},
        "UTC",
        "call",
    )
