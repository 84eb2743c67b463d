"""One row a lead: who, since when, where it stands, and what a breakdown goes by."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, MetaData, Table

from engine.folded import MAX_SCORES, MAX_TRACKS, Folded
from engine.projections.columns import NUMBER, TEXT, event_ids, picked, rows_of, texts
from engine.projections.first_values import first_values
from engine.ruleset import RuleSet
from engine.tables import bits

STAGES = tuple(f"stage_{track + 1}" for track in range(MAX_TRACKS))
SINCE = tuple(f"since_{track + 1}" for track in range(MAX_TRACKS))
SCORES = tuple(f"score_{score + 1}" for score in range(MAX_SCORES))

table = Table(
    "leads",
    MetaData(),
    Column("lead", NUMBER, primary_key=True, autoincrement=False),
    Column("id", TEXT, nullable=False),
    Column("touchpoints", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("last_at", BigInteger, nullable=False),
    Column("first_source", TEXT, nullable=False),
    Column("first_event_id", TEXT, nullable=False),
    Column("last_source", TEXT, nullable=False),
    Column("last_event_id", TEXT, nullable=False),
    Column("first_channel", TEXT, nullable=False),
    Column("last_channel", TEXT, nullable=False),
    Column("owner", TEXT),
    Column("value_minor", BigInteger, comment="minor units"),
    Column("value_currency", TEXT, comment="ISO 4217; null: no value"),
    Column("anomalies", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False, comment="bit i: signal i of the rule set was shown"),
    *(Column(name, TEXT, comment="by track, as the rule set lists them") for name in STAGES),
    *(Column(name, BigInteger, comment="when that stage was entered") for name in SINCE),
    *(Column(name, BigInteger, comment="micro-points as of last_at") for name in SCORES),
    Column("first_values", TEXT, nullable=False, comment="JSON: first campaign.* and attributes.*"),
)


def derive(folded: Folded) -> pl.DataFrame:
    """One row per lead with a folded touchpoint; `lead` is the index among the histories."""
    leads = np.flatnonzero(folded.states["touchpoints"])
    states = folded.states[leads]
    names = [folded.histories.leads[lead] for lead in leads.tolist()]
    return rows_of(
        table,
        {
            "lead": pl.Series(leads),
            "id": pl.Series(names, dtype=pl.String),
            **_ends(folded, states),
            **_standing(folded, states),
            **_by_track_and_score(folded.rules, states),
            "first_values": first_values(folded).gather(leads),
        },
    )


def _ends(folded: Folded, states: NDArray[np.void]) -> dict[str, pl.Series]:
    """Where the history begins and ends."""
    histories = folded.histories
    columns: dict[str, pl.Series] = {}
    for end in ("first", "last"):
        touches = histories.touches[states[end]]
        columns |= {
            f"{end}_at": pl.Series(states[f"{end}_at"]),
            f"{end}_source": texts(histories.strings, touches["source"]),
            f"{end}_event_id": event_ids(histories, states[end]),
            f"{end}_channel": texts(histories.strings, touches["channel"]),
        }
    return columns


def _standing(folded: Folded, states: NDArray[np.void]) -> dict[str, pl.Series]:
    strings, currency = folded.histories.strings, states["value_currency"]
    return {
        "touchpoints": pl.Series(states["touchpoints"]),
        "owner": texts(strings, states["owner"]),
        "value_minor": pl.Series(states["value_minor"]).set(pl.Series(currency == 0), None),
        "value_currency": texts(strings, currency),
        "anomalies": pl.Series(states["anomalies"]),
        "seen": pl.Series(states["seen"] & bits(range(len(folded.rules.signals)))),
    }


def _by_track_and_score(rules: RuleSet, states: NDArray[np.void]) -> dict[str, pl.Series]:
    nothing = pl.repeat(None, len(states), dtype=pl.Int64, eager=True)
    columns = dict.fromkeys((*STAGES, *SINCE, *SCORES), nothing)
    for i, track in enumerate(rules.tracks):
        at = states["stage"][:, i]
        columns[STAGES[i]] = picked([stage.name for stage in track.stages], at)
        columns[SINCE[i]] = pl.Series(states["since"][:, i]).set(pl.Series(at < 0), None)
    for i in range(len(rules.scores)):
        columns[SCORES[i]] = pl.Series(states["scores"][:, i])
    return columns
