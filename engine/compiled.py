"""The one place that knows Numba: `compiled` turns integer functions into machine code.

With `NUMBA_DISABLE_JIT=1` in the environment the same functions run as plain
Python, with the same results to the byte.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile on first call, keep the machine code beside the module, release nothing."""
    return numba.njit(cache=True, boundscheck=False)(function)  # type: ignore[no-any-return]
