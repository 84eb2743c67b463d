"""What can be wrong with rule sets."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.errors.base import EngineError
from engine.nearest import guess


class Fault(NamedTuple):
    """One thing wrong with a rule file: the key, its line (from 1) where known, and why."""

    key: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}: "
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class RulesInvalid(EngineError):
    """A rule file has faults; `faults` lists every one, sorted by line."""

    code = "rules_invalid"
    exit_code = 2

    def __init__(self, origin: str, faults: Sequence[Fault]) -> None:
        listed = "".join(f"\n  {fault}" for fault in faults)
        many = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        super().__init__(f"{origin} has {many}; mend and check again:{listed}")
        self.origin = origin
        self.faults = list(faults)


class Clash(NamedTuple):
    """What two rule files say differently: what it is called, and the two places."""

    what: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.what} stands in {self.first} and in {self.second}"


class RulesClash(EngineError):
    """Rule sets that cannot become one; `clashes` lists every reason."""

    code = "rules_clash"
    exit_code = 2

    def __init__(self, clashes: Sequence[Clash]) -> None:
        listed = "".join(f"\n  {clash}" for clash in clashes)
        super().__init__(f"these rule sets clash; rename or leave out one of each:{listed}")
        self.clashes = list(clashes)


class RulesUnreadable(EngineError):
    """A rule file cannot be read."""

    code = "rules_unreadable"
    exit_code = 4

    def __init__(self, path: str, cause: Exception, shipped: Iterable[str]) -> None:
        reason = getattr(cause, "strerror", None) or str(cause)
        fix = "name a TOML file, or a rule set that `leadledger rules list` shows"
        hint = f"{guess(path, shipped)} {fix}".lstrip()
        super().__init__(f"cannot read the rules {path}: {reason}; {hint}")


class UnknownRuleSet(EngineError):
    """A rule set's id that nothing was kept under."""

    code = "unknown_rule_set"
    exit_code = 4

    def __init__(self, rules_id: str) -> None:
        super().__init__(
            f"no rule set with id {rules_id} in this database; "
            "name one that `leadledger rules log` or `leadledger rules list` shows, or a file"
        )


class SeveralRuleSets(EngineError):
    """Ids of several rule sets begin alike."""

    code = "several_rule_sets"
    exit_code = 4

    def __init__(self, beginning: str, ids: Sequence[str]) -> None:
        super().__init__(
            f"the ids of {len(ids)} rule sets begin with {beginning}: {', '.join(ids)}; "
            "write more of the one that you mean"
        )


class NamesLost(EngineError):
    """A rule set cannot go on from the one before it; `names` lists what it has no word for."""

    code = "names_lost"
    exit_code = 2

    def __init__(self, earlier: str, later: str, names: Sequence[str]) -> None:
        listed = "".join(f"\n  {name}" for name in names)
        super().__init__(
            f"{later} cannot go on where {earlier} ends, as it lacks {len(names)} of its names; "
            "add these, or publish it with --retroactive, which judges all of history anew and so "
            f"needs nothing carried over:{listed}"
        )
        self.names = list(names)


class ResourceMissing(EngineError):
    """A folder that ships with the engine is not there."""

    code = "resource_missing"

    def __init__(self, name: str, places: Sequence[object]) -> None:
        looked = " and ".join(str(place) for place in places)
        super().__init__(f"the folder {name} is missing (looked for {looked}); install again")
