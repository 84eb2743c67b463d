"""Which signals each touchpoint carries, as bits, and what else the fold needs of it.

A condition is not computed per touchpoint: the few distinct values of a field are
judged once, and give, per value, the *terms* that still hold. A term is a signal's
own conditions, or one group of its `any`; terms are bits of 64-bit words. Per *kind*,
touchpoints that are alike in all that rules ask about, the words of all values are
and-ed, those of its groups or-ed. A list of attributes that lies in one place for many
touchpoints, as journals have it, is one thing to be alike in.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.alike import alike
from engine.compiled import compiled
from engine.conditions import Operators, holds, holds_for_numbers
from engine.fold_touch import NOT_A_CHANGE
from engine.history import BOOLEAN, DOUBLE, STRING, Histories, Kept, Strings, ranges
from engine.ruleset import Condition, RuleSet, kept
from engine.stage_changes import targets_of, text_of
from engine.tables import NONE, bits

WORD = 64
PREFIX = "attributes."
AMOUNT = "amount.minor"
TEXT_FIELDS = {
    "type": "type",
    "channel": "channel",
    "source": "source",
    "actor.kind": "actor_kind",
    "actor.id": "actor_id",
    "amount.currency": "currency",
    "campaign.source": "campaign_source",
    "campaign.medium": "campaign_medium",
    "campaign.name": "campaign_name",
    "campaign.term": "campaign_term",
    "campaign.content": "campaign_content",
}
Masks = NDArray[np.int64]  # the last axis: words
Plain = str | bool | None  # a text or a flag; None: absent
MOST_JUDGED = 50_000  # values of a field, by one rule set


class Terms(NamedTuple):
    """The terms of a rule set: word 0 has the signals' own, word k the k-th groups of their `any`.

    In every word bit i is signal i, so that the groups of a signal are or-ed with one operation.
    """

    conditions: list[tuple[int, Condition]]  # term (word * 64 + bit) and condition
    all: list[int]  # every term
    with_any: int  # bits: signals that want one of their groups
    fields: list[str]  # that conditions are on
    judged: dict[str, dict[Plain, list[int]]]  # by field and value: the terms left standing

    @property
    def words(self) -> int:
        """How many words hold the terms."""
        return max(self.all, default=0) // WORD + 1

    @property
    def texts(self) -> list[str]:
        """Those of them that are texts of touches."""
        return [field for field in self.fields if field in TEXT_FIELDS]

    def asking(self, *prefixes: str) -> list[int]:
        """The terms that ask about fields that begin so."""
        return [term for term, c in self.conditions if c.field.startswith(prefixes)]

    def on(self, field: str) -> list[tuple[int, Operators]]:
        """The conditions on one field, with their terms."""
        return [(term, c.operators) for term, c in self.conditions if c.field == field]

    def standing(self, field: str, values: Sequence[Plain]) -> list[list[int]]:
        """The terms that each value of a field leaves standing, in words; each is judged once."""
        judged = self.judged.setdefault(field, {})
        if len(judged) > MOST_JUDGED:
            judged = self.judged[field] = {}  # another thread may be reading the one before
        for value in {*values} - judged.keys():
            standing = _open(1, self.words)
            for term, operators in self.on(field):
                if not holds(operators, value):
                    _clear(standing, np.zeros(1, np.int64), term)
            judged[value] = standing[0].tolist()
        return [judged[value] for value in values]


class Lookups(NamedTuple):
    """What the compiled pass reads."""

    signals: NDArray[np.int64]  # touch: those that it carries, as bits
    assigned: int  # dictionary id of the type; 0: there is none
    owner: int  # dictionary id of the attribute
    stage_changed: int  # dictionary id of the type; 0: there is none
    changes: NDArray[np.int64]  # touches of that type
    targets: NDArray[np.int32]  # of each of those


Told = list[tuple[Terms, NDArray[np.int64]]]
_told: Kept[Told] = Kept()


def lookups_of(histories: Histories, rules: RuleSet) -> Lookups:
    """Everything that `fill` needs."""
    assigned, owner, stage_changed = histories.strings.ids(["assigned", "owner", "stage_changed"])
    changes, targets = targets_of(histories, rules)
    signals = signals_of(histories, rules)
    return Lookups(signals, assigned, owner, stage_changed, changes, targets)


def signals_of(histories: Histories, rules: RuleSet) -> NDArray[np.int64]:
    """The signals that each touch carries, as bits.

    They are told once, and kept as long as the histories: what if these were folded by other
    rules with the same signals?
    """
    terms, told = _terms(rules), _told.of(histories) or _told.keep(histories, [])
    for known, signals in told:
        if known is terms:
            return signals
    signals = _signals_of(histories, terms)
    told.append((terms, signals))
    return signals


def fields_of(rules: RuleSet) -> list[str]:
    """The fields that the signals of a rule set ask about."""
    return _terms(rules).fields


def _signals(rules: RuleSet) -> str:
    return repr(rules.signals)  # which tells true from 1, where comparing does not


@kept
@partial(kept, by=_signals)
def _terms(rules: RuleSet) -> Terms:
    """The terms of a rule set's signals: one object for all rule sets with the same signals."""
    conditions, every = [], []
    for index, signal in enumerate(rules.signals):
        for word, group in enumerate((signal.conditions, *signal.any)):
            every.append(word * WORD + index)
            conditions += [(word * WORD + index, condition) for condition in group]
    with_any = bits(index for index, signal in enumerate(rules.signals) if signal.any)
    fields = sorted({condition.field for _, condition in conditions})
    return Terms(conditions, every, with_any, fields, {})


def _open(*shape: int) -> Masks:
    return np.full(shape, -1, np.int64)


def _words(terms: Iterable[int], words: int) -> Masks:
    chosen = set(terms)
    return np.array(
        [bits(term % WORD for term in chosen if term // WORD == word) for word in range(words)],
        np.int64,
    )


def _clear(masks: Masks, rows: NDArray[np.int64], term: int) -> None:
    """A term no longer holds for these rows."""
    masks[rows, term // WORD] &= ~np.int64(bits([term % WORD]))


def _signals_of(histories: Histories, terms: Terms) -> NDArray[np.int64]:
    """By kind: alike are touches with the same texts where rules ask, and the same of the rest."""
    touches = histories.touches
    kinds, first = alike(_rows(touches, [TEXT_FIELDS[field] for field in terms.texts]))
    masks = _by_texts(touches.take(first), terms, histories.strings)
    signals, asking = _carried(masks, terms).take(kinds), terms.asking(PREFIX, AMOUNT)
    undecided: NDArray[np.bool_] = np.any(masks & _words(asking, terms.words), axis=1)
    rest = np.flatnonzero(undecided[kinds])
    lists = np.where(touches["attributes"][rest] > 0, histories.attribute_at[rest], NONE)
    amounts = ["amount_minor", "currency"] if AMOUNT in terms.fields else []
    more = (touches[column][rest] for column in amounts)
    same, first = alike(np.column_stack([kinds[rest], lists, *more]))
    chosen = rest[first]
    masks = masks.take(kinds[chosen], axis=0)
    _judge_amounts(touches.take(chosen), terms, masks)
    _judge_attributes(histories, chosen, terms, masks)
    signals[rest] = _carried(masks, terms).take(same)
    return signals


def _rows(touches: NDArray[np.void], columns: Sequence[str]) -> NDArray[np.int64]:
    """Some columns side by side."""
    rows = np.empty((len(touches), len(columns)), np.int64)
    for index, column in enumerate(columns):
        rows[:, index] = touches[column]
    return rows


def _carried(masks: Masks, terms: Terms) -> NDArray[np.int64]:
    """The signals whose own conditions are left standing, and one of their groups."""
    standing = masks & _words(terms.all, terms.words)
    groups = np.bitwise_or.reduce(standing[:, 1:], axis=1)
    signals: NDArray[np.int64] = standing[:, 0] & (~np.int64(terms.with_any) | groups)
    return signals


def _by_texts(touches: NDArray[np.void], terms: Terms, strings: Strings) -> Masks:
    """The terms that the texts of some touches leave standing."""
    masks = _open(len(touches), terms.words)
    for field in terms.texts:
        ids, which = np.unique(touches[TEXT_FIELDS[field]], return_inverse=True)
        masks &= _of_texts((terms, field), ids, strings)[which]
    return masks


def _of_texts(asked: tuple[Terms, str], ids: NDArray[np.int64], strings: Strings) -> Masks:
    """The terms on a field that each text leaves standing."""
    terms, field = asked
    texts = strings.texts(ids.tolist())
    values = [text if number else None for number, text in zip(ids, texts, strict=True)]
    return np.array(terms.standing(field, values), np.int64).reshape(len(values), terms.words)


def _judge_amounts(touches: NDArray[np.void], terms: Terms, masks: Masks) -> None:
    """Strike the terms that the amounts of touches, or absent ones, do not leave standing."""
    present = touches["currency"] != 0
    for term, operators in terms.on(AMOUNT):
        verdict = np.full(len(touches), holds(operators, None))
        verdict[present] = holds_for_numbers(operators, touches["amount_minor"][present])
        _clear(masks, np.flatnonzero(~verdict), term)


def _judge_attributes(
    histories: Histories, touches: NDArray[np.int64], terms: Terms, masks: Masks
) -> None:
    """Strike the terms that the attributes of touches, or absent ones, do not leave standing."""
    counts = histories.touches["attributes"][touches].astype(np.int64)
    attributes = histories.attributes.take(ranges(histories.attribute_at[touches], counts))
    fields = [field for field in terms.fields if field.startswith(PREFIX)]
    place = _places(attributes["name"], histories.strings, fields)
    asked = np.flatnonzero(place != NONE)
    values, place = attributes.take(asked), place[asked]
    of_touch = np.repeat(np.arange(len(touches)), counts)[asked]
    starts = np.flatnonzero(np.diff(of_touch, prepend=NONE))
    judged = _of_values(values, place, (terms, fields), histories.strings)
    masks[of_touch[starts]] &= np.bitwise_and.reduceat(judged, starts, axis=0)
    there = np.zeros((len(fields), len(touches), 1), np.bool_)
    there[place, of_touch] = True
    for field, present in zip(fields, there, strict=True):
        masks &= np.where(present, -1, np.array(terms.standing(field, [None])[0], np.int64))


def _places(names: NDArray[np.int32], strings: Strings, fields: list[str]) -> NDArray[np.int64]:
    """Which of some fields each name of an attribute belongs to, or NONE."""
    ids = strings.ids([field.removeprefix(PREFIX) for field in fields])
    places = np.full(max(ids, default=0) + 2, NONE, np.int64)
    for place, id_ in enumerate(ids):
        places[id_] = place if id_ else NONE
    return places.take(names, mode="clip")


def _of_values(
    values: NDArray[np.void],
    place: NDArray[np.int64],
    asked: tuple[Terms, list[str]],
    strings: Strings,
) -> Masks:
    """The terms that each value leaves standing, by the field it is of; each is judged once."""
    terms, fields = asked
    same, first = alike(values.view(np.int64).reshape(len(values), 2))
    distinct, place = values.take(first), place[first]
    masks = _open(len(distinct), terms.words)
    for number, field in enumerate(fields):
        own = np.flatnonzero(place == number)
        if len(own):
            masks[own] = _of_distinct((terms, field), distinct.take(own), strings)
    return masks.take(same, axis=0)


def _of_distinct(asked: tuple[Terms, str], values: NDArray[np.void], strings: Strings) -> Masks:
    """The terms that each of some distinct values of an attribute leaves standing."""
    terms, field = asked
    masks, tags = _open(len(values), terms.words), values["tag"]
    for tag in {*tags.tolist()}:
        own = np.flatnonzero(tags == tag)
        bits_ = values["bits"][own]
        if tag == STRING:
            masks[own] = _of_texts(asked, bits_, strings)
        elif tag == BOOLEAN:
            masks[own] = terms.standing(field, (bits_ != 0).tolist())
        else:
            numbers = bits_.view(np.float64) if tag == DOUBLE else bits_
            for term, operators in terms.on(field):
                _clear(masks, own[~holds_for_numbers(operators, numbers)], term)
    return masks


@compiled
def fill(span, touches, attributes, attribute_at, lookups, folded):
    """Fill in FOLDED_TOUCH from 0 on with what the fold needs of touches span[0] to span[1]."""
    for touch in range(span[0], span[1]):
        record, out = touches[touch], folded[touch - span[0]]
        out["at"], out["signals"] = record["occurred_at"], lookups.signals[touch]
        out["amount"], out["currency"] = record["amount_minor"], record["currency"]
        out["owner"], out["target"], out["reserved"] = 0, NOT_A_CHANGE, 0
        if record["type"] == lookups.assigned:
            own = (attribute_at[touch], attribute_at[touch] + record["attributes"])
            out["owner"] = text_of(attributes, own, lookups.owner)
        if record["type"] == lookups.stage_changed:
            out["target"] = lookups.targets[np.searchsorted(lookups.changes, touch)]
