"""How long shocks last: what a variance over few origins must be corrected for."""

import numpy as np

from seqcast.panel import Floats

__all__ = ["persistence", "share_of_blocks"]

CAUTION, LONGEST = 10, 3.5


def persistence(values: Floats, horizon: int) -> float:
    """Correlation of values (n,) with those `horizon` origins before, the nearest that do not overlap; at least 0.

    The estimate r is raised by ``(1 + 10 r) horizon / n``: 1 + 3 r take away its bias (Kendall 1954, "Note on bias in
    the estimation of autocorrelation", Biometrika 41), the rest makes up for its scatter, which costs more where it is
    too low than it gains where it is too high. It ends at ``1 - 3.5 horizon / n``: longer memory can't be told from a
    trend. Both numbers are from simulation (``benchmarks/significance.py``).

    Examples
    --------
    >>> persistence(np.array([1.0, -1.0] * 20), 1)
    0.0
    >>> round(persistence(np.arange(200.0), 1), 4)
    0.9825
    """
    centred = values - values.mean()
    energy = centred @ centred
    if energy == 0:
        return 0.0
    share = horizon / len(values)
    correlation = centred[horizon:] @ centred[:-horizon] / energy
    return float(np.clip(correlation + (1 + CAUTION * correlation) * share, 0.0, max(1 - LONGEST * share, 0.0)))


def share_of_blocks(r: float, length: int, horizon: int) -> float:
    """What blocks of `length` origins hold of the variance of a mean of an AR(1) over horizons, with correlation `r`.

    ``(1 + 2 sum_{k < m} (1 - k / m) r^k) (1 - r) / (1 + r)``, m = length / horizon.

    Examples
    --------
    >>> share_of_blocks(0.0, 4, 1), round(share_of_blocks(0.8, 4, 1), 2)
    (1.0, 0.34)
    """
    m = length / horizon
    lags = np.arange(1, np.ceil(m))
    return float((1 + 2 * ((1 - lags / m) * r**lags).sum()) * (1 - r) / (1 + r))
