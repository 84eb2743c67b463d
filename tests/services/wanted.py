"""What a test needs of the machine: without it the test is skipped, and under CI it fails."""

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

Got = TypeVar("Got")


class NotHere(Exception):
    """Something is wanted, and cannot be had: what, why, and how to get it."""


def or_skip(get: Callable[[], Got]) -> Got:
    """What is got; where it is not here a test fails under CI, and elsewhere is skipped."""
    try:
        return get()
    except NotHere as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
