"""skill_interval: how much better than a reference, and how sure that is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seqcast.evaluation.bootstrap import block_length, bootstrap_means
from seqcast.evaluation.dependence import persistence, share_of_blocks
from seqcast.evaluation.diebold_mariano import is_enough

__all__ = ["Skill", "skill_interval"]


@dataclass(frozen=True)
class Skill:
    """Outcome of `skill_interval`.

    Parameters
    ----------
    skill : float
        1 - mean loss / mean loss of the reference.
    interval : tuple of float
        Confidence interval; NaN where there are too few independent origins.
    n_independent : int
        Origins that do not overlap.
    """

    skill: float
    interval: tuple[float, float]
    n_independent: int


def skill_interval(
    loss: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    horizon: int = 1,
    level: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: int | np.random.Generator | None = 0,
) -> Skill:
    """Skill of a forecast against a reference, with an interval from a bootstrap of time blocks.

    Parameters
    ----------
    loss, reference : array-like of shape (n_origins,)
        Losses by origin, in order of time; of a panel the mean over the series. Origins where one is NaN are left out.
    horizon : int, default=1
        Neighbouring origins whose forecasts overlap, as in `diebold_mariano`.
    level : float, default=0.95
        Of the interval.
    n_bootstrap : int, default=1000
        Resamples.
    random_state : int, Generator or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    Skill

    Raises
    ------
    ValueError
        If the losses have different shapes, or a parameter is out of its range.

    Notes
    -----
    ``skill = 1 - mean(loss) / mean(reference)``. Both are resampled together in circular blocks [1]_ that cover the
    horizon, l = ``ceil(horizon (n / horizon)^(1/3))`` of the n origins; the interval is ``skill ± t s sqrt(n / (n -
    l) / w)``, s the standard deviation over the resamples, t the quantile of Student's distribution with n / l - 1
    degrees of freedom, cut at 1. Blocks cut dependence off: w is what they hold of the variance of an AR(1) over
    horizons, ``(1 + 2 sum_{k < m} (1 - k/m) r^k) (1 - r) / (1 + r)`` with m = l / horizon and r the highest correlation
    at the lag ``horizon`` of the losses, the reference's, and their difference. The usual percentiles of the resamples
    are too narrow with few blocks: with eight they cover 80 % in place of 95 (``benchmarks/significance.py``).

    Assumed: losses are stationary, with finite variance and short memory. Series of a panel may depend on each other in
    any way. With fewer than four independent origins, or where a resample of the reference has no loss, there is no
    interval.

    References
    ----------
    .. [1] Politis, Romano (1992), "A circular block-resampling procedure for stationary data", in: Exploring the limits
       of bootstrap.

    Examples
    --------
    >>> import numpy as np
    >>> reference = np.random.default_rng(0).uniform(1, 3, size=40)
    >>> skill_interval(0.8 * reference, reference).skill.__round__(3)
    0.2
    """
    pair = np.stack([np.asarray(loss, dtype=np.float64), np.asarray(reference, dtype=np.float64)], axis=-1)
    if pair.ndim != 2 or horizon < 1 or not 0 < level < 1:
        raise ValueError(
            f"Losses must have shape (n_origins,), horizon be at least 1 and level between 0 and 1; got "
            f"{pair.shape[:-1]}, {horizon} and {level}."
        )
    pair = pair[~np.isnan(pair).any(axis=1)]
    n, length = len(pair), block_length(len(pair), horizon)
    skill = _skill(pair.mean(axis=0)) if n else np.nan
    unknown = Skill(float(skill), (np.nan, np.nan), n // horizon)
    if not is_enough(n, horizon):
        return unknown
    resampled = _skill(bootstrap_means(pair, length, n_bootstrap, np.random.default_rng(random_state)))
    if not np.isfinite(resampled).all():
        return unknown
    r = max(persistence(values, horizon) for values in (pair @ [1.0, skill - 1.0], *pair.T))
    scale = np.sqrt(n / (n - length) / share_of_blocks(r, length, horizon))
    half = stdtrit(n / length - 1, (1 + level) / 2) * scale * np.std(resampled)
    return Skill(float(skill), (float(skill - half), float(min(skill + half, 1.0))), n // horizon)


def _skill(means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):  # a reference without loss
        return 1 - means[..., 0] / means[..., 1]
