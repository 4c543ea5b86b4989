"""Scores and PIT values of forecasts that are normal, Student-t or negative binomial distributions."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincc, betaln, hyp2f1, ive, ndtr, stdtr, xlogy
from sklearn.utils import check_random_state

from seqcast.metrics._arrays import Axis, Floats, mean_known, plain

__all__ = [
    "crps_negative_binomial",
    "crps_normal",
    "crps_student_t",
    "log_score_negative_binomial",
    "log_score_normal",
    "log_score_student_t",
    "pit_negative_binomial",
    "pit_normal",
    "pit_student_t",
]

_Array = npt.NDArray[np.float64]


def crps_normal(actual: npt.ArrayLike, *, loc: npt.ArrayLike, scale: npt.ArrayLike, axis: Axis = None) -> Floats:
    """Continuous ranked probability score (CRPS) of normal distributions [1]_.

    Parameters
    ----------
    actual : array-like of shape (...)
        Truth; NaN is masked.
    loc, scale : array-like that broadcasts to the shape of actual
        Mean and standard deviation.
    axis : int, tuple of int or None, default=None
        Axes of `actual` to average over; None means all.

    Returns
    -------
    float or ndarray
        ``mean(scale (z (2 Φ(z) - 1) + 2 φ(z) - 1 / √π))`` with ``z = (actual - loc) / scale``, in the unit of the
        target.

    Raises
    ------
    ValueError
        If `scale` is not positive, or a shape does not fit.

    References
    ----------
    .. [1] Jordan, Krüger, Lerch (2019), "Evaluating Probabilistic Forecasts with scoringRules", J. Stat. Softw. 90(12).

    Examples
    --------
    >>> round(crps_normal([0.0], loc=0.0, scale=1.0), 6)
    0.233695
    """
    actual, loc, scale = _read(actual, loc=loc, scale=scale)
    z = (actual - loc) / scale
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return mean_known(scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)), actual, axis)


def crps_student_t(
    actual: npt.ArrayLike, *, loc: npt.ArrayLike, scale: npt.ArrayLike, df: npt.ArrayLike, axis: Axis = None
) -> Floats:
    """Continuous ranked probability score (CRPS) of Student's t distributions [1]_.

    Parameters
    ----------
    actual, axis
        As in `crps_normal`.
    loc, scale, df : array-like that broadcasts to the shape of actual
        Location, scale (not the standard deviation, which is larger by the root of ``df / (df - 2)``) and degrees of
        freedom, above 1.

    Returns
    -------
    float or ndarray
        In the unit of the target.

    Raises
    ------
    ValueError
        If `scale` is not positive, `df` not above 1 (the score would be infinite), or a shape does not fit.

    Notes
    -----
    The mean of ``scale (z (2 F(z) - 1) + 2 f(z) (df + z²) / (df - 1) - 2 √df B(1/2, df - 1/2) / ((df - 1)
    B(1/2, df/2)²))``, with ``z = (actual - loc) / scale``, f and F the standard density and distribution function, B
    the beta function.

    References
    ----------
    .. [1] Jordan, Krüger, Lerch (2019), "Evaluating Probabilistic Forecasts with scoringRules", J. Stat. Softw. 90(12).

    Examples
    --------
    >>> round(crps_student_t([0.0], loc=0.0, scale=1.0, df=1e9), 6)
    0.233695
    """
    actual, loc, scale, df = _read(actual, loc=loc, scale=scale, df=df)
    if (df <= 1).any():
        raise ValueError(f"df must be above 1 for the CRPS to be finite, got {np.nanmin(df)}.")
    z = (actual - loc) / scale
    reach = 2 * np.exp(_log_density_t(z, df)) * (df + z**2) / (df - 1)
    spread = 2 * np.sqrt(df) / (df - 1) * np.exp(betaln(0.5, df - 0.5) - 2 * betaln(0.5, df / 2))
    return mean_known(scale * (z * (2 * stdtr(df, z) - 1) + reach - spread), actual, axis)


def crps_negative_binomial(
    actual: npt.ArrayLike, *, mean: npt.ArrayLike, dispersion: npt.ArrayLike, axis: Axis = None
) -> Floats:
    """Continuous ranked probability score (CRPS) of negative binomial distributions [1]_ [2]_.

    Parameters
    ----------
    actual : array-like of shape (...)
        Counts; NaN is masked.
    mean, dispersion : array-like that broadcasts to the shape of actual
        The variance is ``mean + dispersion mean²``; the Poisson distribution is the limit of dispersion 0.
    axis : int, tuple of int or None, default=None
        Axes of `actual` to average over; None means all.

    Returns
    -------
    float or ndarray
        In the unit of the target.

    Raises
    ------
    ValueError
        If `actual` holds a negative or broken number, `mean` is negative, `dispersion` not positive, or a shape does
        not fit.

    Notes
    -----
    With ``n = 1 / dispersion``, ``p = 1 / (1 + dispersion mean)`` and ``F_n`` the distribution function of n and p, the
    mean of ``y (2 F_n(y) - 1) - n (1 - p) / p² (p (2 F_{n+1}(y - 1) - 1) + ₂F₁(n + 1, 1/2; 2; -4 (1 - p) / p²))``. The
    hypergeometric function is taken in the form ``p / (2 - p) ₂F₁(1 - n, 1/2; 2; 4 (1 - p) / (2 - p)²)``, which neither
    overflows nor cancels; below a dispersion of 1e-4 in its Poisson limit, which changes the score by less than .01 %.

    References
    ----------
    .. [1] Wei, Held (2014), "Calibration tests for count data", TEST 23(4).
    .. [2] Jordan, Krüger, Lerch (2019), "Evaluating Probabilistic Forecasts with scoringRules", J. Stat. Softw. 90(12).

    Examples
    --------
    >>> crps_negative_binomial([2.0], mean=0.0, dispersion=1.0)
    2.0
    >>> round(crps_negative_binomial([0.0], mean=1.0, dispersion=1.0), 6)
    0.333333
    """
    actual, mean, dispersion = _read_counts(actual, mean, dispersion)
    odds, n = dispersion * mean, 1 / dispersion  # odds = (1 - p) / p
    upto = _cdf(actual, odds, n)
    below = upto - np.exp(_log_mass(actual, odds, n)) * (1 + actual / n)  # F_{n+1}(y - 1)
    w = np.minimum(4 * odds * (1 + odds) / (1 + 2 * odds) ** 2, 1.0)
    spread = (2 * below - 1) / (1 + odds) + _hyp2f1(n, w) / (1 + 2 * odds)
    return mean_known(actual * (2 * upto - 1) - mean * (1 + odds) * spread, actual, axis)


def log_score_normal(actual: npt.ArrayLike, *, loc: npt.ArrayLike, scale: npt.ArrayLike, axis: Axis = None) -> Floats:
    """Log score (negative log-likelihood) of normal distributions.

    Parameters
    ----------
    actual, loc, scale, axis
        As in `crps_normal`, which says what raises.

    Returns
    -------
    float or ndarray
        ``mean(-log f(actual))``, in nats. It depends on the unit of the target: compare it on the same values only.

    Examples
    --------
    >>> round(log_score_normal([0.0], loc=0.0, scale=1.0), 6)
    0.918939
    """
    actual, loc, scale = _read(actual, loc=loc, scale=scale)
    return mean_known(np.log(scale) + ((actual - loc) / scale) ** 2 / 2 + np.log(2 * np.pi) / 2, actual, axis)


def log_score_student_t(
    actual: npt.ArrayLike, *, loc: npt.ArrayLike, scale: npt.ArrayLike, df: npt.ArrayLike, axis: Axis = None
) -> Floats:
    """Log score (negative log-likelihood) of Student's t distributions.

    Parameters
    ----------
    actual, loc, scale, df, axis
        As in `crps_student_t`; any positive `df` will do.

    Returns
    -------
    float or ndarray
        ``mean(-log f(actual))``, in nats; see `log_score_normal`.

    Raises
    ------
    ValueError
        If `scale` or `df` is not positive, or a shape does not fit.

    Examples
    --------
    >>> round(log_score_student_t([0.0], loc=0.0, scale=1.0, df=1.0), 6)  # log π
    1.14473
    """
    actual, loc, scale, df = _read(actual, loc=loc, scale=scale, df=df)
    return mean_known(np.log(scale) - _log_density_t((actual - loc) / scale, df), actual, axis)


def log_score_negative_binomial(
    actual: npt.ArrayLike, *, mean: npt.ArrayLike, dispersion: npt.ArrayLike, axis: Axis = None
) -> Floats:
    """Log score (negative log-likelihood) of negative binomial distributions.

    Parameters
    ----------
    actual, mean, dispersion, axis
        As in `crps_negative_binomial`, which says what raises.

    Returns
    -------
    float or ndarray
        ``mean(-log P(actual))``, in nats; infinite where a count above 0 has a mean of 0.

    Examples
    --------
    >>> round(log_score_negative_binomial([1.0], mean=1.0, dispersion=1.0), 6)  # log 4
    1.386294
    """
    actual, mean, dispersion = _read_counts(actual, mean, dispersion)
    return mean_known(-_log_mass(actual, dispersion * mean, 1 / dispersion), actual, axis)


def pit_normal(actual: npt.ArrayLike, *, loc: npt.ArrayLike, scale: npt.ArrayLike) -> Floats:
    """Probability integral transform (PIT) by normal distributions: uniform on 0 to 1 if these are right.

    Parameters
    ----------
    actual, loc, scale
        As in `crps_normal`, which says what raises.

    Returns
    -------
    float or ndarray of the shape of actual
        ``F(actual)``; NaN where the truth or a parameter is.

    Examples
    --------
    >>> pit_normal([3.0], loc=3.0, scale=2.0)
    array([0.5])
    """
    actual, loc, scale = _read(actual, loc=loc, scale=scale)
    return plain(ndtr((actual - loc) / scale))


def pit_student_t(actual: npt.ArrayLike, *, loc: npt.ArrayLike, scale: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """Probability integral transform (PIT) by Student's t distributions: uniform on 0 to 1 if these are right.

    Parameters
    ----------
    actual, loc, scale, df
        As in `log_score_student_t`, which says what raises.

    Returns
    -------
    float or ndarray of the shape of actual
        ``F(actual)``; NaN where the truth or a parameter is.

    Examples
    --------
    >>> pit_student_t([5.0], loc=3.0, scale=2.0, df=1.0)
    array([0.75])
    """
    actual, loc, scale, df = _read(actual, loc=loc, scale=scale, df=df)
    return plain(stdtr(df, (actual - loc) / scale))


def pit_negative_binomial(
    actual: npt.ArrayLike, *, mean: npt.ArrayLike, dispersion: npt.ArrayLike, random_state: Any = None
) -> Floats:
    """Randomised probability integral transform (PIT) of counts: uniform on 0 to 1 if the distributions are right [1]_.

    Parameters
    ----------
    actual, mean, dispersion
        As in `crps_negative_binomial`, which says what raises.
    random_state : int, RandomState or None
        Decides where in its share of 0 to 1 a count falls.

    Returns
    -------
    float or ndarray of the shape of actual
        Uniform between ``F(actual - 1)`` and ``F(actual)``; NaN where the truth or a parameter is.

    References
    ----------
    .. [1] Czado, Gneiting, Held (2009), "Predictive Model Assessment for Count Data", Biometrics 65(4).

    Examples
    --------
    >>> values = pit_negative_binomial([0.0], mean=1.0, dispersion=1.0, random_state=0)
    >>> 0.0 < values[0] < 0.5
    np.True_
    """
    actual, mean, dispersion = _read_counts(actual, mean, dispersion)
    odds, n = dispersion * mean, 1 / dispersion
    below, upto = _cdf(actual - 1, odds, n), _cdf(actual, odds, n)
    return plain(below + check_random_state(random_state).uniform(size=actual.shape) * (upto - below))


def _read(actual: npt.ArrayLike, **parameters: npt.ArrayLike) -> list[_Array]:
    """All as float64 of the shape of actual; what is neither loc nor mean must be positive."""
    arrays = [np.asarray(actual, dtype=np.float64)]
    for name, given in parameters.items():
        values = np.asarray(given, dtype=np.float64)
        try:
            arrays.append(np.broadcast_to(values, arrays[0].shape))
        except ValueError:
            raise ValueError(
                f"{name} of shape {values.shape} does not fit actual of shape {arrays[0].shape}: give one value for "
                "each of actual, or one for all."
            ) from None
        if name not in ("loc", "mean") and (values <= 0).any():
            raise ValueError(f"{name} must be positive, got {np.nanmin(values)}.")
    return arrays


def _read_counts(actual: npt.ArrayLike, mean: npt.ArrayLike, dispersion: npt.ArrayLike) -> list[_Array]:
    arrays = _read(actual, mean=mean, dispersion=dispersion)
    wrong = (arrays[0] < 0) | (arrays[0] % 1 > 0)
    if wrong.any():
        raise ValueError(f"actual must hold counts (0, 1, 2, ...), got {arrays[0][wrong][0]}.")
    if (arrays[1] < 0).any():
        raise ValueError(f"mean must be 0 or more, got {np.nanmin(arrays[1])}.")
    return arrays


def _log_density_t(z: _Array, df: _Array) -> _Array:
    return -betaln(0.5, df / 2) - np.log(df) / 2 - (df + 1) / 2 * np.log1p(z**2 / df)


def _log_mass(count: _Array, odds: _Array, n: _Array) -> _Array:
    ways = -betaln(count + 1, n) - np.log(count + n)  # log of Γ(y + n) / (Γ(n) y!)
    return ways + xlogy(count, odds) - (count + n) * np.log1p(odds)


def _cdf(count: _Array, odds: _Array, n: _Array) -> _Array:
    """Distribution function of the negative binomial with ``p = 1 / (1 + odds)``."""
    return np.where(count < 0, 0.0, betaincc(np.maximum(count, 0) + 1, n, odds / (1 + odds)))


def _hyp2f1(n: _Array, w: _Array) -> _Array:
    """₂F₁(1 - n, 1/2; 2; w); for large n, where scipy gives NaN, its limit."""
    limit = ive(0, n * w / 2) + ive(1, n * w / 2)
    return np.where(n > 1e4, limit, hyp2f1(1 - np.minimum(n, 1e4), 0.5, 2, w))
