"""diebold_mariano: whether one forecast is more accurate than another, or lucky."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit
from scipy.stats import false_discovery_control

from seqcast.evaluation.dependence import persistence

__all__ = ["INFINITE", "TOO_FEW", "DieboldMariano", "adjust_p_values", "diebold_mariano", "is_enough", "verdict_of"]

TOO_FEW, INFINITE = "too few independent origins", "infinite loss"
FEWEST = 12  # origins: with fewer "ewc" has one degree of freedom, and finds nothing
METHODS, ADJUSTMENTS = ("ewc", "hln"), ("holm", "benjamini-hochberg")


@dataclass(frozen=True)
class DieboldMariano:
    """Outcome of `diebold_mariano`.

    Parameters
    ----------
    mean_difference : float
        Mean of ``loss_a - loss_b``: negative where a is more accurate.
    interval : tuple of float
        Confidence interval of the mean difference.
    statistic, p_value : float
        Of the two-sided test that the mean difference is 0; NaN where there is no verdict.
    degrees_of_freedom : int
        Of Student's t distribution.
    n_origins : int
        Origins at which both losses are known.
    method : str
        "ewc" or "hln".
    verdict : str
        Of a: "better", "worse", "not distinguishable", "too few independent origins" or "infinite loss".
    """

    mean_difference: float
    interval: tuple[float, float]
    statistic: float
    p_value: float
    degrees_of_freedom: int
    n_origins: int
    method: str
    verdict: str


def diebold_mariano(
    loss_a: npt.ArrayLike, loss_b: npt.ArrayLike, *, horizon: int = 1, method: str = "ewc", level: float = 0.95
) -> DieboldMariano:
    """Test whether two forecasts of the same origins have the same expected loss [1]_.

    Parameters
    ----------
    loss_a, loss_b : array-like of shape (n_origins,)
        Losses of the two forecasts, by origin, in order of time. Origins where one is NaN are left out.
    horizon : int, default=1
        Neighbouring origins whose forecasts reach into the same steps: the steps ahead if there is an origin at every
        step, 1 if the origins lie at least the steps ahead apart.
    method : {"ewc", "hln"}, default="ewc"
        The long-run variance: equal-weighted cosines [2]_, or the sum of autocovariances with the correction of
        Harvey, Leybourne and Newbold [3]_.
    level : float, default=0.95
        Of the interval; the verdict is at 1 - level.

    Returns
    -------
    DieboldMariano

    Raises
    ------
    ValueError
        If the losses have different shapes, or a parameter is out of its range.

    Notes
    -----
    With the differences d of n origins, ``t = mean(d) / sqrt(V / n)``. "ewc": V is the mean of B squared cosine sums,
    ``sqrt(2 / n) sum_t d[t] cos(pi j (t - 1/2) / n)``, j = 1..B; t has B degrees of freedom,
    ``B = min(floor(.4 n^(2/3)), max(2, floor(n / 2 horizon)))``. V is divided by the share of the long-run variance
    that these cosines hold if d is an AR(1) over horizons, with its correlation r at the lag ``horizon``:
    ``mean_j (1 - r)^2 / (1 - 2 r cos(horizon pi j / n) + r^2)``. That is prewhitening in the manner of [4]_; without it
    differences that are an AR(.8) reject a true null about twice as often as they should. r is set high, as it is
    estimated low: `seqcast.evaluation.dependence` says by how much. "hln": V is the variance
    plus twice the autocovariances of d up to the lag ``horizon - 1`` (their Bartlett sum where that is not positive); t
    is multiplied by ``sqrt((n + 1 - 2 horizon + horizon (horizon - 1) / n) / n)`` and has n - 1 degrees of freedom.

    Assumed: the differences are stationary, with finite variance and short memory; the verdict is on these forecasts,
    not on the models at other training sets. With n / horizon < 4 there is nothing to estimate V from, and no verdict;
    nor has "ewc" one with fewer than 12 origins, where it has a single degree of freedom. Losses that depend on the
    hour need origins at the same hour: others bring its cycle into the differences.
    Where errors are autocorrelated beyond the horizon "hln" rejects a true null far too often; "ewc" holds its size
    from 20 origins on (``benchmarks/significance.py``). The price is power: a dozen origins find next to nothing.

    References
    ----------
    .. [1] Diebold, Mariano (1995), "Comparing Predictive Accuracy", J. of Business & Economic Statistics 13(3).
    .. [2] Lazarus, Lewis, Stock, Watson (2018), "HAR Inference: Recommendations for Practice", J. of Business &
       Economic Statistics 36(4).
    .. [3] Harvey, Leybourne, Newbold (1997), "Testing the equality of prediction mean squared errors", Int. J. of
       Forecasting 13(2).
    .. [4] Andrews, Monahan (1992), "An Improved Heteroskedasticity and Autocorrelation Consistent Covariance Matrix
       Estimator", Econometrica 60(4).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> naive = rng.normal(size=60) ** 2
    >>> diebold_mariano(0.5 * naive, naive).verdict
    'better'
    >>> diebold_mariano(0.5 * naive, naive, horizon=24).verdict
    'too few independent origins'
    """
    a, b = np.asarray(loss_a, dtype=np.float64), np.asarray(loss_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"The losses must have one shape (n_origins,), got {a.shape} and {b.shape}.")
    if horizon < 1 or not 0 < level < 1 or method not in METHODS:
        raise ValueError(
            f"horizon must be at least 1, level between 0 and 1 and method one of {METHODS}, "
            f"got {horizon}, {level} and {method!r}."
        )
    difference = (a - b)[~np.isnan(a - b)]
    n = len(difference)
    mean = float(difference.mean()) if n else np.nan
    if np.isinf(difference).any() or not is_enough(n, horizon) or (method == "ewc" and n < FEWEST):
        why = INFINITE if np.isinf(difference).any() else TOO_FEW
        return DieboldMariano(mean, (np.nan, np.nan), np.nan, np.nan, 0, n, method, why)
    error, freedom = (_cosine_error if method == "ewc" else _autocovariance_error)(difference, horizon)
    with np.errstate(divide="ignore"):  # forecasts that differ by a constant
        statistic = float(np.divide(mean, error)) if mean else 0.0
    p_value = float(2 * stdtr(freedom, -abs(statistic)))
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    verdict = verdict_of(mean, p_value, level)
    return DieboldMariano(mean, (mean - half, mean + half), statistic, p_value, freedom, n, method, verdict)


def is_enough(n_origins: int, horizon: int) -> bool:
    """Whether the origins hold at least four that do not overlap."""
    return n_origins >= 4 * horizon


def verdict_of(difference: float, p_value: float, level: float = 0.95) -> str:
    """Say of the first of two models "better", "worse" or "not distinguishable", by its loss less the second's."""
    if p_value < 1 - level:
        return "better" if difference < 0 else "worse"
    return "not distinguishable"


def adjust_p_values(p_values: Sequence[float] | npt.NDArray, *, method: str = "holm") -> npt.NDArray[np.float64]:
    """Adjust p-values for the number of comparisons.

    Parameters
    ----------
    p_values : array-like of shape (n_comparisons,)
        NaN stands for a comparison that was not made: it stays NaN, and does not count.
    method : {"holm", "benjamini-hochberg"}, default="holm"
        What stays below 1 - level: the probability of any false claim [1]_, whatever the dependence of the tests, or
        the expected share of false ones among the claims [2]_, for tests that are independent or positively dependent.

    Returns
    -------
    ndarray of shape (n_comparisons,)

    Raises
    ------
    ValueError
        If the method is unknown.

    References
    ----------
    .. [1] Holm (1979), "A simple sequentially rejective multiple test procedure", Scand. J. of Statistics 6(2).
    .. [2] Benjamini, Hochberg (1995), "Controlling the false discovery rate", J. of the Royal Stat. Society B 57(1).

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, float("nan")]).tolist()
    [0.02, 0.04, nan]
    """
    if method not in ADJUSTMENTS:
        raise ValueError(f"method={method!r} is none of {ADJUSTMENTS}.")
    out = np.array(p_values, dtype=np.float64)
    known = ~np.isnan(out)
    out[known] = _holm(out[known]) if method == "holm" else false_discovery_control(out[known])
    return out


def _holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    order = np.argsort(p_values)
    out = np.empty_like(p_values)
    out[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)), 1.0)
    return out


def _cosine_error(difference: npt.NDArray[np.float64], horizon: int) -> tuple[float, int]:
    """Standard error of the mean by equal-weighted cosines, and its degrees of freedom."""
    n = len(difference)
    count = min(int(0.4 * n ** (2 / 3)), max(2, n // (2 * horizon)))
    frequencies = np.pi * np.arange(1, count + 1) / n
    waves = np.cos(np.outer(frequencies, np.arange(n) + 0.5))  # (count, n)
    variance = np.mean((np.sqrt(2 / n) * waves @ (difference - difference.mean())) ** 2)
    r = persistence(difference, horizon)
    share = np.mean((1 - r) ** 2 / (1 - 2 * r * np.cos(horizon * frequencies) + r**2))
    return float(np.sqrt(variance / share / n)), count


def _autocovariance_error(difference: npt.NDArray[np.float64], horizon: int) -> tuple[float, int]:
    """Standard error of the mean by Harvey, Leybourne and Newbold, and its degrees of freedom."""
    n = len(difference)
    centred = difference - difference.mean()
    lags = np.arange(1, horizon)
    covariances = np.array([centred[k:] @ centred[: n - k] / n for k in lags])
    variance = centred @ centred / n
    total = variance + 2 * covariances.sum()
    if total <= 0:
        total = variance + 2 * ((1 - lags / horizon) * covariances).sum()
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    return float(np.sqrt(total / n / correction)), n - 1
