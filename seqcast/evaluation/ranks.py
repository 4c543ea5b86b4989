"""friedman: ranks of models over independent data sets."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import f, rankdata, studentized_range

from seqcast.panel import Floats

__all__ = ["Friedman", "friedman"]


@dataclass(frozen=True)
class Friedman:
    """Outcome of `friedman`.

    Parameters
    ----------
    mean_ranks : Series
        By model, the best first.
    statistic, p_value : float
        Of the test that all models have the same rank, in the form of Iman and Davenport.
    pairwise : DataFrame
        Nemenyi's p-value of each pair of models.
    critical_difference : float
        Mean ranks farther apart than this differ at 1 - level.
    n_datasets : int
        Data sets.
    """

    mean_ranks: pd.Series
    statistic: float
    p_value: float
    pairwise: pd.DataFrame
    critical_difference: float
    n_datasets: int


def friedman(losses: Any, *, independent: bool = False, level: float = 0.95) -> Friedman:
    """Compare models by their ranks over independent data sets: Friedman's test [2]_ with Nemenyi's pairs [1]_.

    Parameters
    ----------
    losses : DataFrame or array-like of shape (n_datasets, n_models) or (n_datasets, n_origins, n_models)
        Losses by data set. With the losses of each origin it is tested whether the data sets move together.
    independent : bool, default=False
        Your word that the data sets are independent: of different sources, or times. It must be given.
    level : float, default=0.95
        Confidence of the critical difference.

    Returns
    -------
    Friedman

    Raises
    ------
    ValueError
        If the data sets are not declared independent, move together, are fewer than three, or have NaN.

    Warns
    -----
    UserWarning
        If the rows are named "series", as those of one panel are.

    Notes
    -----
    With mean ranks R of k models over N data sets, ``chi2 = 12 N / (k (k + 1)) (sum R² - k (k + 1)² / 4)`` (corrected
    for ties) and ``F = (N - 1) chi2 / (N (k - 1) - chi2)`` with (k - 1) and (k - 1)(N - 1) degrees of freedom.
    Nemenyi's critical difference is ``q sqrt(k (k + 1) / 12 N)``, q the quantile of the studentized range of k means
    with infinite degrees of freedom.

    The rows must be independent. The series of one panel are not: they share their times, so that one shock makes the
    same model look better on all of them; with 100 such series the test rejects a true null in up to 99 % of the cases.
    For a panel use the interval and the verdict of `leaderboard`, which resample time for all series together. With
    losses by origin, the mean correlation of the loss differences between data sets is compared with its values
    after shifting the data sets against each other in time at random; at p < 1 % the call is refused.

    References
    ----------
    .. [1] Demšar (2006), "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7.
    .. [2] Iman, Davenport (1980), "Approximations of the critical region of the Friedman statistic", Communications in
       Statistics 9(6).

    Examples
    --------
    >>> import pandas as pd
    >>> losses = pd.DataFrame({"lstm": [1.0, 2.0, 3.0, 1.0], "naive": [2.0, 3.0, 4.0, 3.0]}, index=list("abcd"))
    >>> friedman(losses, independent=True).mean_ranks.to_dict()
    {'lstm': 1.0, 'naive': 2.0}
    """
    if not independent:
        raise ValueError(
            "Friedman's test needs independent data sets; the series of one panel share their shocks and are not. Say "
            "independent=True if they are; for a panel use leaderboard(result, reference=...)."
        )
    frame = _by_data_set(losses)
    if len(frame) < 3 or frame.shape[1] < 2 or frame.isna().to_numpy().any() or not 0 < level < 1:
        raise ValueError(
            f"losses need at least 3 data sets, 2 models and no NaN, and level must be between 0 and 1; got "
            f"{len(frame)} x {frame.shape[1]} with {int(frame.isna().to_numpy().sum())} NaN, and {level}."
        )
    ranks = rankdata(frame.to_numpy(dtype=np.float64), axis=1)  # (n_datasets, n_models)
    means, (n, k) = ranks.mean(axis=0), ranks.shape
    statistic = _statistic(ranks)
    error = np.sqrt(k * (k + 1) / (12 * n))
    pairs = studentized_range.sf(np.abs(means[:, None] - means) / error, k, np.inf)
    names = frame.columns
    return Friedman(
        pd.Series(means, index=names, name="mean_rank").sort_values(kind="stable"),
        statistic,
        float(f.sf(statistic, k - 1, (k - 1) * (n - 1))),
        pd.DataFrame(pairs, index=names, columns=names),
        float(studentized_range.ppf(level, k, np.inf) * error),
        n,
    )


def _by_data_set(losses: Any) -> pd.DataFrame:
    """Losses (n_datasets, n_models); raise or warn where they look like the series of one panel."""
    if isinstance(losses, pd.DataFrame):
        if losses.index.name == "series":
            warnings.warn(
                "The rows of losses are named 'series': those of one panel are not independent, and Friedman's test "
                "then finds differences where there are none. Give one row for each data set.",
                UserWarning,
                stacklevel=3,
            )
        return losses
    values = np.asarray(losses, dtype=np.float64)
    if values.ndim == 3:
        p_value = _p_of_moving_together(values)
        if p_value < 0.01:
            raise ValueError(
                f"The losses of the {len(values)} data sets move together in time (p = {p_value:.3f}): they are not "
                "independent. For the series of one panel use leaderboard(result, reference=...)."
            )
        values = values.mean(axis=1)
    return pd.DataFrame(values)


def _p_of_moving_together(losses: Floats, n_shifts: int = 299) -> float:
    """p-value of the mean correlation between data sets, by random circular shifts of each in time."""
    difference = losses - losses.mean(axis=2, keepdims=True)  # (n_datasets, n_origins, n_models)
    difference = difference - difference.mean(axis=1, keepdims=True)
    difference /= np.maximum(np.sqrt((difference**2).sum(axis=1, keepdims=True)), 1e-300)
    random, n = np.random.default_rng(0), losses.shape[1]
    steps = np.arange(n)

    def together(shifts: Any) -> float:  # the more correlated, the longer the sum
        where = (steps + np.asarray(shifts)[:, None]) % n  # (n_datasets, n_origins)
        return float((np.take_along_axis(difference, where[..., None], axis=1).sum(axis=0) ** 2).sum())

    drawn = [together(random.integers(0, n, len(losses))) for _ in range(n_shifts)]
    seen = together(np.zeros(len(losses), dtype=np.int64))
    return (1 + sum(other >= seen for other in drawn)) / (1 + n_shifts)


def _statistic(ranks: Floats) -> float:
    """Iman and Davenport's F, from the sums of squares of the ranks (so ties are corrected for)."""
    n, k = ranks.shape
    between = n * ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum()
    within = ((ranks - (k + 1) / 2) ** 2).sum() - between
    return float((n - 1) * between / within) if within > 0 else (np.inf if between > 0 else 0.0)
