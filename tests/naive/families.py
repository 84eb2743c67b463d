"""Many small histories beside one another: families of people that have nothing in common."""

from typing import Any

from tests.naive.random_histories import Delivery


def of_family(told: Delivery, number: int) -> Delivery:
    """The same, of people and touchpoints of this family only."""
    renamed = {**told, "event_id": f"{number}.{told['event_id']}"}
    of = told.get("attributes") or {}
    if told["type"] == "touchpoint_retracted" and "event_id" in of:
        renamed["attributes"] = {**of, "event_id": f"{number}.{of['event_id']}"}
    for name in ("identifiers", "mentions"):
        if told.get(name):
            renamed[name] = [_who(who, number) for who in told[name]]
    return renamed


def family_of(event_id: str) -> int:
    """The number of the family that a touchpoint is of."""
    return int(event_id.partition(".")[0])


def _who(who: dict[str, Any], number: int) -> dict[str, Any]:
    value = who["value"]
    if who["kind"] == "email":
        return {**who, "value": value.replace("@", f".{number}@")}
    if who["kind"] == "phone":
        return {**who, "value": f"+849{number % 10**6:06}{value[-2:]:0>2}"}
    return {**who, "value": f"{value}-{number}"}
