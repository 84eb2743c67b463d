"""The one place that knows Numba: `compiled` turns integer functions into machine code.

With `NUMBA_DISABLE_JIT=1` in the environment, or after `leave_plain`, the same functions
run as plain Python, with the same results to the byte.

Numba keeps machine code by the age of a function's own file, and would go on using
it when a function or constant that it calls from elsewhere has changed. So the code
is kept in a folder named after the digest of all array modules together.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
KEPT_IN = "leadledger-compiled"


_plain = os.environ.get("NUMBA_DISABLE_JIT") == "1"


def leave_plain() -> None:
    """Compile nothing that is defined from now on.

    A few touchpoints are folded sooner than Numba and its machine code are loaded.
    """
    global _plain
    _plain = True


def compiled(function: Function) -> Function:
    """Compile on first call, callees and all in one piece, and keep the code for later runs.

    Inlining makes the fold three times as fast: records and arrays are handed over in dozens
    of registers each otherwise. Other threads run meanwhile: compiled code knows no objects.
    It makes no arrays and returns none; so none need to be counted, which can take half the time.
    """
    return _compiled(function, _nrt=False)


def compiled_with_arrays(function: Function) -> Function:
    """The same for what makes arrays or returns some."""
    return _compiled(function)


def _compiled(function: Function, **options: Any) -> Function:
    if _plain:
        return function
    import numba

    if "NUMBA_CACHE_DIR" not in os.environ:
        vars(numba.config)["CACHE_DIR"] = str(code_folder())
    compile_it: Any = numba.njit(
        cache=True, error_model="numpy", forceinline=True, nogil=True, **options
    )
    return cast(Function, compile_it(function))


@cache
def code_folder() -> Path:
    """Where machine code of just these sources is kept; that of others is removed."""
    package = Path(__file__).parent
    sources = (path.read_bytes() for path in sorted(package.glob("*.py")))
    digest = hashlib.sha256(b"".join(text for text in sources if b"import numpy" in text))
    beside = package / "__pycache__"
    if not os.access(beside if beside.exists() else package, os.W_OK):
        beside = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = beside / KEPT_IN / digest.hexdigest()[:16]
    if not folder.exists() and folder.parent.exists():
        shutil.rmtree(folder.parent, ignore_errors=True)
    return folder
