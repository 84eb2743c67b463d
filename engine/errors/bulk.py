"""What can go wrong with work that others do: processes of a pool, machines of a cluster."""

from engine.errors.base import EngineError


class OnlyHere(EngineError):
    """Others are asked to fold what they cannot read."""

    code = "only_here"
    exit_code = 2

    def __init__(self, place: str) -> None:
        super().__init__(
            f"{place} folds from the journal, which has all that is known now and nothing older; "
            "leave out --known-at, or leave out --on to fold in this process"
        )


class ClusterMissing(EngineError):
    """A cluster is wanted, and its library is not installed."""

    code = "cluster_missing"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "a cluster needs ray, which is not installed; "
            "pip install 'leadledger[cluster]', or leave out --on to fold on this machine"
        )


class ClusterAway(EngineError):
    """A cluster does not answer, or stopped answering."""

    code = "cluster_away"
    exit_code = 7

    def __init__(self, address: str, problem: str) -> None:
        lines = problem.strip().splitlines() or ["it says nothing"]
        told = lines[-1 if lines[0].endswith(":") else 0].strip().rstrip(".")  # after a traceback
        super().__init__(
            f"the cluster {address} is away ({told}); nothing was changed: "
            "try again when it is back, or leave out --on to fold on this machine"
        )


class ClusterDiffers(EngineError):
    """Workers of a cluster do not know what they are asked to do."""

    code = "cluster_differs"
    exit_code = 2

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(
            f"workers of the cluster {address} have another leadledger, or none ({problem}); "
            "install the same version on each of its machines"
        )


class WorkerDied(EngineError):
    """Who folded was ended from outside: the process of a pool, or all that a cluster tried."""

    code = "worker_died"
    exit_code = 7

    def __init__(self, who: str) -> None:
        super().__init__(
            f"{who} ended from outside, most likely for want of memory; "
            "nothing was changed: try again, or leave out --on to fold in one process"
        )


class FailedElsewhere(EngineError):
    """A worker met an error of ours; it tells the same."""

    def __init__(self, told: str, code: str, exit_code: int) -> None:
        super().__init__(told)
        self.code, self.exit_code = code, exit_code

    def __reduce__(self) -> tuple[type["FailedElsewhere"], tuple[str, str, int]]:
        return FailedElsewhere, (str(self), self.code, self.exit_code)
