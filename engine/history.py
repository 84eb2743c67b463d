"""Histories: the touchpoints of many leads as columns, in happening order.

Recording packs each touchpoint into one byte string: a `TOUCH` record, then its
attributes as `ATTRIBUTE` records, then the numbers of the identifiers that it names
besides that of its stream, then its event id in UTF-8.
Ids of strings come from the store's dictionary, from 1; 0 stands for "absent".
Reading is joining and viewing; nothing is decoded.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from engine.touchpoint import Campaign, Scalar, Touchpoint

T = TypeVar("T")
NEVER = np.iinfo(np.int64).max  # "not yet", "open", "never due"
BEGINNING = -(1 << 62)  # of time: before any instant, and far enough from the edge to count on

TOUCH = np.dtype(
    [
        ("occurred_at", "<i8"),
        ("sequence", "<i8"),
        ("received_at", "<i8"),
        ("amount_minor", "<i8"),
        ("type", "<i4"),
        ("channel", "<i4"),
        ("source", "<i4"),
        ("currency", "<i4"),  # 0: no amount
        ("campaign_source", "<i4"),
        ("campaign_medium", "<i4"),
        ("campaign_name", "<i4"),
        ("campaign_term", "<i4"),
        ("campaign_content", "<i4"),
        ("actor_kind", "<i4"),
        ("actor_id", "<i4"),
        ("deal", "<i4"),
        ("account", "<i4"),
        ("attributes", "<u2"),  # how many ATTRIBUTE records follow
        ("time_quality", "u1"),  # 0 exact, 1 date, 2 sent, 3 received
        ("others", "u1"),  # how many numbers of identifiers follow these
    ]
)
OTHER = np.dtype("<i8")  # the number of an identifier
ATTRIBUTE = np.dtype([("name", "<i4"), ("tag", "<i4"), ("bits", "<i8")])
STRING, LONG, DOUBLE, BOOLEAN = 1, 2, 3, 4  # tags; bits: dictionary id, value, IEEE bits, 0 or 1


class Strings(Protocol):
    """The store's dictionary of strings, from 1 up."""

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The texts of these ids, in their order; 0 gives the empty string."""
        ...

    def ids(self, texts: Sequence[str]) -> list[int]:
        """The ids of these texts, in their order; 0 for a text that was never recorded."""
        ...


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Histories:
    """Touchpoints of n leads; lead i has touches[starts[i]:starts[i + 1]], in happening order.

    Attributes of touch j are the touches["attributes"][j] records of `attributes` from
    attribute_at[j] on, which are those of other touches as well where all are alike; its event
    id is the event_id_size[j] bytes of `event_ids` from event_id_at[j] on.
    """

    leads: list[str]  # n lead ids
    starts: NDArray[np.int64]  # n + 1
    touches: NDArray[np.void]  # TOUCH
    positions: NDArray[np.int64]
    attributes: NDArray[np.void]  # ATTRIBUTE, in any order
    attribute_at: NDArray[np.int64]
    event_ids: NDArray[np.uint8]
    event_id_at: NDArray[np.int64]
    event_id_size: NDArray[np.int64]
    strings: Strings
    numbers: NDArray[np.int64] = field(default_factory=_none)  # n; of the leads, in the store

    @cached_property
    def occurred_at(self) -> NDArray[np.int64]:
        """When each touch happened, side by side: microseconds, UTC."""
        return np.ascontiguousarray(self.touches["occurred_at"])

    def event_id(self, touch: int) -> str:
        """The event id of one touch."""
        at = int(self.event_id_at[touch])
        return bytes(self.event_ids[at : at + int(self.event_id_size[touch])]).decode()


Dictionary = Mapping[str | None, int]  # a text to its id; None to 0

_TOUCH = struct.Struct("<4q13iHBB")
_BITS = struct.Struct("<2iq")
_DOUBLE = struct.Struct("<2id")
_QUALITY = {"exact": 0, "date": 1, "sent": 2, "received": 3}
_NO_CAMPAIGN = Campaign()


class Kept(Generic[T]):
    """What was worked out of histories, as long as these are there."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Callable[[], Histories | None], T]] = {}

    def of(self, histories: Histories) -> T | None:
        """What is kept of these."""
        of, found = self._found.get(id(histories), (None, None))
        return found if of is not None and of() is histories else None

    def keep(self, histories: Histories, found: T) -> T:
        """Keep this of them."""
        key = id(histories)
        self._found[key] = ref(histories, lambda _: self._found.pop(key, None)), found
        return found


def pack(touchpoint: Touchpoint, ids: Dictionary, others: Sequence[int] = ()) -> bytes:
    """One touchpoint as one byte string; `ids` knows, or learns, every text in it.

    `others` are the numbers of its identifiers but the first.
    """
    campaign = touchpoint.campaign or _NO_CAMPAIGN
    actor, amount = touchpoint.actor, touchpoint.amount
    attributes = touchpoint.attributes
    record = _TOUCH.pack(
        touchpoint.occurred_at,
        touchpoint.sequence,
        touchpoint.received_at,
        amount.minor if amount else 0,
        ids[touchpoint.type],
        ids[touchpoint.channel],
        ids[touchpoint.source],
        ids[amount.currency] if amount else 0,
        ids[campaign.source],
        ids[campaign.medium],
        ids[campaign.name],
        ids[campaign.term],
        ids[campaign.content],
        ids[actor.kind] if actor else 0,
        ids[actor.id] if actor else 0,
        ids[touchpoint.deal],
        ids[touchpoint.account],
        len(attributes),
        _QUALITY[touchpoint.time_quality],
        len(others),
    )
    if attributes:
        record += _pack_attributes(attributes, ids)
    if others:
        record += struct.pack(f"<{len(others)}q", *others)
    return record + touchpoint.event_id.encode()


class Packed:
    """Packed touchpoints, some n of them, and where their parts lie."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self.data = b"".join(rows)
        sizes = np.fromiter(map(len, rows), np.int64, len(rows))
        self.at = np.cumsum(sizes) - sizes
        self.attributes = self.column("attributes").astype(np.int64)
        self._others = self.column("others").astype(np.int64)
        self._others_at = self.at + TOUCH.itemsize + self.attributes * ATTRIBUTE.itemsize
        self.event_id_at = self._others_at + self._others * OTHER.itemsize
        self.event_id_size = self.at + sizes - self.event_id_at

    def column(self, name: str) -> NDArray[Any]:
        """One field of all touches."""
        found: NDArray[Any] = _anywhere(self.data, TOUCH)[name][self.at]
        return found

    def others(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many identifiers each touchpoint names but its stream's, and their numbers."""
        at = np.repeat(self._others_at, self._others) + OTHER.itemsize * _nth(self._others)
        return self._others, _records(self.data, at, OTHER)

    def in_happening_order(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], strings: Strings
    ) -> NDArray[np.int64]:
        """Some rows, whose groups begin at `starts`, each group put in happening order."""
        when, sequence = self.column("occurred_at")[rows], self.column("sequence")[rows]
        group = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        if np.all((group[1:] > group[:-1]) | (when[1:] > when[:-1])):
            return rows
        order = np.lexsort((sequence, when, group))
        tied = np.ones(len(order) - 1, np.bool_)
        for column in (group, when, sequence):
            tied &= column[order[1:]] == column[order[:-1]]
        ordered = rows[order]
        if tied.any():
            self._break_ties(ordered, tied, strings)
        return ordered

    def _break_ties(
        self, rows: NDArray[np.int64], tied: NDArray[np.bool_], strings: Strings
    ) -> None:
        """Put rows of one instant and sequence in order of source, then event id, by UTF-8."""
        sources = self.column("source")
        known = np.unique(sources[rows]).tolist()
        text = {id_: text.encode() for id_, text in zip(known, strings.texts(known), strict=True)}
        edges = np.flatnonzero(np.diff(tied, prepend=False, append=False))
        for first, last in edges.reshape(-1, 2):
            run = rows[first : last + 1].tolist()
            run.sort(key=lambda row: (text[int(sources[row])], self.event_id(row)))
            rows[first : last + 1] = run

    def event_id(self, touch: int) -> bytes:
        """The event id of one touch, in UTF-8."""
        at = self.event_id_at[touch]
        return self.data[at : at + self.event_id_size[touch]]


def unpack(
    leads: list[str],
    starts: NDArray[np.int64],
    packed: Packed,
    positions: NDArray[np.int64],
    strings: Strings,
    rows: NDArray[np.int64] | None = None,
) -> Histories:
    """Histories from packed rows, grouped by lead as `starts` says, in any order within a lead.

    Args:
        positions: One for each packed row.
        rows: Which packed rows, and in what order; None: all as they are.
    """
    rows = np.arange(len(packed.at)) if rows is None else rows
    rows = packed.in_happening_order(rows, starts, strings)
    counts = packed.attributes[rows]
    behind = np.repeat(packed.at[rows] + TOUCH.itemsize, counts)
    return Histories(
        leads=leads,
        starts=starts,
        touches=_records(packed.data, packed.at[rows], TOUCH),
        positions=positions[rows],
        attributes=_records(packed.data, behind + ATTRIBUTE.itemsize * _nth(counts), ATTRIBUTE),
        attribute_at=np.cumsum(counts) - counts,
        event_ids=np.frombuffer(packed.data, np.uint8),
        event_id_at=packed.event_id_at[rows],
        event_id_size=packed.event_id_size[rows],
        strings=strings,
    )


def ranges(begins: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """So many indexes from each beginning on, one range after the other."""
    return np.repeat(begins, counts) + _nth(counts)


def _nth(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1 … up to each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) - np.repeat(ends - counts, counts)


def _pack_attributes(attributes: Mapping[str, Scalar], ids: Dictionary) -> bytes:
    packed = b""
    for name, value in attributes.items():
        kind = type(value)
        if kind is str:
            packed += _BITS.pack(ids[name], STRING, ids[value])  # type: ignore[index]
        elif kind is float:
            packed += _DOUBLE.pack(ids[name], DOUBLE, value)
        else:
            packed += _BITS.pack(ids[name], BOOLEAN if kind is bool else LONG, value)
    return packed


def _records(packed: bytes, at: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The records that begin at these bytes, which need not be aligned.

    Picked as bytes, each is copied at once; as records, field by field, which takes long.
    """
    whole: NDArray[Any] = _anywhere(packed, np.dtype((np.void, dtype.itemsize)))[at].view(dtype)
    return whole


def _anywhere(packed: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A record at every byte; nothing is read before some are picked."""
    size = max(0, len(packed) - dtype.itemsize + 1)
    return np.ndarray((size,), dtype, packed, strides=(1,))
