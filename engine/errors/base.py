"""The root of the error tree."""


class EngineError(Exception):
    """Anything that the engine refuses or cannot do, told in one sentence.

    `code` is stable and machine-readable; `exit_code` is what a command that
    ends with this error returns (1 fault of ours, 2 usage, 3 input refused,
    4 not found, 7 a part is away).
    """

    code = "fault"
    exit_code = 1
