"""The fold: one lead's touchpoints, in happening order, to its state at an instant."""

from collections import Counter

from tests.naive.book import Book
from tests.naive.lead import Item, Lead
from tests.naive.moves import take_moves
from tests.naive.rules import Move
from tests.naive.timers import run_timers, tell
from tests.naive.touchpoints import Touch


def fold(touches: list[Touch], book: Book, until: int, met: Counter[str]) -> Lead:
    """The lead as of `until`, all timed moves due up to then applied."""
    boundaries = [at for at in book.boundaries() if at <= until]
    lead = Lead(book.in_force(boundaries[0] - 1 if boundaries else until), met)
    lead.scores = {score.name: 0 for score in lead.rules.scores}
    for touch in touches:
        if touch.at > until:
            break
        while boundaries and boundaries[0] <= touch.at:
            cross(lead, book, boundaries.pop(0))
        apply(lead, touch)
    for boundary in boundaries:
        cross(lead, book, boundary)
    run_timers(lead, until + 1)
    lead.met["timer:at_the_read"] += any(
        isinstance(visit.cause, Move) and visit.entered == until for visit in lead.visits
    )
    return lead


def apply(lead: Lead, touch: Touch) -> None:
    """Let one touchpoint change a lead."""
    run_timers(lead, touch.at)
    signals = lead.rules.signals_of(touch)
    earn(lead, touch, signals)
    remember(lead, touch, signals)
    lead.items.append(Item(touch.at, touch=touch))
    entered = take_moves(lead, touch, signals)
    for clock in lead.rules.clocks:
        tell(lead, clock, touch.at, signals, entered)


def cross(lead: Lead, book: Book, boundary: int) -> None:
    """Go over from one rule set to the next."""
    run_timers(lead, boundary)
    old = {score.name: lead.score_at(score, boundary) for score in lead.rules.scores}
    lead.rules = book.in_force(boundary)
    lead.scores = {score.name: score.clamped(old.get(score.name, 0)) for score in lead.rules.scores}
    lead.scored_at = lead.since = boundary
    lead.windows, lead.shown, lead.value = {}, [], None
    for touch in lead.touches:
        recall(lead, touch, lead.rules.signals_of(touch))
    lead.met["boundary"] += 1


# Scores


def earn(lead: Lead, touch: Touch, signals: frozenset[str]) -> None:
    """Bring every score forward, add all that the touchpoint earns in it, clamp."""
    for score in lead.rules.scores:
        value = before = lead.score_at(score, touch.at)
        lead.met["score:decayed"] += value != lead.scores[score.name]
        lead.met["score:decayed_to_nothing"] += value == 0 != lead.scores[score.name]
        for number, rule in enumerate(score.earns):
            if rule.signal in signals and may_earn(lead, touch, (score.name, number)):
                value += rule.points
        lead.scores[score.name] = score.clamped(value)
        lead.met["score:earned"] += value != before
        lead.met["score:floor"] += value < score.floor
        lead.met["score:cap"] += value > score.cap
    lead.scored_at = touch.at


def may_earn(lead: Lead, touch: Touch, which: tuple[str, int]) -> bool:
    """Whether the frequency limit of an earning rule, if any, lets a match earn."""
    rule = next(score for score in lead.rules.scores if score.name == which[0]).earns[which[1]]
    if rule.at_most is None:
        return True
    limit = "limit:every" if rule.every is not None else "limit:for_ever"
    opened, matches = lead.windows.get(which, (touch.at, 0))
    if rule.every is not None and touch.at >= opened + rule.every:
        opened, matches = touch.at, 0
        lead.met["limit:window_opened_again"] += 1
    lead.windows[which] = (opened, matches + 1)
    lead.met[f"{limit}:{'granted' if matches < rule.at_most else 'refused'}"] += 1
    return matches < rule.at_most


# Memory


def remember(lead: Lead, touch: Touch, signals: frozenset[str]) -> None:
    lead.touches.append(touch)
    recall(lead, touch, signals)
    if touch.type == "assigned":
        lead.owner = touch.attributes["owner"]


def recall(lead: Lead, touch: Touch, signals: frozenset[str]) -> None:
    """What the rules in force make of a touchpoint for the memory."""
    lead.shown.append((touch.at, signals))
    if lead.rules.value in signals and touch.amount is not None:
        lead.value = touch.amount
