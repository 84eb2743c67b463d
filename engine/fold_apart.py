"""Where two folds of a lead differ after a step, and what each of them did there."""

import numpy as np

from engine.compiled import compiled
from engine.fold import first_move, forward, names
from engine.folded import MAX_TRACKS, OPEN
from engine.tables import NO_STAGE, NONE

NOTHING, SCORE, STAGE, CLOCK, SEGMENT_OF = 0, 1, 2, 3, 4  # what parts first
BY_TOUCH, BY_TIMER, BY_TIME = 0, 1, 2  # at what
FADED, EARNED, CLAMPED = 0, 1, 2  # how scores part
CAPPED, FLOORED = 1, 2  # how a score is clamped
ENDED, STARTED, DUE = 0, 1, 2  # how clocks part
MAX_TIMED = 4  # timed moves of a track at one instant that are told apart
PARTED = np.dtype(
    [
        ("at", "<i8"),
        ("touch", "<i8"),  # the last one by then
        *((name, "<i4") for name in ("by", "what", "name", "how")),
        *((name, "<i4") for name in ("side", "track", "move")),  # of a timed move: fold, its own
        ("reserved", "<i4"),
        ("era", "<i8", (2,)),
        ("cause", "<i8", (2,)),  # what it did: bits of earning rules, a move, an outcome, a clamp
        ("target", "<i8", (2,)),  # of a stage_changed
        ("signals", "<i8"),  # bits of the first fold: what the touch carries in one alone
        ("seen", "<i8"),  # what was seen in one alone
    ]
)


@compiled
def apart(pair, walk, step, parted):
    """Whether the folds differ after a step (lead, instant, by what, touch); then say in what."""
    lead, at, by, touch = step
    what, name, how = NOTHING, NONE, NONE
    for score in range(pair.common[0]):
        if what == NOTHING and points(pair, walk, 0, score, at) != points(pair, walk, 1, score, at):
            what, name = SCORE, score
    for track in range(pair.common[1]):
        if what == NOTHING and stage_of(pair, walk, 0, track) != stage_of(pair, walk, 1, track):
            what, name = STAGE, track
    if what == NOTHING and (walk.turned[0] or walk.turned[1]):
        name, how = clock_apart(pair, walk, lead)
        what = NOTHING if name == NONE else CLOCK
    if what == NOTHING and walk.era[0] == pair.last[0] and walk.era[1] == pair.last[1]:
        for which in range(pair.segments.shape[1]):
            now = at, pair.starts[pair.leads[lead]], touch
            if is_in(pair, walk, 0, which, now) != is_in(pair, walk, 1, which, now):
                what, name = SEGMENT_OF, which
                break
    if what == NOTHING:
        return False
    parted["at"], parted["touch"], parted["by"] = at, touch, by
    parted["what"], parted["name"], parted["how"] = what, name, how
    explain(pair, walk, parted)
    return True


@compiled
def points(pair, walk, fold, score, at):
    """A common score at an instant; 0 where the rules do not know it yet."""
    place = pair.eras[fold, walk.era[fold]]["score"][score]
    if place == NONE:
        return 0
    rules = pair.rules[fold, walk.era[fold]]
    return forward(walk.lead[fold], place, at, rules, walk.memory[fold])


@compiled
def stage_of(pair, walk, fold, track):
    """The stage of a common track, by its number in common."""
    era = pair.eras[fold, walk.era[fold]]
    place = era["track"][track]
    stage = NONE if place == NONE else walk.lead[fold]["stage"][place]
    return NONE if stage == NONE else era["stage"][place, stage]


@compiled
def clock_apart(pair, walk, lead):
    """(common clock, how) of one that did not do the same at a step; NONE if all did."""
    found, how = NONE, NONE
    for clock in range(pair.common[2]):
        did = walk.did
        for fold in range(2):
            place = pair.eras[fold, walk.era[fold]]["clock"][clock]
            did[fold, ENDED] = OPEN if place == NONE else walk.ended[fold, place]
            did[fold, STARTED] = 0 if place == NONE else walk.started[fold, place]
            did[fold, DUE] = 0
            if did[fold, STARTED]:
                number = pair.due_from[fold, lead, clock] + walk.begun[fold, clock]
                did[fold, DUE] = pair.due[number]
                walk.begun[fold, clock] += 1
        for way in range(3):
            if found == NONE and did[0, way] != did[1, way]:
                found, how = clock, way
    return found, how


@compiled
def is_in(pair, walk, fold, which, now):
    """Whether the lead is in a segment in question now (instant, first touch, last touch)."""
    at, first, last = now
    asked, lead = pair.segments[fold, which], walk.lead[fold]
    if not pair.channel_first[fold, pair.touches[first]["channel"]] >> which & 1:
        return False
    if not pair.channel_last[fold, pair.touches[last]["channel"]] >> which & 1:
        return False
    if asked["seen"] & ~lead["seen"] or asked["not_seen"] & lead["seen"]:
        return False
    if lead["last_at"] > at - asked["silent_us"]:
        return False
    if asked["owner"] != NONE and asked["owner"] != (lead["owner"] != 0):
        return False
    if asked["asks_value"]:
        enough = lead["value_minor"] >= asked["value_minor"]
        if not enough or lead["value_currency"] != asked["currency"]:
            return False
    if asked["score"] != NONE:
        rules = pair.rules[fold, walk.era[fold]]
        value = forward(lead, asked["score"], at, rules, walk.memory[fold])
        if value < asked["at_least"] or value >= asked["below"]:
            return False
    if asked["asks_stage"] and not in_stages(lead, asked["stage"]):
        return False
    return not in_stages(lead, asked["not_stage"])


@compiled
def in_stages(lead, stages):
    """Whether a track is in one of its stages here."""
    for track in range(MAX_TRACKS):
        stage = lead["stage"][track]
        if stages[track] >> (NO_STAGE if stage == NONE else stage) & 1:
            return True
    return False


@compiled
def explain(pair, walk, parted):
    """What each fold did at the step at which they part."""
    for fold in range(2):
        parted["era"][fold], parted["cause"][fold] = walk.era[fold], NONE
        parted["target"][fold] = walk.touch[fold]["target"] if parted["by"] == BY_TOUCH else NONE
    if parted["by"] == BY_TIMER:
        name_timer(pair, walk, parted)
    differing(pair, walk, parted)
    if parted["what"] == SCORE:
        explain_score(pair, walk, parted)
    elif parted["what"] == STAGE:
        for fold in range(2):
            parted["cause"][fold] = cause_of_entry(pair, walk, fold, parted)
    elif parted["what"] == CLOCK and parted["how"] == ENDED:
        for fold in range(2):
            place = pair.eras[fold, walk.era[fold]]["clock"][parted["name"]]
            parted["cause"][fold] = OPEN if place == NONE else walk.ended[fold, place]


@compiled
def name_timer(pair, walk, parted):
    """The timed move of the step: the one that a fold alone took in the track, or the first."""
    if parted["what"] == STAGE:
        place = first_unlike(pair, walk, parted["name"])
        for fold in range(2):
            track = pair.eras[fold, walk.era[fold]]["track"][parted["name"]]
            if track != NONE and parted["move"] == 0:
                parted["side"], parted["track"] = fold, track
                parted["move"] = walk.timed[fold, track, place]
    for fold in range(2):
        for track in range(MAX_TRACKS):
            if parted["move"] == 0 and walk.timed[fold, track, 0] > 0:
                parted["side"], parted["track"] = fold, track
                parted["move"] = walk.timed[fold, track, 0]


@compiled
def first_unlike(pair, walk, name):
    """Of the timed moves of the step in a common track, the place of the first that differs."""
    one = pair.eras[0, walk.era[0]]["track"][name]
    other = pair.eras[1, walk.era[1]]["track"][name]
    if one != NONE and other != NONE:
        for place in range(MAX_TIMED):
            if walk.timed[0, one, place] != walk.timed[1, other, place]:
                return place
    return 0


@compiled
def differing(pair, walk, parted):
    """Which signals of the first fold only one of the two sees in the touch, or ever saw."""
    parted["signals"], parted["seen"] = 0, 0
    known = pair.known[walk.era[0], walk.era[1]]
    for signal in range(len(known)):
        other = known[signal]
        if other == NONE:
            continue
        if (walk.lead[0]["seen"] >> signal ^ walk.lead[1]["seen"] >> other) & 1:
            parted["seen"] |= np.int64(1) << signal
        if parted["by"] == BY_TOUCH:
            mine = walk.touch[0]["signals"] >> signal
            if (mine ^ walk.touch[1]["signals"] >> other) & 1:
                parted["signals"] |= np.int64(1) << signal


@compiled
def explain_score(pair, walk, parted):
    """Whether it faded, earned or was clamped otherwise; and which rules earned."""
    parted["how"] = FADED
    if parted["by"] != BY_TOUCH:
        return
    for fold in range(2):
        walk.sums[fold, FADED] = walk.sums[fold, EARNED] = 0
        place = pair.eras[fold, walk.era[fold]]["score"][parted["name"]]
        if place == NONE:
            continue
        rules, memory = pair.rules[fold, walk.era[fold]], walk.memory[fold]
        walk.sums[fold, FADED] = forward(walk.before[fold], place, parted["at"], rules, memory)
        carried = walk.touch[fold]["signals"]
        parted["cause"][fold] = 0
        for rule in range(rules["earn_start"][place], rules["earn_end"][place]):
            most = rules["earn_at_most"][rule]
            granted = most == NONE or memory["window_used"][rule] <= most
            if rules["earn_signal"][rule] & carried and granted:
                parted["cause"][fold] |= np.int64(1) << rule
                walk.sums[fold, EARNED] += rules["earn_points"][rule]
    if walk.sums[0, FADED] != walk.sums[1, FADED]:
        return
    if walk.sums[0, EARNED] != walk.sums[1, EARNED]:
        parted["how"] = EARNED
        return
    parted["how"] = CLAMPED
    for fold in range(2):
        sum_of_all = walk.sums[fold, FADED] + walk.sums[fold, EARNED]
        now = points(pair, walk, fold, parted["name"], parted["at"])
        parted["cause"][fold] = CAPPED if now < sum_of_all else FLOORED if now > sum_of_all else 0


@compiled
def cause_of_entry(pair, walk, fold, parted):
    """The move of a common track that a fold took at the step, or NONE; timed ones from 1, or 0."""
    track = pair.eras[fold, walk.era[fold]]["track"][parted["name"]]
    if track == NONE:
        return NONE
    if parted["by"] != BY_TOUCH:
        return walk.timed[fold, track, first_unlike(pair, walk, parted["name"])]
    lead, rules, memory = walk.lead[fold], pair.rules[fold, walk.era[fold]], walk.memory[fold]
    own = walk.touch[fold]
    if names(own, track):
        return NONE
    stage = lead["stage"][track]
    lead["stage"][track] = walk.before[fold]["stage"][track]
    move = first_move(lead, track, own, rules, memory)
    lead["stage"][track] = stage
    return move
