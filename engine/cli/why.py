"""`lead why`: how a score came about, line by line, and what took a lead from stage to stage."""

from collections.abc import Sequence
from typing import Any

import click

from engine.cli import output
from engine.cli.one_lead import asked, named, rules_of, seen_from
from engine.cli.options import as_json, reading
from engine.cli.session import session

Document = dict[str, Any]
MICRO = 6  # decimals of a point
FIGURES = (  # of a line, and what they are called
    *(("base", "points"), ("limit", "cut by limit"), ("decay", "lost to decay")),
    *(("clamp", "cut by bounds"), ("balance", "balance")),
)
UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000))


@click.command("why", short_help="Show how scores and stages came about.")
@click.argument("lead")
@click.argument("what", required=False, type=click.Choice(("score", "stage")))
@click.argument("name", required=False)
@reading
@as_json
def why_of_lead(lead: str, what: Any, name: str | None, as_json: bool, **where: Any) -> None:
    """Show how a lead's scores and stages came about: all, one score, or one track.

    Of a score there is a line for each touchpoint that earned, with the rule by its key: the
    points of the rule, what the frequency limit cut, what decayed since the line before, what
    the bounds cut, and the balance. The columns add up to the score. Of a track there is what
    caused each stage, and what is missing for those that the lead could go to. Changes nothing.

    \b
        $ leadledger lead why email:an@example.vn
        $ leadledger lead why email:an@example.vn score engagement --as-of 2026-03-01
        $ leadledger lead why email:an@example.vn stage lifecycle --json
    """
    with session(where["db"]) as opened:
        number, view = asked(opened, lead, where)
        from engine.explain import why

        document = why(opened.facts, number, view, what, name)
    if as_json:
        output.emit(document)
        return
    zone, from_there = view.rules.zone, seen_from(view)
    for score in document.get("scores", ()):
        _draw_score(score, from_there, zone)
    for track in document.get("stages", ()):
        _draw_track(track, from_there, zone, several=len(document["rules"]) > 1)


def _draw_score(score: Document, from_there: str, zone: str) -> None:
    told = [*score["lines"], {"what": "sum", **score["sums"], "balance": score["points"]}]
    places = max(_decimals(line[figure]) for line in told for figure, _ in FIGURES)
    rows = [
        (*_words(line, zone), *(_points(line[figure], places) for figure, _ in FIGURES))
        for line in told
    ]
    columns = ("when", "touchpoint", "signal", "rule", *(words for _, words in FIGURES))
    title = f"{score['score']} {_points(score['points'])} {from_there}"
    output.table(title, columns, rows, left=4)


def _words(line: Document, zone: str) -> tuple[str, str, str, str]:
    """When and what a line is about; by which signal, and which rule."""
    if line["what"] == "sum":
        return "", "sum", "", ""
    at = output.clock(line.get("at") or line["since"], zone)
    if line["what"] == "touchpoint":
        return at, f"{line['type']} {named(line)}", line["signal"], line["rule"]
    return at, f"rules: {rules_of(line)}" if line["what"] == "boundary" else "since then", "", ""


def _draw_track(track: Document, from_there: str, zone: str, *, several: bool) -> None:
    """The visits, with the rules that judged each where those changed, and what comes next."""
    since = f" since {output.clock(track['since'], zone)}" if track["since"] else ""
    title = f"{track['track']}: {track['stage'] or 'none'}{since}, {from_there}"
    visits = [
        (visit["stage"], *(_clock(visit[at], zone) for at in ("entered", "left")), by, how)
        for visit in track["visits"]
        for by, move in [_because(visit, zone)]
        for how in [f"{move} of {rules_of(visit['rules'])}" if several else move]
    ]
    if visits:
        output.table(title, ("stage", "entered", "left", "because of", "by"), visits, left=5)
        title = ""
    ahead = [_ahead(move, zone) for move in track["next"]]
    if ahead:
        output.table(title, ("next", "move", "missing", "there already"), ahead, left=4)


def _because(visit: Document, zone: str) -> tuple[str, str]:
    """What caused a visit, and by which rule."""
    if "timer" in visit:
        return _timed(visit["timer"], zone), visit["move"]
    touchpoint = f"{visit['touchpoint']['type']} {named(visit['touchpoint'])}"
    if "told" in visit:
        return touchpoint, f"its word: {visit['told']['stage']}"
    held = "; ".join(map(condition, visit["conditions"]))
    return f"{touchpoint}: {held}", visit["move"]


def _ahead(move: Document, zone: str) -> tuple[str, str, str, str]:
    """Where a move leads, and what is missing for it."""
    if "timer" in move:
        due = f"due {output.clock(move['due'], zone)}" if move["due"] else "not due as it stands"
        return move["to"], move["move"], due, _timed(move["timer"], zone)
    missing, there = ([c for c in move["conditions"] if c["holds"] is so] for so in (False, True))
    told = "; ".join(map(condition, missing)) or "nothing, at the next touchpoint"
    return move["to"], move["move"], told, "; ".join(map(condition, there))


def _timed(timer: Document, zone: str) -> str:
    """What a timed move waits for."""
    if timer["kind"] == "below_score":
        below, value = _points(timer["below"]), _points(timer["value"])
        return f"{timer['score']} {value}, once below {below}"
    of = f" {timer['of']}" if timer["of"] else ""
    what = f"without{of or ' a touchpoint'}" if timer["kind"] == "after_silence" else "in the stage"
    by = f" ({named(timer['touchpoint'])})" if timer["touchpoint"] else ""
    return f"{_span(timer['duration_us'])} {what} since {_clock(timer['counted_from'], zone)}{by}"


def condition(asked: Document) -> str:
    """A condition in words: what there is of what is wanted."""
    holds, value = asked["holds"], asked["value"]
    if asked["asks"] == "signal":
        return _some(value) if holds else f"a touchpoint with {_some(asked['any_of'])}"
    if asked["asks"] == "stage":
        return f"in {_some(value)}" if holds else f"not in {_some(asked['any_of'])}"
    if asked["asks"] == "count":
        within = f" within {_span(asked['within_us'])}" if asked["within_us"] else ""
        return f"{value} of {asked['at_least']} {asked['signal']}{within}"
    if asked["asks"] == "score":
        return _bounded(asked)
    return f"{asked['signal']} {'seen' if value else 'not seen'}"


def _bounded(asked: Document) -> str:
    """A score beside the bounds that are wanted."""
    told = f"{asked['score']} {_points(asked['value'])}"
    if asked["at_least"] is not None:
        told += f" of {_points(asked['at_least'])}"
    if asked["below"] is not None:
        told += f", to be below {_points(asked['below'])}"
    return told


def _some(names: Sequence[str]) -> str:
    return " or ".join(names)


def _span(us: int) -> str:
    """A duration in the largest unit that it is a whole number of."""
    name, size = next((name, size) for name, size in UNITS if us % size == 0)
    return f"{us // size} {name}"


def _decimals(micro: int) -> int:
    """How many decimals a number of points has."""
    return len(f"{abs(micro) % 10**MICRO:06}".rstrip("0"))


def _points(micro: int, places: int | None = None) -> str:
    """Points, exactly, with so many decimals; None: as many as there are."""
    if not micro:
        return "0"
    places = _decimals(micro) if places is None else places
    whole, rest = divmod(abs(micro), 10**MICRO)
    decimals = f".{rest:06}"[: places + 1] if places else ""
    return f"{'−' * (micro < 0)}{whole:,}{decimals}"


def _clock(instant: str | None, zone: str) -> str:
    return output.clock(instant, zone) if instant else "–"
