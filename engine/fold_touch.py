"""A touchpoint as the fold sees it."""

import numpy as np

NOT_A_CHANGE, UNRESOLVED = -1, -2  # targets, where no track is named
UNKNOWN_STAGE = 31  # in the low five bits of a target: the track is known, the stage is not
FOLDED_TOUCH = np.dtype(
    [
        ("at", "<i8"),
        ("signals", "<i8"),  # bits
        ("amount", "<i8"),
        ("currency", "<i4"),  # dictionary id, 0: no amount
        ("owner", "<i4"),  # assigned: dictionary id; else 0
        ("target", "<i4"),  # stage_changed: track * 32 + stage, or a code above
        ("reserved", "<i4"),
    ]
)
