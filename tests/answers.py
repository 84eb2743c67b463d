"""Answers about leads as of any instant, known at any position, under any rules, checked.

One question is a whole export; one answer in it is the state of one lead. What each should be,
the naive model says of every family of people by itself.

$ python -m tests.answers --answers 1000000 --questions 1000
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from unittest import mock

from click.testing import CliRunner, Result

from engine.cli.main import cli
from tests.naive.book import Book, Entry
from tests.naive.families import family_of, of_family
from tests.naive.model import KEY, Read, persons, read
from tests.naive.random_books import random_book
from tests.naive.random_histories import Delivery, random_history
from tests.naive.random_people import FEW, random_people
from tests.naive.random_rules import chance, random_rules
from tests.naive.states import Line
from tests.naive.touchpoints import Edge, Touch
from tests.naive.units import DAY, instant_text, instant_us

SIZE = 30  # touchpoints of a family, about


@dataclass(frozen=True)
class Question:
    """One export: as of when, known at which position, and under which rules."""

    as_of: int
    known_at: int
    asked_by: str  # how `--known-at` says it
    rules: str | None  # TOML; None: by the rule book


@dataclass
class Past:
    """What was recorded, as the naive model keeps it: by position, from 1."""

    entries: list[tuple[int, Entry]] = field(default_factory=list)
    accepted: dict[int, list[tuple[int, Touch]]] = field(default_factory=lambda: defaultdict(list))
    head: int = 0
    heads: list[tuple[int, int]] = field(default_factory=list)  # instant, head by then

    def __post_init__(self) -> None:
        self._edge = Edge(KEY)
        self._people = lru_cache(maxsize=None)(self._persons)

    def publish(self, entry: Entry) -> None:
        """One more entry of the rule book."""
        self.head += 1
        self.entries.append((self.head, entry))

    def tell(self, told: Delivery) -> None:
        """One more delivery."""
        if self._edge.deliver(told) is None:
            self.head += 1
            touch = self._edge.accepted[-1]
            self.accepted[family_of(touch.event_id)].append((self.head, touch))

    def answer(self, question: Question) -> Iterator[Read]:
        """What every family comes to."""
        if question.rules is not None:
            book = _book(question.rules)
        else:
            told = tuple(e for position, e in self.entries if position <= question.known_at)
            book = _book(told)
        for family, touches in self.accepted.items():
            known = sum(position <= question.known_at for position, _ in touches)
            if known:
                yield read(book, self._people(family, known), question.as_of, Counter())

    def _persons(self, family: int, known: int) -> list[list[Touch]]:
        return persons([touch for _, touch in self.accepted[family][:known]], FEW)


@lru_cache(maxsize=256)
def _book(written: str | tuple[Entry, ...]) -> Book:
    return Book.of(written)


class World:
    """One store, filled by commands; what it holds is known to the naive model too."""

    def __init__(self, seed: int, folder: Path, families: int = 40) -> None:
        self.random, self.folder, self.past = Random(seed), folder, Past()
        self.book = random_book(self.random)
        self.others = [random_rules(self.random) for _ in range(2)]
        histories = [list(self._family(number)) for number in range(families)]
        self._record(histories)

    def ask(self, questions: int, answers: int) -> tuple[int, int]:
        """Ask until there were so many questions, no two the same, and so many answers."""
        asked = answered = 0
        for question in self._questions():
            if asked >= questions and answered >= answers:
                break
            asked, answered = asked + 1, answered + self.check(question)
        return asked, answered

    def check(self, question: Question) -> int:
        """Ask, and compare every line of every export; how many leads were answered for."""
        where = ["--as-of", instant_text(question.as_of), "--known-at", question.asked_by]
        if question.rules is not None:
            where += ["--rules", str(self._file(question.rules))]
        reads = list(self.past.answer(question))
        expected = sorted((line for one in reads for line in one.states), key=_first)
        states = [
            {key: value for key, value in line.items() if key != "lead"}
            for line in self._lines("export", "states", *where)
        ]
        assert states == expected, question
        funnels = {name for one in reads for name in one.funnels}
        for name in self.random.sample(sorted(funnels), min(1, len(funnels))):
            lines = sorted((line for one in reads for line in one.funnels[name]), key=_first)
            assert self._lines("export", "funnel", name, *where) == lines, (question, name)
        return len(states)

    def run(self, *words: str) -> Result:
        """One command over this store."""
        environment = {
            "LEADLEDGER_IDENTIFIER_KEY": KEY.hex(),
            "LEADLEDGER_WORKSPACE_KEY": KEY.hex()[::-1],
            "LEADLEDGER_DATABASE_URL": str(self.folder / "answers.db"),
            "LEADLEDGER_TOO_COMMON": str(FEW),
        }
        with mock.patch.dict("os.environ", environment):
            return CliRunner().invoke(cli, words)

    def _lines(self, *words: str) -> list[Line]:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def _file(self, rules: str) -> Path:
        file = self.folder / f"rules-{abs(hash(rules))}.toml"
        file.write_text(rules)
        return file

    # What happened

    def _family(self, number: int) -> Iterator[Delivery]:
        """Deliveries in order of arrival: late, doubled, retracted, and some that are no good."""
        rules = self.random.choice(self.book)[0]
        tell = self.random.choice([random_history, random_people, random_people])
        for told in tell(self.random, rules, SIZE):
            yield of_family(told, number)

    def _record(self, histories: Sequence[list[Delivery]]) -> None:
        """All families by turns, in batches, with rule sets published in between."""
        self._publish(self.book[0])
        turns = [number for number, told in enumerate(histories) for _ in told]
        self.random.shuffle(turns)
        later = sorted(self.random.randrange(len(turns) + 1) for _ in self.book[1:])
        batch: list[Delivery] = []
        coming = {number: iter(told) for number, told in enumerate(histories)}
        for place, number in enumerate(turns):
            for entry in [e for at, e in zip(later, self.book[1:], strict=True) if at == place]:
                self._import(batch)
                self._publish(entry)
                batch = []
            batch.append(next(coming[number]))
            if chance(self.random, 2):
                self._import(batch)
                batch = []
        self._import(batch)
        for entry in [e for at, e in zip(later, self.book[1:], strict=True) if at == len(turns)]:
            self._publish(entry)

    def _publish(self, entry: Entry) -> None:
        toml, since = entry
        when = ["--retroactive"] if since is None else ["--from", str(since)]
        result = self.run("rules", "publish", str(self._file(toml)), *when)
        assert result.exit_code == 0, result.output
        if int(self.run("head").stdout) > self.past.head:  # else it was in force already
            self.past.publish(entry)
        self._stand()

    def _import(self, batch: Sequence[Delivery]) -> None:
        if not batch:
            return
        file = self.folder / f"batch-{self.past.head}-{len(batch)}.jsonl"
        file.write_text("".join(json.dumps(told) + "\n" for told in batch))
        result = self.run("import", str(file))
        assert result.exit_code in (0, 3), result.output
        for told in batch:
            self.past.tell(told)
        self._stand()

    def _stand(self) -> None:
        """Note what is known now; the next recording is at a later instant."""
        assert self.run("head").stdout.strip() == str(self.past.head)
        self.past.heads.append((time.time_ns() // 1000, self.past.head))
        time.sleep(0.001)

    # What is asked

    def _questions(self) -> Iterator[Question]:
        """About instants at which something happened, beside and between."""
        seen = set()
        while True:
            known_at, asked_by = self._known()
            rules = self.random.choice([None, None, None, *self.others, self.book[0][0]])
            question = Question(self._instant(), known_at, asked_by, rules)
            if (question.as_of, known_at, rules) not in seen:
                seen.add((question.as_of, known_at, rules))
                yield question

    def _known(self) -> tuple[int, str]:
        """A position, and one of the ways to ask for it."""
        if chance(self.random, 30):
            instant, head = self.random.choice(self.past.heads)
            return head, instant_text(instant)
        known_at = max(self.random.randint(1, self.past.head) for _ in range(2))
        return known_at, f"#{known_at}"

    def _instant(self) -> int:
        family = self.random.choice(list(self.past.accepted.values()))
        _, touch = self.random.choice(family)
        boundaries = [instant_us(since) for _, since in self.book if since is not None]
        at = self.random.choice([touch.at, touch.at, touch.at, *boundaries])
        return max(0, at + self.random.choice([0, 0, 1, -1, DAY // 4, 7 * DAY, 400 * DAY]))


def _first(line: Mapping[str, Line]) -> tuple[bytes, bytes]:
    return line["first"]["source"].encode(), line["first"]["event_id"].encode()


def main() -> int:
    """Ask until there are enough answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=1_000, help="at least so many")
    parser.add_argument("--families", type=int, default=250, help="of a store")
    parser.add_argument("--each", type=int, default=50, help="questions to a store")
    parser.add_argument("--seed", type=int, default=1_000_000)
    asked = parser.parse_args()
    answers = questions = 0
    seed, begun = asked.seed, time.monotonic()
    while answers < asked.answers or questions < asked.questions:
        with tempfile.TemporaryDirectory() as folder:
            done = World(seed, Path(folder), asked.families).ask(asked.each, 0)
        questions, answers = questions + done[0], answers + done[1]
        took = time.monotonic() - begun
        print(
            f"seed {seed}: {questions:,} questions, {answers:,} answers, {took:,.0f} s", flush=True
        )
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
