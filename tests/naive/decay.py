"""Half-lives, in exact integers."""

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache

TICKS = 4096  # in one half-life
ENDLESS = 41  # half-lives after which nothing is left
PRECISE = Context(prec=60)


@cache
def kept(r: int) -> int:
    """M[r] = round(2^(22 - r/4096))."""
    power = PRECISE.power(Decimal(2), Decimal(22) - Decimal(r) / TICKS)
    return int(power.to_integral_value(rounding=ROUND_HALF_UP))


def tick(half_life: int, at: int) -> int:
    """The tick of an absolute grid in which an instant lies."""
    return at // (half_life // TICKS)


def after(value: int, ticks: int) -> int:
    """A score `ticks` ticks later."""
    q, r = divmod(ticks, TICKS)
    if q >= ENDLESS:
        return 0
    size = (abs(value) * kept(r) + (1 << (21 + q))) // (1 << (22 + q))
    return size if value >= 0 else -size


def decayed(value: int, half_life: int | None, since: int | None, at: int) -> int:
    """A score, last touched at `since`, as it is at an instant."""
    if half_life is None or since is None:
        return value
    return after(value, tick(half_life, at) - tick(half_life, since))


def first_tick_below(value: int, bound: int, half_life: int, since: int, start: int) -> int | None:
    """The first tick after that of `start` at which a score is below a bound, if any.

    Sizes only shrink, tick by tick, so halving the ticks that are left finds it.
    """
    base = tick(half_life, since)
    low, high = tick(half_life, start) - base, ENDLESS * TICKS
    if low >= high or not after(value, high) < bound:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if after(value, middle) < bound:
            high = middle
        else:
            low = middle
    return base + high
