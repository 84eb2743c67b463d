"""Maven CRM: 8,800 opportunities, what stands in each stage and what came of them."""

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

NUMBERS = expectations("maven_crm")
RULES = f"--rules {quoted(HERE / 'maven.toml')}"
LIST_PRICE = f"--rules {quoted(HERE / 'maven_list_price.toml')}"
NOW = f"pipeline {RULES} --as-of 2017-12-31T00:00:00Z"
ENDS = {
    "2017Q1": ("2016-12-31", "2017-03-31"),
    "2017Q2": ("2017-03-31", "2017-06-30"),
    "2017Q3": ("2017-06-30", "2017-09-30"),
    "2017Q4": ("2017-09-30", "2017-12-31"),
}
NO_CENTS = 100

NO_MAXIMUM = "ages and cycles are told by mean, median and p90, not by counts beyond a limit"
NO_FORECAST = "a forecast from win rates and prices is no figure of a pipeline"
NO_SURVIVAL = "cumulative incidences are no figure of a pipeline"
UNMATCHED = {
    "date_range": "no command prints the first and the last instant of a kind of touchpoint",
    "missing/engage_date": "no command counts what a file's columns lack",
    "missing/close_date": "no command counts what a file's columns lack",
    "agents_without_deals": "who has no deal is in no touchpoint",
    "median_won_value": "values are told by their sum, not by their distribution",
    "engaging_age_days/over_90": NO_MAXIMUM,
    "engaging_age_days/over_138_longest_won_cycle": NO_MAXIMUM,
    "engaging_age_days/longest_won_cycle": NO_MAXIMUM,
    "weighted_open_value": NO_FORECAST,
    "velocity_per_day": NO_FORECAST,
    "velocity_inputs": NO_FORECAST,
    "cumulative_incidence_days": NO_SURVIVAL,
    "naive_vs_censored_30d": NO_SURVIVAL,
}


def deal(document: Document) -> Document:
    """The figures of the one track."""
    (track,) = document["tracks"]
    return dict(track)


def stage(figures: Document, name: str) -> Document:
    return next(stage for stage in figures["stages"] if stage["stage"] == name)


def dollars(figures: Document, name: str) -> int:
    """The value in a stage, in whole dollars: the file knows no cents."""
    whole, cents = divmod(stage(figures, name)["value"].get("USD", 0), NO_CENTS)
    assert cents == 0
    return whole


def win_rates(document: Document) -> dict[str, Any]:
    return buckets(deal(document), lambda bucket: bucket["win_rate"])


def of_agent(bucket: Document) -> dict[str, Any]:
    return {
        "won": bucket["won"],
        "lost": bucket["lost"],
        "win_rate": bucket["win_rate"],
        "won_value": dollars(bucket, "won"),
    }


def without_account(document: Document) -> dict[str, int]:
    (none,) = (b for b in deal(document)["buckets"] if b["by"] == {"attributes.sector": "(none)"})
    counts = {name.title(): stage(none, name)["count"] for name in ("engaging", "prospecting")}
    counts |= {name.title(): stage(none, name)["count"] for name in ("won", "lost")}
    return {name: count for name, count in counts.items() if count}


def cycles(document: Document) -> dict[str, Any]:
    won, lost = deal(document)["time_to_won"], deal(document)["time_to_lost"]
    return {
        "won_mean": won["mean_days"],
        "won_median": won["median_days"],
        "lost_mean": lost["mean_days"],
        "lost_median": lost["median_days"],
    }


def weighted_by_list_price(document: Document) -> float:
    won, lost = dollars(deal(document), "won"), dollars(deal(document), "lost")
    return won / (won + lost)


def waterfall(before: Document, after: Document, funnel_before: Document, funnel_after: Document):
    opening, closing = deal(before), deal(after)
    return {
        "opening": stage(opening, "engaging")["count"],
        "entered": reached(funnel_after, 1) - reached(funnel_before, 1),
        "won": closing["won"] - opening["won"],
        "lost": closing["lost"] - opening["lost"],
        "closing": stage(closing, "engaging")["count"],
    }


def pipeline_at(day: str) -> str:
    return f"pipeline {RULES} --as-of {day}T00:00:00Z"


def funnel_at(day: str) -> str:
    return f"funnel engaged_to_won {RULES} --as-of {day}T00:00:00Z"


FIGURES = [
    figure("rows", NOW)(lambda now: now["leads"]),
    figure("stages", NOW)(
        lambda now: {one["stage"].title(): one["count"] for one in deal(now)["stages"]}
    ),
    figure("missing/account", f"{NOW} --by attributes.sector")(
        lambda now: sum(without_account(now).values())
    ),
    figure("missing/account_by_stage", f"{NOW} --by attributes.sector")(without_account),
    figure("win_rate_overall", NOW)(lambda now: deal(now)["win_rate"]),
    figure(
        "win_rate_value_weighted_by_list_price",
        f"pipeline {LIST_PRICE} --as-of 2017-12-31T00:00:00Z",
    )(weighted_by_list_price),
    figure("by_agent", f"{NOW} --by owner")(lambda now: buckets(deal(now), of_agent)),
    figure("win_rate_by_product", f"{NOW} --by attributes.product")(win_rates),
    figure("win_rate_by_region", f"{NOW} --by attributes.region")(win_rates),
    figure("win_rate_by_manager", f"{NOW} --by attributes.manager")(win_rates),
    figure("won_value_total", NOW)(lambda now: dollars(deal(now), "won")),
    *(
        figure(f"won_value_by_quarter/{quarter}", pipeline_at(first), pipeline_at(last))(
            lambda before, after: dollars(deal(after), "won") - dollars(deal(before), "won")
        )
        for quarter, (first, last) in ENDS.items()
    ),
    figure("mean_won_value", NOW)(lambda now: dollars(deal(now), "won") / deal(now)["won"]),
    figure("cycle_days", NOW)(cycles),
    *(
        figure(f"open_pipeline/{name.title()}", NOW)(
            lambda now, name=name: {
                "deals": stage(deal(now), name)["count"],
                "list_value": dollars(deal(now), name),
            }
        )
        for name in ("engaging", "prospecting")
    ),
    figure("engaging_age_days/median", NOW)(
        lambda now: stage(deal(now), "engaging")["age"]["median_days"]
    ),
    figure("engaging_age_days/mean", NOW)(
        lambda now: stage(deal(now), "engaging")["age"]["mean_days"]
    ),
    *(
        figure(f"open_engaged_at_month_end/{day}", pipeline_at(day))(
            lambda then: stage(deal(then), "engaging")["count"]
        )
        for day in NUMBERS.get("open_engaged_at_month_end", {})
    ),
    *(
        figure(
            f"waterfall_by_quarter/{quarter}",
            pipeline_at(first),
            pipeline_at(last),
            funnel_at(first),
            funnel_at(last),
        )(waterfall)
        for quarter, (first, last) in ENDS.items()
    ),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder: Path = data_set("maven_crm")
    engine = Engine(tmp_path_factory.mktemp("maven"))
    engine.run(f"import {quoted(folder / 'sales_pipeline.csv')} --mapping maven_pipeline")
    return engine


@pytest.mark.parametrize("one", FIGURES, ids=lambda one: one.expected)
def test_a_figure_is_as_computed_elsewhere(engine: Engine, one: Figure):
    found = one.pick(*(engine.ask(command) for command in one.commands))
    assert differences(at(NUMBERS, one.expected), found) == []


def test_every_expected_number_is_compared_or_listed_as_unmatched():
    assert untold("maven_crm", FIGURES, UNMATCHED) == []
