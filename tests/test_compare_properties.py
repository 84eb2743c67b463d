"""`audit compare` over random families: take what is named away, and each figure is as it was."""

from random import Random

from engine.compare.compare import Span, compare
from tests.audited import Audited
from tests.naive.families import of_family
from tests.naive.random_books import random_book
from tests.naive.random_histories import random_history
from tests.naive.random_people import random_people
from tests.read_side import DAY
from tests.recorded_less import Less
from tests.storing import seeds_over_each

FAMILIES, SIZE = 3, 20  # touchpoints of each, about
MOST = 8  # sets of causes that are taken away, one after the other


class Lived:
    """A store in which random families did things and rules were published, compared."""

    def __init__(self, url, clock, folder, seed):
        self.random, self._folder, self._less = Random(seed), folder, {}
        self.store = Audited(url, clock)
        self._live()
        self.head = self.store.facts.head()
        self.then, self.now = sorted(self.random.sample(range(self.head + 1), 2))
        if self.random.random() < 0.7:  # mostly there are few, and they are late
            self.then = max(self.then, self.now - self.random.randrange(1, 12))
        self.before = frozenset(range(1, self.then + 1))
        self.lately = frozenset(range(self.then + 1, self.now + 1))
        happened = self.store.facts.histories().touches["occurred_at"].tolist()
        self.as_of = self.random.choice(happened) + self.random.choice([0, 0, DAY, 400 * DAY])
        span = Span(self.then, self.now, self.as_of)
        self.document = compare(self.store.facts, self.store.models, span, 10**6)

    def told(self, positions):
        """The figures of each lead, and of all, of a store that was told these alone."""
        if positions not in self._less:
            path = self._folder / f"less-{len(self._less)}.db"
            less = Less(path, self.store.facts, positions)
            self._less[positions] = less.figures(self.as_of, self._whose()), less.totals(self.as_of)
            less.close()
        return self._less[positions]

    def close(self):
        self.store.close()

    def _live(self):
        random = self.random
        first, *more = random_book(random)
        self.store.publish(*first)
        tellers = [random_history, random_people, random_people]
        coming = [
            [of_family(one, n) for one in random.choice(tellers)(random, first[0], SIZE)]
            for n in range(FAMILIES)
        ]
        while left := [one for one in (*coming, more) if one]:
            chosen = random.choices(left, [len(one) for one in left])[0]
            if chosen is more:
                self.store.publish(*chosen.pop(0))
            else:
                self.store.tell(chosen.pop(0))

    def _whose(self):
        """The lead that each touchpoint was of before; of those that count ever since."""
        facts = self.store.facts
        still = set(facts.histories(known_at=self.now).positions.tolist())
        then = facts.histories(known_at=self.then)
        return {
            position: lead
            for at, lead in enumerate(then.leads)
            for position in then.positions[then.starts[at] : then.starts[at + 1]].tolist()
            if position in still
        }


def differing(before, after):
    """Both values of whatever differs."""
    return {
        name: (before.get(name), after.get(name))
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }


def each_of(leads):
    """Figures of leads, each by lead and name."""
    return {(lead, name): figure for lead, its in leads.items() for name, figure in its.items()}


@seeds_over_each(sqlite=14, postgresql=2)
def test_without_what_is_named_a_figure_is_as_it_was_and_with_it_alone_as_it_became(
    facts_url, clock, tmp_path, seed
):
    lived = Lived(facts_url, clock, tmp_path, seed)
    changes = [
        ((lead["lead"], one["figure"]), one)
        for lead in lived.document["leads"]
        for one in lead["changes"]
    ]
    causes = {frozenset(one["causes"]) for _, one in changes}
    causes |= {frozenset(one["causes"]) for one in lived.document["figures"]}
    assert frozenset() not in causes
    for named in sorted(causes, key=sorted)[:MOST]:
        without, of_all_without = lived.told(lived.before | (lived.lately - named))
        alone, of_all_alone = lived.told(lived.before | named)
        of_lead_without, of_lead_alone = each_of(without), each_of(alone)
        for figure, one in changes:
            if named == set(one["causes"]):
                assert of_lead_without.get(figure) == one["before"], (figure, one)
                assert of_lead_alone.get(figure) == one["after"], (figure, one)
        for one in lived.document["figures"]:
            if named == set(one["causes"]):
                assert of_all_without.get(one["figure"], 0) == one["before"], one
                assert of_all_alone.get(one["figure"], 0) == one["after"], one
    assert {one["position"] for one in lived.document["causes"]} == set().union(*causes)
    lived.close()


@seeds_over_each(sqlite=20, postgresql=3)
def test_every_figure_that_differs_is_listed_and_no_other(facts_url, clock, tmp_path, seed):
    lived = Lived(facts_url, clock, tmp_path, 1000 + seed)
    then, of_all_then = lived.told(lived.before)
    now, of_all_now = lived.told(lived.before | lived.lately)
    listed = {
        (lead["lead"], one["figure"]): (one["before"], one["after"])
        for lead in lived.document["leads"]
        for one in lead["changes"]
    }
    assert listed == differing(each_of(then), each_of(now))
    assert lived.document["changed"] == len(lived.document["leads"])
    listed = {one["figure"]: (one["before"], one["after"]) for one in lived.document["figures"]}
    found = differing(of_all_then, of_all_now)
    assert listed == {name: (was or 0, is_ or 0) for name, (was, is_) in found.items()}
    lived.close()
