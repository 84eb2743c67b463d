"""A made-up business to look at: ninety days of leads of a firm that sells rooftop solar power.

It sells by form, call and quote, in Vietnam and Thailand. Every lead is a story; how far it
goes is drawn by lot, and the same seed and instant draw the same lots.
"""

from collections.abc import Iterator
from random import Random

from engine.sample.business import BOUGHT, PAYS, SEARCH_TH, SOCIAL, Json
from engine.sample.story import DAY, DAYS, instant, lead


def touchpoints(seed: int = 7, *, now: int, leads: int = 2_400) -> Iterator[Json]:
    """The sample's touchpoints in order of arrival, in the form that imports take.

    Some come late, some twice. None happened after `now`, in microseconds UTC.
    """
    until = now // 1_000_000
    told = _spend(until)
    for number in range(leads):
        told += lead(number, Random(f"{seed}/{number}"), until)
    told.sort(key=lambda arrival: arrival[0])
    return (touchpoint for _, touchpoint in told)


def _spend(until: int) -> list[tuple[int, Json]]:
    """What every bought campaign cost, week by week."""
    told = []
    for week in range(1, DAYS // 7 + 1):
        for place, campaign in enumerate(BOUGHT):
            at = until - week * 7 * DAY
            currency, step = PAYS["TH" if campaign is SEARCH_TH else "VN"]
            clicks = 300 + 37 * ((week * 5 + place * 3) % 11)
            touchpoint = {
                "source": "meta_ads" if campaign is SOCIAL else "google_ads",
                "event_id": f"spend-{place}-{week}",
                "type": "ad_spend_reported",
                "occurred_at": instant(at),
                "time_quality": "date",
                "channel": ("paid_search", "paid_search", "paid_social", "display")[place],
                "campaign": campaign,
                "amount": {"minor": clicks * step // 200, "currency": currency},
                "attributes": {"impressions": clicks * 40, "reach": clicks * 25, "clicks": clicks},
            }
            told.append((at + DAY, touchpoint))
    return told
