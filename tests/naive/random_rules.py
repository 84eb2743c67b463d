"""Random rule sets: valid, small alphabets, durations on a coarse grid.

Every choice shrinks towards its first alternative and every chance towards no.
"""

import copy
import json
import unicodedata
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

Table = dict[str, Any]
T = TypeVar("T")

SIGNALS: dict[str, Table] = {
    "page": {"type": "page_viewed"},
    "form": {"type": "form_submitted"},
    "touched": {"type": {"not": ["stage_changed", "assigned", "identified"]}},
    "pricing": {"type": "page_viewed", "attributes": {"path": {"starts_with": "/pricing"}}},
    "exact_path": {"attributes": {"path": {"is": "/pricing", "exists": True}}},
    "demo_form": {"type": "form_submitted", "attributes": {"form": {"is": "demo", "not": "trial"}}},
    "visit": {"type": ["x_visit", "page_viewed", "form_submitted"]},
    "from_web": {"source": "web"},
    "not_from_web": {"source": {"not": "web"}},
    "local": {"channel": {"starts_with": "x_"}},
    "plain_channel": {"channel": "other"},
    "paid": {"channel": ["paid_search", "paid_social"]},
    "yes": {"attributes": {"n": True}},
    "one": {"attributes": {"n": 1}},
    "not_one": {"attributes": {"n": {"not": 1}}},
    "listed_n": {"attributes": {"n": [2, 0.1, "1"]}},
    "unlisted_n": {"attributes": {"n": {"not": [0, "1", True], "exists": True}}},
    "some_n": {"type": {"starts_with": "x_"}, "attributes": {"n": {"at_least": 0.5, "at_most": 2}}},
    "long_visit": {
        "type": ["page_viewed", "call_connected"],
        "attributes": {"seconds": {"at_least": 30}},
    },
    "call": {"type": {"in": ["call_connected", "call_attempted"]}},
    "no_campaign": {"campaign": {"source": {"exists": False}}},
    "tet": {"campaign": {"name": {"contains": "Tết"}}},
    "spam": {"any": [{"type": "email_unsubscribed"}, {"campaign": {"name": {"contains": "spam"}}}]},
    "human": {
        "actor": {"kind": {"not": "system"}},
        "any": [
            {"type": "call_connected", "attributes": {"seconds": {"at_least": 30}}},
            {"type": ["email_replied", "meeting_held"]},
        ],
    },
    "rep_one": {"actor": {"kind": "rep", "id": "r1"}},
    "closing": {"type": {"matches": "^(won|lost)$"}},
    "mail": {"type": {"matches": "mail_"}, "attributes": {"machine": {"not": True}}},
    "deal": {"type": ["opportunity_opened", "won"], "amount": {"minor": {"exists": True}}},
    "big": {"amount": {"minor": {"at_least": 500}}},
    "quote": {
        "type": ["x_quote", "won", "opportunity_updated"],
        "amount": {"currency": {"in": ["VND", "USD"]}},
    },
    "told": {"type": "stage_changed"},
}
# What most touchpoints carry: without them funnels would end at their second step
COMMON = [
    *("page", "form", "visit", "touched", "from_web", "not_from_web", "plain_channel"),
    *("no_campaign", "not_one"),
]
STAGES = {
    "lifecycle": ["visitor", "mql", "sql", "customer", "cold"],
    "sales": ["new", "working", "offer", "won", "lost"],
    "after": ["visitor", "happy", "sad"],
}
TIMES = ["6h", "12h", "1d", "18h", "2d", "1h", "3d"]
WINDOWS = ["2d", "1d", "5d", "12h", "10d"]
BOUNDS = [1, 5, 2, 0, 8, 12, 20, -1, -4, 0.5, 2.25]
POINTS = [5, 10, 1, 3, 20, -4, -10, 7.25, 0.5, 0.000001, 50, -0.333333, 1_000_000]
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = [
    ["07:00-19:00"],
    ["08:30-12:00", "13:30-17:30"],
    ["00:00-06:00"],
    ["01:00-04:00", "12:00-18:00"],
    ["00:00-24:00"],
    ["22:00-24:00"],
]
ZONES = ["Asia/Ho_Chi_Minh", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"]
HOLIDAYS = [f"2025-10-{day}" for day in (24, 26, 31)] + [
    *("2025-11-01", "2025-11-03", "2026-02-16", "2026-03-02", "2026-03-09", "2026-03-30"),
    *("2026-03-08", "2026-04-03", "2026-04-06"),
]
CHANNELS = ["other", "email", "paid_search", "direct", "x_zalo", "organic_search", "phone"]


def chance(random: Random, percent: int) -> bool:
    return random.randrange(100) >= 100 - percent


def some(random: Random, choices: Sequence[T], most: int) -> list[T]:
    """One to `most` different choices."""
    return random.sample(list(choices), 1 + random.randrange(min(most, len(choices))))


def maybe(random: Random, percent: int, key: str, make: Callable[[], Any]) -> Table:
    return {key: make()} if chance(random, percent) else {}


class Maker:
    """Makes one rule set, part by part; later parts name what earlier ones made."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.rules: Table = {"name": "random"}

    def names(self, part: str) -> list[str]:
        return [table["name"] for table in self.rules.get(part, [])]

    def pick(self, choices: Sequence[T]) -> T:
        return self.random.choice(choices)

    def signal(self) -> str:
        return self.pick(self.names("signal"))

    def signals(self, most: int = 2) -> list[str]:
        return some(self.random, self.names("signal"), most)

    def places(self, tracks: list[Table], none: bool = False) -> list[str]:
        return [
            f"{track['name']}.{stage}"
            for track in tracks
            for stage in [one["name"] for one in track["stage"]] + ["none"] * none
        ]

    def one_or_list(self, choices: list[str], most: int = 2) -> str | list[str]:
        found = some(self.random, choices, most)
        return found[0] if len(found) == 1 and chance(self.random, 50) else found

    def make(self) -> Table:
        rules, random = self.rules, self.random
        rules |= maybe(random, 60, "zone", lambda: self.pick(ZONES))
        rules["signal"] = [
            {"name": name, **copy.deepcopy(SIGNALS[name])} for name in self.signal_names()
        ]
        rules |= maybe(random, 70, "value", self.signal)
        rules["score"] = [self.score(name) for name in self.upto(["engagement", "fit", "heat"])]
        rules["track"] = []
        for name in self.upto(list(STAGES)):
            stages = STAGES[name][: 2 + random.randrange(len(STAGES[name]) - 1)]
            rules["track"].append(self.track(name, stages))
        rules["calendar"] = [self.calendar(name) for name in self.upto(["office", "abroad"])]
        rules["clock"] = [self.clock(name) for name in self.upto(["answer", "follow_up", "close"])]
        rules["funnel"] = [self.funnel(f"funnel_{n}") for n in range(1 + random.randrange(4))]
        rules["segment"] = [self.segment(f"segment_{n}") for n in range(random.randrange(6))]
        return {key: value for key, value in rules.items() if value != []}

    def upto(self, names: list[str]) -> list[str]:
        """The first few names: mostly some, seldom none."""
        if chance(self.random, 92):
            return names[: 1 + self.random.randrange(len(names))]
        return []

    def signal_names(self) -> list[str]:
        common = some(self.random, COMMON, 3)
        rest = [name for name in SIGNALS if name not in common]
        return common + self.random.sample(rest, 3 + self.random.randrange(6))

    # Scores

    def score(self, name: str) -> Table:
        pick, random = self.pick, self.random
        return {
            "name": name,
            **maybe(random, 75, "half_life", lambda: pick(["1d", "6h", "1h", "12h", "3d", "30d"])),
            **maybe(random, 50, "floor", lambda: pick([0, -20, -5, -2.5])),
            **maybe(random, 50, "cap", lambda: pick([20, 100, 8, 12.5, 30])),
            "earn": [self.earn() for _ in range(1 + random.randrange(4))],
        }

    def earn(self) -> Table:
        earn = {"signal": self.signal(), "points": self.pick(POINTS)}
        if chance(self.random, 50):
            earn["at_most"] = 1 + self.random.randrange(3)
            earn |= maybe(self.random, 65, "every", lambda: self.pick(TIMES))
        return earn

    def bounds(self) -> Table:
        score = {"score": self.pick(self.names("score"))}
        low, high = sorted(self.random.sample(BOUNDS, 2))
        either = [{"at_least": low}, {"below": high}, {"at_least": low, "below": high}]
        return score | self.pick(either)

    # Tracks

    def track(self, name: str, stages: list[str]) -> Table:
        random = self.random
        track = {"name": name, "stage": [self.stage(stages, stage) for stage in stages]}
        order = random.sample(stages, len(stages))
        track["move"] = [
            self.timed_move(order) if chance(random, 45) else self.move(stages)
            for _ in range(2 + random.randrange(6))
        ]
        return track

    def stage(self, stages: list[str], name: str) -> Table:
        def aliases() -> list[str]:
            return [f"{name.upper()} Q", *([self.pick(stages).title()] * chance(self.random, 15))]

        def label() -> Table:
            return {"en": f"{name.title()} lead", "vi": f"Khách tiềm {name}", "th": f"ลีด {name}"}

        return {
            "name": name,
            **maybe(self.random, 30, "kind", lambda: self.pick(["won", "lost", "parked"])),
            **maybe(self.random, 50, "aliases", aliases),
            **maybe(self.random, 50, "label", label),
        }

    def move(self, stages: list[str]) -> Table:
        makers: dict[str, Callable[[], Any]] = {
            "signal": lambda: self.one_or_list(self.names("signal")),
            "count": self.count,
            "seen": self.signals,
            "not_seen": self.signals,
        }
        if self.names("score"):
            makers["score"] = self.bounds
        if self.rules["track"]:
            earlier = self.places(self.rules["track"], none=True)
            makers["stage"] = lambda: self.one_or_list(earlier)
        when: Table = {}
        for part in some(self.random, list(makers), 2):
            made = makers[part]()
            when |= made if part == "score" else {part: made}
        sources = [["*"], ["none"], some(self.random, stages, 3), ["none", *stages[:2]]]
        return {
            "to": self.pick(stages),
            **maybe(self.random, 60, "from", lambda: self.pick(sources)),
            "when": when,
        }

    def count(self) -> Table:
        return {
            "signal": self.signal(),
            "at_least": 1 + self.random.randrange(3),
            **maybe(self.random, 70, "within", lambda: self.pick(TIMES)),
        }

    def timed_move(self, order: list[str]) -> Table:
        """From stages earlier in one order to a later one, so that no cycle can be."""
        place = 1 + self.random.randrange(len(order) - 1)
        move: Table = {"to": order[place], "from": some(self.random, order[:place], 3)}
        kinds = ["after_silence", "after_stay", *(["below_score"] if self.names("score") else [])]
        kind = self.pick(kinds)
        if kind == "below_score":
            score = {"score": self.pick(self.names("score")), "below": self.pick(BOUNDS)}
            return move | {kind: score}
        of = maybe(self.random, 50 * (kind == "after_silence"), "of", self.signal)
        return move | {kind: self.pick(TIMES)} | of

    # Funnels, clocks, calendars, segments

    def trigger(self) -> Table:
        entries = self.places(self.rules["track"])
        if entries and chance(self.random, 40):
            return {"enters": self.pick(entries)}
        return {"signal": self.signal()}

    def funnel(self, name: str) -> Table:
        random = self.random
        order = self.pick(["ordered", "strict", "unordered"])
        entry = self.pick(["first", "any", "every"])
        timed = order != "unordered"
        steps = self.late_steps() if timed and chance(random, 30) else self.steps()
        funnel: Table = {"name": name, "order": order, "entry": entry}
        limited = 100 if entry == "every" else 60
        funnel |= maybe(random, limited, "window", lambda: self.pick(WINDOWS))
        if order == "strict":
            funnel |= maybe(random, 60, "universe", lambda: self.signals(3))
        for step in steps[1:]:
            step |= maybe(random, 40 * timed, "within", lambda: self.pick(TIMES))
        funnel["step"] = steps
        if timed and len(steps) > 1 and chance(random, 60):
            funnel["exclude"] = [self.exclude(len(steps)) for _ in range(1 + random.randrange(2))]
        return funnel

    def steps(self) -> list[Table]:
        count = self.pick([2, 3, 2, 4, 1, 5])
        return [self.common() if chance(self.random, 45) else self.trigger() for _ in range(count)]

    def common(self) -> Table:
        names = [name for name in self.names("signal") if name in COMMON]
        return {"signal": self.pick(names)}

    def late_steps(self) -> list[Table]:
        """Steps of which the last is soon too late, so that a later choice comes deeper."""
        rare = self.trigger() | {"within": self.pick(["6h", "1h", "12h"])}
        return [self.common() for _ in range(2 + self.random.randrange(2))] + [rare]

    def exclude(self, steps: int) -> Table:
        after = 1 + self.random.randrange(steps - 1)
        before = after + 1 + self.random.randrange(steps - after)
        return {"signal": self.signal(), "after": after, "before": before}

    def clock(self, name: str) -> Table:
        calendars = self.names("calendar")
        return {
            "name": name,
            "start": self.trigger(),
            "stop": self.trigger(),
            **maybe(self.random, 60, "cancel", self.trigger),
            "within": self.pick(["6h", "12h", "1h", "90m", "1d", "2d"]),
            **maybe(self.random, 70 * bool(calendars), "calendar", lambda: self.pick(calendars)),
        }

    def calendar(self, name: str) -> Table:
        days = [day for day in WEEK if chance(self.random, 80)] or ["sun"]
        return {
            "name": name,
            **maybe(self.random, 85, "zone", lambda: self.pick(ZONES)),
            "hours": {day: self.pick(HOURS) for day in days},
            **maybe(self.random, 60, "holidays", self.holidays),
        }

    def holidays(self) -> str | list[str]:
        choices: list[str | list[str]] = ["VN", some(self.random, HOLIDAYS, 6), "US", HOLIDAYS]
        return self.pick(choices)

    def segment(self, name: str) -> Table:
        random = self.random
        makers: dict[str, Callable[[], Any]] = {
            "silent_for": lambda: self.pick(TIMES),
            "seen": self.signals,
            "not_seen": self.signals,
            "first_channel": lambda: self.one_or_list(CHANNELS, 3),
            "last_channel": lambda: self.one_or_list(CHANNELS, 3),
            "has_owner": lambda: chance(random, 50),
            "value_at_least": lambda: {
                "minor": self.pick([0, 500, 1000]),
                "currency": self.pick(["VND", "USD"]),
            },
        }
        if self.names("score"):
            makers["score"] = self.bounds
        if self.rules["track"]:
            places = self.places(self.rules["track"], none=True)
            makers["stage"] = makers["not_stage"] = lambda: self.one_or_list(places)
        where: Table = {}
        for part in some(random, list(makers), 3):
            made = makers[part]()
            where |= made if part == "score" else {part: made}
        return {"name": name, "where": where}


def toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, float):
        return f"{value:.6f}"
    return json.dumps(value, ensure_ascii=False)


def toml_text(table: Table, path: str = "") -> str:
    """A rule set as TOML: lists of tables as `[[…]]`, all else on one line."""
    lists = {"signal", "score", "earn", "track", "stage", "move", "funnel", "step", "exclude"}
    lists |= {"clock", "calendar", "segment"}
    nested = [key for key, value in table.items() if key in lists and isinstance(value, list)]
    nested = [key for key in nested if table[key] and isinstance(table[key][0], dict)]
    lines = [f"{key} = {toml_value(one)}" for key, one in table.items() if key not in nested]
    for key in nested:
        here = f"{path}{key}"
        lines += [f"\n[[{here}]]\n{toml_text(one, here + '.')}" for one in table[key]]
    return "\n".join(lines)


def random_rules(random: Random) -> str:
    """A random rule set, valid, as TOML."""
    return toml_text(Maker(random).make()) + "\n"


def decomposed(label: str) -> str:
    """The same text to a reader, other code points."""
    return unicodedata.normalize("NFD", label)
