"""Labelled pairs of made-up people, as tools tell of them: duplicates, and those who look so.

Half of the pairs are one person told twice, with the noise of Vietnamese, Thai and English
records; the others are two people who share what families, colleagues and namesakes share.
Around them stand people who are in no pair. No two records share an identifier, so no rule
joins them: what a second one would share stands among its personal fields.
"""

from collections.abc import Callable, Iterator
from itertools import chain, count
from random import Random
from typing import Any, NamedTuple

from phonenumbers import is_possible_number, parse

from tests.noisy_people import (
    ALIKE,
    FAMILY,
    GIVEN,
    MAIL,
    MIDDLE,
    MOBILE,
    NAME_NOISE,
    Person,
    mistyped,
    swapped_digits,
    tagged,
    written,
    wrong_country,
    wrong_digit,
    wrong_length,
)

Json = dict[str, Any]
LANGUAGES = ("vi", "th", "en")
CROWD, ACCOUNTS = 3_000, 400


class Told(NamedTuple):
    """What one tool knows of a person."""

    person: int
    name: str
    email: str | None
    phone: str | None  # E.164, or what was typed for it
    account: str | None


class Pair(NamedTuple):
    """Two records by their places, and whether they are one person's."""

    one: int
    other: int
    same: bool
    language: str
    kind: str


class World:
    """Records, and pairs of them; the same ones for a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.told: list[Told] = []
        self.pairs: list[Pair] = []
        self._people = 0
        self._mailboxes: set[str] = set()

    def chance(self, percent: int) -> bool:
        """Whether something that happens to so many in a hundred happens here."""
        return self.random.randrange(100) < percent

    def person(self, language: str, **known: Any) -> Person:
        """Somebody new, of whom something may be known."""
        random = self.random
        self._people += 1
        given, family = (random.choice(some[language].split()) for some in (GIVEN, FAMILY))
        someone = Person(
            self._people,
            language,
            given.split("/"),
            family.split("/"),
            random.choice(MIDDLE),
            "",
            f"{random.choice(MOBILE[language])}{random.randrange(10**7):07d}",
            f"account{random.randrange(ACCOUNTS)}",
        )._replace(**known)
        return someone._replace(email=self.private_address(someone))

    def private_address(self, person: Person, host: str | None = None) -> str:
        """An address that nobody has yet, at any host of mailboxes or a certain one."""
        given, family = person.latin
        patterns = (
            f"{given}.{family}",
            f"{given}{family}",
            f"{family}{given}",
            f"{given}.{family[0]}",
        )
        digits = str(self.random.randrange(10 ** self.random.choice((2, 3, 4))))
        name = self.random.choice((*patterns, f"{given[0]}{family}", f"{family}.{given}"))
        name += self.random.choice(("", digits, digits))
        return self._free(name, f"{host or self.random.choice(MAIL)}.example")

    def work_address(self, person: Person) -> str:
        """An address of the company, which makes all of them alike."""
        given, family = person.latin
        patterns = (
            f"{given}.{family}",
            f"{given}{family[0]}",
            f"{family}.{given}",
            f"{given[0]}{family}",
        )
        name = patterns[int(person.account.removeprefix("account")) % len(patterns)]
        return self._free(name, f"{person.account}.example")

    def _free(self, name: str, domain: str) -> str:
        """With a number behind it where somebody has it; some hosts do not see dots."""
        place = name if domain.startswith(("yahoo", "outlook")) else name.replace(".", "")
        endings = chain(("",), map(str, count(2)))
        ending = next(end for end in endings if f"{place}{end}@{domain}" not in self._mailboxes)
        self._mailboxes.add(f"{place}{ending}@{domain}")
        return f"{name}{ending}@{domain}"

    def tell(self, person: Person, **other: str | None) -> int:
        """A record of a person, but for what is told otherwise; returns its place."""
        told = Told(person.number, person.name, person.email, person.phone, person.account)
        self.told.append(told._replace(**other))
        return len(self.told) - 1

    def pair(self, one: Person, other: Person, kind: str, *parts: str, **told: str | None) -> None:
        """Two people who are no duplicates, and what is told of both otherwise.

        A tool may not know an address, number or company, unless that is what matters.
        """
        places = []
        for who in (one, other):
            known = dict.fromkeys(("email", "phone", "account"))
            known = {part: None for part in known if part not in parts and self.chance(20)}
            places.append(self.tell(who, **{**known, **told}))
        self.pairs.append(Pair(places[0], places[1], False, one.language, kind))

    def duplicate(self, language: str, kind: str) -> None:
        """One person told twice, with a kind of noise in addresses, numbers or the name."""
        random, person = self.random, self.person(language)
        email, phone = (random.choice(ways) for ways in DUPLICATES[kind])
        noise = random.choice(list(NAME_NOISE[language])) if self.chance(70) else "same name"
        names = NAME_NOISE[language][noise](person, random)
        both = kind == BY_NAME or self.chance(35)
        account = person.account if both or self.chance(50) else None
        first = self.tell(person, name=names[0], account=account)
        again = {"name": names[1], "account": account if both else None}
        second = self.tell(person, email=email(self, person), phone=phone(self, person), **again)
        if self.chance(10):
            self.tell(person, email=email(self, person), phone=phone(self, person), **again)
        kind = f"{kind}: {noise}" if kind == BY_NAME else kind
        self.pairs.append(Pair(first, second, True, language, kind))

    def colleagues(self, one: Person, **known: Any) -> list[Person]:
        """One and somebody else at the same company, both by their addresses there."""
        other = self.person(one.language, account=one.account, **known)
        return [who._replace(email=self.work_address(who)) for who in (one, other)]


Change = Callable[[World, Person], str | None]
BY_NAME = "name in one account"


def _other_address(world: World, person: Person) -> str:
    return world.work_address(person) if world.chance(70) else world.private_address(person)


def _other_number(world: World, person: Person) -> str:
    return world.person(person.language).phone


def _same_number(world: World, person: Person) -> str:
    return person.phone


def _none(world: World, person: Person) -> None:
    return None


def _noised(noise: Callable[[str, Random], str], field: str) -> Change:
    return lambda world, person: noise(getattr(person, field), world.random)


_TAGGED, _MISTYPED = _noised(tagged, "email"), _noised(mistyped, "email")
_ELSE = (_other_address, _none)
DUPLICATES: dict[str, tuple[tuple[Change, ...], tuple[Change, ...]]] = {  # addresses, numbers
    "tag or dots in the address": ((_TAGGED,), (_same_number, _other_number, _none)),
    "address typed wrong": ((_MISTYPED,), (_same_number, _same_number, _other_number, _none)),
    "work and private address": ((_other_address,), (*[_same_number] * 3, _other_number, _none)),
    "number in two notations": (_ELSE, (_same_number,)),
    "one digit wrong": ((*_ELSE, _MISTYPED), (_noised(wrong_digit, "phone"),)),
    "two digits swapped": ((*_ELSE, _MISTYPED), (_noised(swapped_digits, "phone"),)),
    "a digit missing or doubled": ((*_ELSE, _TAGGED), (_noised(wrong_length, "phone"),)),
    "another country's code": ((*_ELSE, _MISTYPED), (_noised(wrong_country, "phone"),)),
    BY_NAME: (_ELSE, (_other_number, _none)),
}


def family(world: World, language: str) -> None:
    one, other = world.person(language), world.person(language)
    if world.chance(70):
        other = other._replace(family=one.family)
    email = world.private_address(other, one.email.partition("@")[2].partition(".")[0])
    number = one.phone if world.chance(25) else other.phone
    two = one, other._replace(email=email, phone=number)
    world.pair(*two, "family", "phone", account=None)


def colleagues(world: World, language: str) -> None:
    one = world.person(language)
    world.pair(*world.colleagues(one, family=one.family, middle=one.middle), "colleagues")


def namesakes(world: World, language: str) -> None:
    one = world.person(language)
    known = {"given": one.given, "family": one.family, "middle": one.middle}
    world.pair(one, world.person(language, **known), "same name, other account")


def namesakes_at_work(world: World, language: str) -> None:
    one = world.person(language)
    given = one.given
    if language == "vi" and world.chance(50):
        alike = world.random.choice(ALIKE)
        one, given = one._replace(given=[alike[0]]), [alike[1]]
    known = {"given": given, "family": one.family, "middle": one.middle}
    world.pair(*world.colleagues(one, **known), "same name, same account", "account")


def block(world: World, language: str) -> None:
    random, country = world.random, "+662" if language == "th" else "+842838"
    begins = country + f"{random.randrange(10**6):06d}"[: 5 if language == "th" else 4]
    first = random.randrange(99)
    second = first + 1 if world.chance(50) else (first + random.randrange(1, 99)) % 100
    one, other = world.colleagues(world.person(language))
    two = one._replace(phone=f"{begins}{first:02d}"), other._replace(phone=f"{begins}{second:02d}")
    world.pair(*two, "numbers of one block", "phone")


def same_local_part(world: World, language: str) -> None:
    one = world.person(language)
    other = world.person(language, family=one.family)
    email = f"{one.email.partition('@')[0]}@{world.random.choice(('icloud', 'proton'))}.example"
    world.pair(one, other._replace(email=email), "same local part", "email")


def office_number(world: World, language: str) -> None:
    one, others = world.person(language), world.random.choice((1, 1, 2, 3, 5, 7, 12))
    number = f"+842439{world.random.randrange(10**6):06d}"
    world.pair(*world.colleagues(one), "office number", phone=number)
    for _ in range(others - 1):
        world.tell(world.colleagues(one)[1], phone=number)


def twin_numbers(world: World, language: str) -> None:
    one, other = world.person(language), world.person(language)
    number = one.phone[:-1] + str((int(one.phone[-1]) + 1) % 10)
    other = other._replace(phone=number)
    world.pair(one, other, "numbers bought together", "phone", account=None)


def shared_mailbox(world: World, language: str) -> None:
    one, other = world.person(language), world.person(language)
    email = one.email.replace("@", f"+{other.latin[0]}@")
    world.pair(one, other._replace(email=email), "shared mailbox", "email", account=None)


NOT_ONE = (family, colleagues, namesakes, namesakes_at_work, block, same_local_part, office_number)


def world(seed: int, of_each: int = 24) -> World:
    """So many pairs of each kind and language, and a crowd of people who are in none."""
    made = World(seed)
    for language in LANGUAGES:
        for _ in range(of_each):
            for kind in DUPLICATES:
                made.duplicate(language, kind)
            for unlike in NOT_ONE:
                unlike(made, language)
        for _ in range(of_each // 2):
            namesakes(made, language)
            colleagues(made, language)
            twin_numbers(made, language)
        for _ in range(of_each // 8):
            shared_mailbox(made, language)
    for _ in range(CROWD):
        who = made.person(made.random.choice(LANGUAGES))
        made.tell(who, account=who.account if made.chance(40) else None)
    return made


def deliveries(made: World) -> Iterator[Json]:
    """The records as touchpoints, in any order; each one's `event_id` is its place."""
    random, used = made.random, set[str]()
    for place in random.sample(range(len(made.told)), len(made.told)):
        told = made.told[place]
        number = written(told.phone, random) if told.phone else None
        known = {"name": told.name, "email": told.email, "phone": number}
        named = [
            kind
            for kind in random.choice((("email",), ("email", "phone"), ("phone",), ()))
            if (value := getattr(told, kind)) and value not in used
            if kind == "email" or is_possible_number(parse(value))
        ]
        used |= {getattr(told, kind) for kind in named}
        who = [{"kind": kind, "value": known[kind]} for kind in named]
        yield {
            "source": "crm",
            "event_id": str(place),
            "type": "form_submitted",
            "occurred_at": "2026-03-01T08:00:00+07:00",
            "identifiers": who or [{"kind": "crm_id", "value": str(place)}],
            "account": told.account,
            "personal": {kind: value for kind, value in known.items() if kind not in named},
        }
