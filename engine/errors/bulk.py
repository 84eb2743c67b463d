"""What can go wrong with work that others do: processes of a pool, machines of a cluster."""

from engine.errors.base import EngineError


class ClusterMissing(EngineError):
    """A cluster is wanted, and its library is not installed."""

    code = "cluster_missing"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "a cluster needs ray, which is not installed; "
            "install leadledger[cluster], or leave out --on to fold on this machine"
        )


class ClusterAway(EngineError):
    """A cluster does not answer, or stopped answering."""

    code = "cluster_away"
    exit_code = 7

    def __init__(self, address: str, problem: str) -> None:
        told = problem.strip().split("\n")[0].rstrip(".")
        super().__init__(
            f"the cluster {address} is away ({told}); nothing was changed: "
            "try again when it is back, or leave out --on to fold on this machine"
        )


class WorkerDied(EngineError):
    """A process of the pool was ended from outside."""

    code = "worker_died"
    exit_code = 7

    def __init__(self) -> None:
        super().__init__(
            "a process of the pool was ended from outside, most likely for want of memory; "
            "nothing was changed: try again, or leave out --on to fold in one process"
        )


class FailedElsewhere(EngineError):
    """A worker met an error of ours; it tells the same."""

    def __init__(self, told: str, code: str, exit_code: int) -> None:
        super().__init__(told)
        self.code, self.exit_code = code, exit_code

    def __reduce__(self) -> tuple[type["FailedElsewhere"], tuple[str, str, int]]:
        return FailedElsewhere, (str(self), self.code, self.exit_code)
