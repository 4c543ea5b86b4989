"""The bootstrap of time blocks: what a mean over origins could have been."""

import numpy as np

from seqcast.panel import Floats

__all__ = ["block_length", "bootstrap_means"]


def block_length(n_origins: int, horizon: int) -> int:
    """Length of the blocks: ``ceil(horizon (n / horizon)^(1/3))``, at most half of the origins.

    In units of the horizon that is the rate at which the error of a bootstrap variance is least (Lahiri 2003,
    Resampling Methods for Dependent Data, chapter 7).

    Examples
    --------
    >>> block_length(64, 1), block_length(96, 12)
    (4, 24)
    """
    length = int(np.ceil(horizon * (n_origins / horizon) ** (1 / 3) - 1e-9))
    return max(min(length, n_origins // 2), 1)


def bootstrap_means(values: Floats, length: int, n_bootstrap: int, random: np.random.Generator) -> Floats:
    """Means (n_bootstrap, n_columns) of circular blocks (Politis, Romano 1992) of values (n_origins, n_columns).

    All columns are resampled together; the last block is cut so that a resample has `n_origins` rows.
    """
    n = len(values)
    centre = values.mean(axis=0)  # sums of differences keep their digits
    run = np.concatenate([values, values[: length - 1]]) - centre
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(run, axis=0)])  # (n + length, n_columns)
    whole, rest = divmod(n, length)
    starts = random.integers(0, n, size=(n_bootstrap, whole))
    total = (sums[starts + length] - sums[starts]).sum(axis=1)  # (n_bootstrap, n_columns)
    last = random.integers(0, n, size=n_bootstrap)
    return centre + (total + sums[last + rest] - sums[last]) / n
