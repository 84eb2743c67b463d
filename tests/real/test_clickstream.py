"""A shop's page log: every kind of funnel over 24,344 clicks in 1,240 sessions."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.real.figures import (
    HERE,
    Document,
    Engine,
    Figure,
    at,
    buckets,
    data_set,
    differences,
    expectations,
    figure,
    quoted,
    reached,
    untold,
)

NUMBERS = expectations("clickstream_1999")
NOW = f"--rules {quoted(HERE / 'clickstream.toml')} --as-of 1999-07-01T00:00:00Z"
SECOND_US = 1_000_000

NO_PAGES = "leads are broken down by the first value of an attribute, not by all"
UNMATCHED = {
    "rows": "leads are counted, not their touchpoints",
    "pages": NO_PAGES,
    "sessions_with_page": NO_PAGES,
    "date_range": "no command prints the first and the last instant of a kind of touchpoint",
    "clicks_going_back_in_time": "file order is not recorded: touchpoints are in happening order",
    "clicks_tied_in_session": "no command counts touchpoints of one instant",
    "session_seconds": "no command tells how long leads were in touch",
    "clicks_per_session": "no command tells how many touchpoints leads have",
    "correlation_odds_ratio": "odds ratios are no figure of a funnel",
    "correlation_odds_ratio_before_conversion": "odds ratios are no figure of a funnel",
}


def funnel(name: str) -> str:
    return f"funnel {name} {NOW}"


def bars(document: Document) -> list[int]:
    return [reached(document, step) for step in range(1, len(document["steps"]) + 1)]


def seconds(document: Document) -> dict[str, Any]:
    took = document["convert"]
    return {
        "n": took["n"],
        "median": took["median_us"] / SECOND_US,
        "mean": took["mean_us"] / SECOND_US,
    }


def by_year(document: Document) -> dict[str, Any]:
    sessions: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    for month, (begun, done) in buckets(document, bars).items():
        sessions[month[:4]] += begun
        paid[month[:4]] += done
    return {year: {"sessions": sessions[year], "pay_res": paid[year]} for year in sessions}


FIGURES = [
    figure("sessions", funnel("paid"))(lambda paid: paid["entered"]),
    figure("funnel_steps", funnel("session"))(
        lambda session: [step["name"] for step in session["steps"]]
    ),
    *(
        figure(f"funnel/{name}", funnel(asked))(bars)
        for name, asked in {
            "ordered_session": "session",
            "ordered_10min": "any_10m",
            "first_entry_10min": "first_10m",
            "unordered_10min": "unordered_10m",
            "strict_session": "strict",
            "clickhouse_10min": "any_10m",
            "exclude_help_1_to_5_first": "no_help_first",
            "exclude_help_1_to_5_any": "no_help_any",
        }.items()
    ),
    *(
        figure(f"exclude_help_1_to_5_excluded_sessions/{entry}", funnel(f"no_help_{entry}"))(
            lambda voided: voided["excluded"]
        )
        for entry in ("first", "any")
    ),
    figure("totals_10min", funnel("every_10m"))(
        lambda every: {"entries": every["entered"], "conversions": reached(every, 5)}
    ),
    figure("time_to_convert_seconds", funnel("session"))(seconds),
    figure("conversion_by_year", f"{funnel('paid')} --by month")(by_year),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder: Path = data_set("clickstream_1999")
    engine = Engine(tmp_path_factory.mktemp("clickstream"))
    engine.run(f"import {quoted(folder / 'clickstream.csv')} --mapping clickstream")
    return engine


@pytest.mark.parametrize("one", FIGURES, ids=lambda one: one.expected)
def test_a_figure_is_as_computed_elsewhere(engine: Engine, one: Figure):
    found = one.pick(*(engine.ask(command) for command in one.commands))
    assert differences(at(NUMBERS, one.expected), found) == []


def test_every_expected_number_is_compared_or_listed_as_unmatched():
    assert untold("clickstream_1999", FIGURES, UNMATCHED) == []
