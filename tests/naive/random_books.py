"""Random rule books: rule sets that follow one another, keeping every name."""

import copy
from random import Random

from tests.naive.book import Entry
from tests.naive.random_histories import HOUR, STARTS
from tests.naive.random_rules import SIGNALS, Maker, Table, chance, toml_text
from tests.naive.units import instant_us


def changed(random: Random, before: Table) -> Table:
    """The same scores, tracks, stages and clocks by name; other rules for them."""
    maker = Maker(random)
    rules = maker.rules = copy.deepcopy(before)
    for signal in rules["signal"]:
        if chance(random, 30):
            name = signal["name"]
            signal.clear()
            signal |= {"name": name, **copy.deepcopy(random.choice(list(SIGNALS.values())))}
    rules["value"] = maker.signal()
    if "score" in rules:
        rules["score"] = [maker.score(score["name"]) for score in rules["score"]]
    tracks, rules["track"] = rules.get("track", []), []
    for track in tracks:
        stages = [stage["name"] for stage in track["stage"]]
        if chance(random, 30):
            stages.insert(random.randrange(len(stages) + 1), f"extra_{len(stages)}")
        rules["track"].append(maker.track(track["name"], stages))
    rules["clock"] = [maker.clock(clock["name"]) for clock in rules.get("clock", [])]
    rules["funnel"] = [maker.funnel(funnel["name"]) for funnel in rules["funnel"]]
    rules["segment"] = [maker.segment(f"segment_{n}") for n in range(random.randrange(6))]
    return {key: value for key, value in rules.items() if value != []}


def random_book(random: Random) -> list[Entry]:
    """Entries in order of publication; None is the beginning of time."""
    rules = Maker(random).make()
    book: list[Entry] = [(toml_text(rules), None)]
    for _ in range(1 + random.randrange(3)):
        rules = changed(random, rules)
        start = instant_us(f"{random.choice(STARTS)}T00:00:00Z")
        since = start + random.randrange(20) * 6 * HOUR + random.choice([0, 0, 1, HOUR])
        book.append((toml_text(rules), None if chance(random, 10) else since))
    return book
