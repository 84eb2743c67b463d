"""Histories: the touchpoints of many leads as columns, in happening order.

Recording packs each touchpoint into one byte string: a `TOUCH` record, then its
attributes as `ATTRIBUTE` records (sorted by name id), then its event id in UTF-8. Ids of strings come from
the store's dictionary, from 1; 0 stands for "absent". Reading is joining and
viewing; nothing is decoded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NEVER = np.iinfo(np.int64).max  # "not yet", "open", "never due"

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
        ("reserved", "u1"),
    ]
)
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


@dataclass(frozen=True)
class Histories:
    """Touchpoints of n leads; lead i has touches[starts[i]:starts[i + 1]], in happening order.

    Attributes of touch j are attributes[attribute_at[j] : attribute_at[j] + touches["attributes"][j]];
    its event id is event_ids[event_id_at[j] : event_id_at[j] + event_id_size[j]].
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

    def event_id(self, touch: int) -> str:
        """The event id of one touch."""
        at = int(self.event_id_at[touch])
        return bytes(self.event_ids[at : at + int(self.event_id_size[touch])]).decode()


def unpack(
    leads: list[str], starts: NDArray[np.int64], rows: Sequence[bytes], positions: NDArray[Any], strings: Strings
) -> Histories:
    """Histories from packed rows, grouped by lead as `starts` says, in any order within a lead."""
    raise NotImplementedError
