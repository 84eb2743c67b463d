"""Which known name somebody may have meant who wrote another."""

from collections.abc import Iterable
from difflib import get_close_matches

_READ = 64  # characters of a name that are looked at
_LISTED = 16
_PART = 3  # characters that are enough to stand for the names that they occur in


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: what may be meant, else what is known."""
    names = list(known)
    if guessed := guess(name, names):
        return guessed
    if len(names) > _LISTED:
        first = get_close_matches(name[:_READ], names, n=_LISTED, cutoff=0.0)
        return f"known: {', '.join(first)} and {len(names) - _LISTED} more"
    return f"known: {', '.join(names) or 'none'}"


def guess(name: str, known: Iterable[str]) -> str:
    """`did you mean …?` with the name spelled most alike, else those that it is a part of.

    Empty where nothing comes near.
    """
    folded = {one.casefold(): one for one in known}
    written = name[:_READ].casefold()
    close = get_close_matches(written, folded, n=1)
    if not close and len(written) >= _PART:
        close = [one for one in folded if written in one][:3]
    names = [folded[one] for one in close]
    return f"did you mean {_either(names)}?" if names else ""


def _either(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
