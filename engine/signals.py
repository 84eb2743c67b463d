"""Which signals each touchpoint carries, as bits, and what else the fold needs of it.

A condition is not computed per touchpoint: the few distinct values of a field are
judged once, and give, per value, the *terms* that still hold. A term is a signal's
own conditions, or one group of its `any`; terms are bits of 64-bit words. Per
touchpoint, the words of all its values are and-ed, those of its groups or-ed.
"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.alike import alike
from engine.compiled import compiled
from engine.conditions import Operators, holds, holds_for_numbers
from engine.fold_touch import NOT_A_CHANGE
from engine.history import BOOLEAN, DOUBLE, LONG, STRING, Histories, Kept, Strings
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
MOST_JUDGED = 50_000  # texts of a field, by one rule set


class Terms(NamedTuple):
    """The terms of a rule set: word 0 has the signals' own, word k the k-th groups of their `any`.

    In every word bit i is signal i, so that the groups of a signal are or-ed with one operation.
    """

    conditions: list[tuple[int, Condition]]  # term (word * 64 + bit) and condition
    all: list[int]  # every term
    with_any: int  # bits: signals that want one of their groups
    judged: dict[str, dict[str | None, list[int]]]  # by field and text: the terms left standing

    @property
    def words(self) -> int:
        """How many words hold the terms."""
        return max(self.all, default=0) // WORD + 1

    def on(self, field: str) -> list[tuple[int, Operators]]:
        """The conditions on one field, with their terms."""
        return [(term, c.operators) for term, c in self.conditions if c.field == field]

    def asking(self, *prefixes: str) -> list[int]:
        """The terms that ask about fields that begin so."""
        return [term for term, c in self.conditions if c.field.startswith(prefixes)]

    def standing(self, field: str, texts: list[str | None]) -> list[list[int]]:
        """The terms that each text of a field leaves standing, in words; each is judged once."""
        judged = self.judged.setdefault(field, {})
        if len(judged) > MOST_JUDGED:
            judged.clear()
        for text in {*texts} - judged.keys():
            standing = _open(1, self.words)
            for term, operators in self.on(field):
                if not holds(operators, text):
                    _clear(standing, np.zeros(1, np.int64), term)
            judged[text] = standing[0].tolist()
        return [judged[text] for text in texts]


class Lookups(NamedTuple):
    """What the compiled pass reads."""

    kinds: NDArray[np.int64]  # touch: alike are those with the same texts where rules ask
    by_kind: Masks  # kind
    settled: NDArray[np.int64]  # kind: the signals, as bits, where nothing else decides
    unsettled: NDArray[np.bool_]  # kind: amounts or attributes may decide
    by_amount: Masks  # touch; empty where rules do not ask
    slots: NDArray[np.int64]  # by dictionary id: the slot of an attribute's name, or NONE
    judged: NDArray[np.int32]  # attribute: its row of by_attribute, where its name has a slot
    by_attribute: Masks  # distinct texts, numbers and flags, by slot
    absent: Masks  # slot
    met: NDArray[np.int64]  # slot: scratch, the last touch that had it
    all_terms: Masks
    asking: Masks  # the terms that ask about attributes
    with_any: int
    assigned: int  # dictionary id of the type; 0: there is none
    owner: int  # dictionary id of the attribute
    stage_changed: int  # dictionary id of the type; 0: there is none
    changes: NDArray[np.int64]  # touches of that type
    targets: NDArray[np.int32]  # of each of those
    known: NDArray[np.int64]  # the signals of each touch; empty before they are told


_judged: Kept[tuple[Terms, Lookups]] = Kept()


def lookups_of(histories: Histories, rules: RuleSet) -> Lookups:
    """Everything that `fill` needs to tell the signals of these touches, judged once.

    What the signals last asked about come to is kept as long as the histories: what if these
    were folded by other rules with the same signals?
    """
    terms = _terms(rules)
    known = _judged.of(histories)
    if known is None or known[0] is not terms:
        known = _judged.keep(histories, (terms, _lookups(histories, terms)))
    changes, targets = targets_of(histories, rules)
    return known[1]._replace(changes=changes, targets=targets)


def keep_signals(histories: Histories, rules: RuleSet, signals: NDArray[np.int64]) -> None:
    """Tell `lookups_of` what `fill` told of all touches, so that it need not judge them again."""
    known = _judged.of(histories)
    if known is not None and known[0] is _terms(rules):
        _judged.keep(histories, (known[0], known[1]._replace(known=signals)))


def _lookups(histories: Histories, terms: Terms) -> Lookups:
    """All but where a stage_changed leads."""
    fields = sorted({condition.field for _, condition in terms.conditions})
    asked = [field for field in fields if field in TEXT_FIELDS]
    names = [field for field in fields if field.startswith(PREFIX)]
    slots, judged, by_attribute, absent = _attribute_masks(histories, terms, names)
    assigned, owner, changed = histories.strings.ids(["assigned", "owner", "stage_changed"])
    kinds, by_kind = _kind_masks(histories, terms, asked)
    settled, unsettled = _settled(by_kind, terms)
    return Lookups(
        kinds=kinds,
        by_kind=by_kind,
        settled=settled,
        unsettled=unsettled,
        by_amount=_amount_masks(histories, terms) if AMOUNT in fields else _open(0, terms.words),
        slots=slots,
        judged=judged,
        by_attribute=by_attribute,
        absent=absent,
        met=np.full(len(absent), -1, np.int64),
        all_terms=_words(terms.all, terms.words),
        asking=_words(terms.asking(PREFIX), terms.words),
        with_any=terms.with_any,
        assigned=assigned,
        owner=owner,
        stage_changed=changed,
        changes=np.zeros(0, np.int64),
        targets=np.zeros(0, np.int32),
        known=np.zeros(0, np.int64),
    )


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
    return Terms(conditions, every, with_any, {})


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


def _kind_masks(
    histories: Histories, terms: Terms, fields: list[str]
) -> tuple[NDArray[np.int64], Masks]:
    """The kind of each touch, and by kind: the terms that its texts leave standing."""
    touches = histories.touches
    texts = np.empty((len(touches), len(fields)), np.int64)
    for index, field in enumerate(fields):
        texts[:, index] = touches[TEXT_FIELDS[field]]
    kinds, first = alike(texts)
    masks = _open(len(first), terms.words)
    for index, field in enumerate(fields):
        ids, which = np.unique(texts[first, index], return_inverse=True)
        masks &= _of_texts((terms, field), ids, histories.strings)[which]
    return kinds, masks


def _settled(by_kind: Masks, terms: Terms) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """By kind: the signals, if amounts and attributes decide nothing; and whether they may."""
    standing = by_kind & _words(terms.all, terms.words)
    asking = standing & _words(terms.asking(PREFIX, AMOUNT), terms.words)
    sure = standing & ~asking
    groups = np.bitwise_or.reduce(sure[:, 1:], axis=1)
    open_groups = np.bitwise_or.reduce(asking[:, 1:], axis=1) & standing[:, 0] & ~groups
    settled = standing[:, 0] & (~np.int64(terms.with_any) | groups)
    return settled, (asking[:, 0] | open_groups) != 0


def _of_texts(asked: tuple[Terms, str], ids: NDArray[np.int64], strings: Strings) -> Masks:
    """The terms on a field that each text leaves standing."""
    terms, field = asked
    texts = strings.texts(ids.tolist())
    values = [text if number else None for number, text in zip(ids, texts, strict=True)]
    return np.array(terms.standing(field, values), np.int64).reshape(len(values), terms.words)


def _amount_masks(histories: Histories, terms: Terms) -> Masks:
    touches = histories.touches
    masks = _open(len(touches), terms.words)
    present = touches["currency"] != 0
    for term, operators in terms.on(AMOUNT):
        verdict = np.full(len(touches), holds(operators, None))
        verdict[present] = holds_for_numbers(operators, touches["amount_minor"][present])
        _clear(masks, np.flatnonzero(~verdict), term)
    return masks


def _attribute_masks(
    histories: Histories, terms: Terms, fields: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int32], Masks, Masks]:
    """Slots by name id; each attribute's row of masks, and those; what absence leaves standing."""
    attributes, strings = histories.attributes, histories.strings
    name_ids = strings.ids([field.removeprefix(PREFIX) for field in fields])
    slots = np.full(max(name_ids, default=0) + 1, NONE, np.int64)
    for slot, name_id in enumerate(name_ids):
        slots[name_id] = slot if name_id else NONE
    absent = [terms.standing(field, [None])[0] for field in fields]
    names = attributes["name"]
    asked = np.flatnonzero((names < len(slots)) & (slots.take(names, mode="clip") != NONE))
    values = attributes.take(asked)
    which, first = alike(values.view(np.int64).reshape(len(values), 2))
    judged = np.zeros(len(attributes) if fields else 0, np.int32)
    judged[asked] = which
    distinct = values.take(first)
    masks = _open(len(distinct), terms.words)
    for slot, field in enumerate(fields):
        own = np.flatnonzero(slots[distinct["name"]] == slot)
        masks[own] = _of_values((terms, field), distinct.take(own), strings)
    return slots, judged, masks, np.array(absent, np.int64).reshape(len(fields), terms.words)


def _of_values(asked: tuple[Terms, str], values: NDArray[np.void], strings: Strings) -> Masks:
    """The terms that each of some distinct values of an attribute leaves standing."""
    terms, field = asked
    masks, texts = _open(len(values), terms.words), values["tag"] == STRING
    masks[texts] = _of_texts(asked, values["bits"][texts], strings)
    for tag, dtype in ((LONG, np.int64), (DOUBLE, np.float64)):
        numbers = np.flatnonzero(values["tag"] == tag)
        own = values["bits"][numbers].view(dtype)
        for term, operators in terms.on(field) if len(numbers) else ():
            _clear(masks, numbers[~holds_for_numbers(operators, own)], term)
    for flag in (False, True):
        flags = np.flatnonzero((values["tag"] == BOOLEAN) & (values["bits"] == flag))
        for term, operators in terms.on(field) if len(flags) else ():
            if not holds(operators, flag):
                _clear(masks, flags, term)
    return masks


@compiled
def fill(span, touches, attributes, attribute_at, lookups, folded):
    """Fill in FOLDED_TOUCH from 0 on with what the fold needs of touches span[0] to span[1]."""
    for touch in range(span[0], span[1]):
        record, out = touches[touch], folded[touch - span[0]]
        own = (attribute_at[touch], attribute_at[touch] + record["attributes"])
        out["at"] = record["occurred_at"]
        if len(lookups.known) > 0:
            out["signals"] = lookups.known[touch]
        elif lookups.unsettled[lookups.kinds[touch]]:
            out["signals"] = signals_of_touch(touch, attributes, own, lookups)
        else:
            out["signals"] = lookups.settled[lookups.kinds[touch]]
        out["amount"], out["currency"] = record["amount_minor"], record["currency"]
        out["owner"], out["target"], out["reserved"] = 0, NOT_A_CHANGE, 0
        if record["type"] == lookups.assigned:
            out["owner"] = text_of(attributes, own, lookups.owner)
        if record["type"] == lookups.stage_changed:
            out["target"] = lookups.targets[np.searchsorted(lookups.changes, touch)]


@compiled
def signals_of_touch(touch, attributes, own, lookups):
    """The signals that a touch carries, as bits."""
    signals, groups = np.int64(0), np.int64(0)
    for word in range(len(lookups.all_terms)):
        terms = lookups.all_terms[word]
        if word > 0:
            terms &= signals & lookups.with_any & ~groups
            if terms == 0:
                continue
        terms &= lookups.by_kind[lookups.kinds[touch], word]
        if len(lookups.by_amount) > 0:
            terms &= lookups.by_amount[touch, word]
        if terms & lookups.asking[word]:
            terms = still_standing(terms, (word, touch), attributes, own, lookups)
        if word == 0:
            signals = terms
        else:
            groups |= terms
    return signals & (~lookups.with_any | groups)


@compiled
def still_standing(terms, place, attributes, span, lookups):
    """Those terms that the attributes of a touch, and the absent ones, leave standing."""
    (word, touch), met = place, lookups.met
    for index in range(span[0], span[1]):
        name = attributes[index]["name"]
        if name < len(lookups.slots) and lookups.slots[name] != NONE:
            terms &= lookups.by_attribute[lookups.judged[index], word]
            met[lookups.slots[name]] = touch
    for slot in range(len(met)):
        if met[slot] != touch:
            terms &= lookups.absent[slot, word]
    return terms
