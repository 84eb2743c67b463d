"""One key of a random rule set changed, and which: for tests of what a change does."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any

from tests.naive.random_rules import CHANNELS, HOURS, POINTS, SIGNALS, TIMES, Maker, Table

Nudge = Callable[[Random, Table], str | None]


def nudged(random: Random, rules: Table) -> tuple[Table, str]:
    """The rules with one key changed that says something, and that key as reports name it."""
    while True:
        other = copy.deepcopy(rules)
        key = random.choice(NUDGES)(random, other)
        if key is not None and other != rules:
            return other, key


def one_of(random: Random, rules: Table, part: str) -> Any:
    """One of the tables of a part that may be missing."""
    return random.choice(rules.get(part) or [None])


def half_life(random: Random, rules: Table) -> str | None:
    score = one_of(random, rules, "score")
    if score is None:
        return None
    score["half_life"] = random.choice(["1d", "6h", "1h", "12h", "3d", "30d"])
    return f"score.{score['name']}.half_life"


def bound(random: Random, rules: Table) -> str | None:
    score, which = one_of(random, rules, "score"), random.choice(["floor", "cap"])
    if score is None:
        return None
    score[which] = random.choice([-20, -5, -2.5] if which == "floor" else [20, 100, 8, 12.5])
    return f"score.{score['name']}.{which}"


def earning(random: Random, rules: Table) -> str | None:
    score = one_of(random, rules, "score")
    if score is None:
        return None
    place = random.randrange(len(score["earn"]))
    earn, which = score["earn"][place], random.choice(["points", "at_most", "every"])
    if which == "every" and "at_most" not in earn:
        return None
    choices: dict[str, list[Any]] = {"points": POINTS, "at_most": [1, 2, 3], "every": TIMES}
    earn[which] = random.choice(choices[which])
    if sum(other["signal"] == earn["signal"] for other in score["earn"]) > 1:
        return None  # two rules for one signal: which of them it was is not to be told
    return f"score.{score['name']}.earn[{place + 1}].{which}"


def signal(random: Random, rules: Table) -> str:
    table = random.choice(rules["signal"])
    name = table["name"]
    table.clear()
    table |= {"name": name, **copy.deepcopy(random.choice([*SIGNALS.values()]))}
    return f"signal.{name}"


def move(random: Random, rules: Table) -> str | None:
    track = one_of(random, rules, "track")
    if track is None or not track["move"]:
        return None
    place = random.randrange(len(track["move"]))
    table = track["move"][place]
    for timer in {"after_silence", "after_stay"} & table.keys():
        table[timer] = random.choice(TIMES)
    if "when" in table:
        maker = Maker(random)
        maker.rules = {**rules, "track": []}
        stages = [stage["name"] for stage in track["stage"]]
        table["when"] = maker.move(stages)["when"]
    if track["move"].count(table) > 1:
        return None
    return f"track.{track['name']}.move[{place + 1}]"


def within(random: Random, rules: Table) -> str | None:
    clock = one_of(random, rules, "clock")
    if clock is None:
        return None
    clock["within"] = random.choice(["6h", "12h", "1h", "90m", "1d", "2d"])
    return f"clock.{clock['name']}.within"


def trigger(random: Random, rules: Table) -> str | None:
    clock, which = one_of(random, rules, "clock"), random.choice(["start", "stop", "cancel"])
    if clock is None:
        return None
    maker = Maker(random)
    maker.rules = rules if "track" in rules else {**rules, "track": []}
    clock[which] = maker.trigger()
    return f"clock.{clock['name']}.{which}"


def hours(random: Random, rules: Table) -> str | None:
    calendar = one_of(random, rules, "calendar")
    if calendar is None:
        return None
    calendar["hours"] = {day: random.choice(HOURS) for day in ("mon", "tue", "sat")}
    return f"calendar.{calendar['name']}.hours"


def segment(random: Random, rules: Table) -> str | None:
    table = one_of(random, rules, "segment")
    if table is None:
        return None
    asked = [{"silent_for": random.choice(TIMES)}, {"last_channel": random.choice(CHANNELS)}]
    table["where"] = random.choice([*asked, {"seen": [random.choice(rules["signal"])["name"]]}])
    return f"segment.{table['name']}.where"


def value(random: Random, rules: Table) -> str:
    rules["value"] = random.choice(rules["signal"])["name"]
    return "value"


NUDGES: list[Nudge] = [
    *(half_life, bound, earning, earning, signal, move, move, move),
    *(within, trigger, hours, segment, value),
]
