"""What the models of single series ask of their values."""

import numpy as np

from seqcast.panel import Floats

__all__ = ["first_observed", "is_constant", "without_gaps"]


def first_observed(values: Floats) -> int:
    """Step of the first observed value."""
    if np.isnan(values).all():
        raise ValueError("The series has no known value.")
    return int(np.argmin(np.isnan(values)))


def without_gaps(values: Floats) -> Floats:
    """Values from the first observed step on, gaps filled by straight lines."""
    values = values[first_observed(values) :]
    observed = np.flatnonzero(~np.isnan(values))
    return np.interp(np.arange(len(values)), observed, values[observed])


def is_constant(values: Floats) -> bool:
    """Whether values without gaps differ by no more than rounding."""
    return bool(np.ptp(values) <= 1e-10 * np.abs(values).max())
