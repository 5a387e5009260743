"""Gives every trial a chance of its own."""

from __future__ import annotations

import numpy as np


def trial_seed(study_seed: int, number: int) -> int:
    """Mix the seed of a study with the number of a trial, so that neighbours of either share nothing.

    Args:
        study_seed: Seed of the study, at least 0.
        number: Number of the trial, at least 0.

    Returns:
        A seed in [0, 2**32), the same on every machine.
    """
    return int(np.random.SeedSequence((study_seed, number)).generate_state(1)[0])
