"""model_confidence_set: the models that may be the best one."""

import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqcast.evaluation.bootstrap import block_length, bootstrap_means
from seqcast.evaluation.dependence import persistence, share_of_blocks
from seqcast.evaluation.diebold_mariano import TOO_FEW, is_enough
from seqcast.panel import Floats

__all__ = ["ModelConfidenceSet", "model_confidence_set"]

STATISTICS = ("max", "range")


@dataclass(frozen=True)
class ModelConfidenceSet:
    """Outcome of `model_confidence_set`.

    Parameters
    ----------
    included : list
        Names of the models that may be the best, in the order of the losses.
    p_values : Series
        By model: the largest 1 - level at which it stays in the set. NaN where there are too few independent origins.
    block_length : int
        Origins that were resampled together.
    """

    included: list[Hashable]
    p_values: pd.Series
    block_length: int


def model_confidence_set(
    losses: Any,
    *,
    horizon: int = 1,
    level: float = 0.9,
    statistic: str = "max",
    n_bootstrap: int = 1000,
    random_state: int | np.random.Generator | None = 0,
) -> ModelConfidenceSet:
    """Find the models among which the best one lies with a given confidence [1]_.

    Parameters
    ----------
    losses : DataFrame or array-like of shape (n_origins, n_models)
        Losses by origin, in order of time, such as those of `scaled_errors`. Origins where one is NaN are left out.
    horizon : int, default=1
        Neighbouring origins whose forecasts overlap, as in `diebold_mariano`.
    level : float, default=0.9
        Confidence of the set.
    statistic : {"max", "range"}, default="max"
        What is compared: each model with the mean of all, or each pair of models.
    n_bootstrap : int, default=1000
        Resamples.
    random_state : int, Generator or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    ModelConfidenceSet

    Raises
    ------
    ValueError
        If there are fewer than two models, or a parameter is out of its range.

    Notes
    -----
    While the hypothesis is rejected that all models in the set have the same expected loss, the worst one leaves. With
    mean losses L over the origins, "max" takes ``T = max_i t_i``, t_i the difference of L_i from the mean of the set
    over its standard error; "range" ``T = max_ij t_ij`` of the pairs. Standard errors and the distribution of T come
    from a circular block bootstrap whose blocks cover the horizon (``horizon (n / horizon)^(1/3)``
    origins). Three corrections for few blocks are not in the reference: blocks of length l find (n - l) / n of the
    variance, and less where differences persist beyond them, and the standard error of n / l of them is uncertain. So a
    resampled T is multiplied by ``sqrt(n / (n - l) / w)``, w as in `skill_interval` with the models' mean correlation,
    and divided by ``sqrt(chi2 / d)``, chi2 drawn with d = n / l - 1 degrees of freedom, as in Student's t. The p-value
    of a model is the largest of all p-values up to its elimination.

    Assumed: loss differences are stationary with short memory. With fewer than four independent origins all models
    stay, with a warning; with hardly more, few leave. In simulations of equal models the set keeps its level, to within
    a point and a half, from 50 origins on (``benchmarks/significance.py``).

    References
    ----------
    .. [1] Hansen, Lunde, Nason (2011), "The Model Confidence Set", Econometrica 79(2).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> shocks = np.random.default_rng(1).normal(size=(60, 3)) ** 2
    >>> model_confidence_set(pd.DataFrame(shocks + [0.0, 0.0, 2.0], columns=["lstm", "gru", "naive"])).included
    ['lstm', 'gru']
    """
    frame = losses if isinstance(losses, pd.DataFrame) else pd.DataFrame(np.asarray(losses))
    if frame.shape[1] < 2 or horizon < 1 or not 0 < level < 1 or statistic not in STATISTICS:
        raise ValueError(
            f"losses need at least two columns, horizon 1, level must be between 0 and 1 and statistic one of "
            f"{STATISTICS}; got {frame.shape[1]} columns, {horizon}, {level} and {statistic!r}."
        )
    values = frame.to_numpy(dtype=np.float64)
    values = values[~np.isnan(values).any(axis=1)]
    length = block_length(len(values), horizon)
    if not is_enough(len(values), horizon):
        warnings.warn(
            f"{len(values)} origins of horizon {horizon} are {TOO_FEW}: all models stay in the set.",
            UserWarning,
            stacklevel=2,
        )
        return ModelConfidenceSet(list(frame.columns), pd.Series(np.nan, index=frame.columns), length)
    random, n = np.random.default_rng(random_state), len(values)
    resampled = bootstrap_means(values, length, n_bootstrap, random)
    freedom = n / length - 1
    r = float(np.mean([persistence(difference, horizon) for difference in _centred(values).T]))
    share = share_of_blocks(r, length, horizon)
    widening = np.sqrt(n / (n - length) / share * freedom / random.chisquare(freedom, n_bootstrap))
    p_values = _eliminate(values.mean(axis=0), resampled, statistic, widening)
    included = [name for name, p in zip(frame.columns, p_values, strict=True) if p > 1 - level]
    return ModelConfidenceSet(included, pd.Series(p_values, index=frame.columns), length)


def _eliminate(means: Floats, resampled: Floats, statistic: str, widening: Floats | float) -> Floats:
    """The p-value of each model, from the means and resampled means (n_bootstrap, n_models) of the losses."""
    p_values, p_value = np.ones(len(means)), 0.0
    alive = np.arange(len(means))
    while len(alive) > 1:
        contrast = _centred if statistic == "max" else _paired
        differences, noise = contrast(means[alive]), contrast(resampled[:, alive]) - contrast(means[alive])
        error = np.sqrt(np.mean(noise**2, axis=0))
        with np.errstate(divide="ignore", invalid="ignore"):  # models that never differ are equal: 0 / 0 = 0
            t = np.nan_to_num(differences / error, nan=0.0, posinf=np.inf)
            drawn = np.nan_to_num(noise / error, nan=0.0)
        largest = widening * drawn.reshape(len(drawn), -1).max(axis=1)  # (n_bootstrap,)
        p_value = max(p_value, float(np.mean(largest > t.max())))
        if t.max() <= 0:  # all equal: nobody leaves
            break
        worst = int(np.unravel_index(np.argmax(t), t.shape)[0])
        p_values[alive[worst]] = p_value
        alive = np.delete(alive, worst)
    return p_values


def _centred(means: Floats) -> Floats:
    return means - means.mean(axis=-1, keepdims=True)


def _paired(means: Floats) -> Floats:
    return means[..., :, None] - means[..., None, :]
