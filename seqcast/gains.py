"""Gains of one forecast over another at many origins: their mean, and the variance of that mean."""

import numpy as np
from scipy.special import softmax
from scipy.stats import t as student

from seqcast.panel import Floats, Integers

__all__ = [
    "NORMAL",
    "N_OWN",
    "hac_variance",
    "half_width",
    "is_doubtful",
    "mean_and_variance",
    "moments",
    "n_horizons",
    "n_unrelated",
    "share_to_keep",
    "shares_of_series",
]

NORMAL = 1.96  # half width of a 95 % interval, in standard errors, where there are many horizons
OWN_DEVIATION = 0.15  # of the shares of series about the common one
N_OWN = 4  # errors in a horizon of a series that say something of their own


def is_doubtful(gain: Floats, errors: Floats, known: Floats, series: Integers, times: Integers) -> bool:
    """Whether the 95 % interval of the mean of gains (n, horizon) reaches to 0.

    `errors` (n, horizon) tell how many of them say something of their own.
    """
    mean, variance = mean_and_variance(gain, known, series, times)
    return bool(mean <= half_width(np.where(known, errors, np.nan), times) * np.sqrt(variance))


def half_width(errors: Floats, times: Integers) -> float:
    """Standard errors to either side that make a 95 % interval.

    It is Student's, with as many degrees of freedom as there are whole horizons of unrelated series, less one.
    """
    return float(student.ppf(0.975, max(n_horizons(errors, times) - 1, 1)))


def n_horizons(errors: Floats, times: Integers) -> float:
    """How many whole horizons of unrelated series there are in errors (n, horizon) of origins at these times."""
    n_steps = len(np.unique(times)) * _stride(times)
    return n_unrelated(errors, times) * max(n_steps / errors.shape[1], 1)


def _stride(times: Integers) -> int:
    """Steps from one origin to the next: more than 1 where they are thinned."""
    distinct = np.unique(times)
    return int(np.median(np.diff(distinct))) if len(distinct) > 1 else 1


def n_unrelated(errors: Floats, times: Integers) -> float:
    """How many unrelated series would have mean errors as small as these: 1 if all hang together, all if none do.

    Errors are (n, horizon), NaN where unknown; series are taken to have errors of one size.
    """
    known = ~np.isnan(errors)
    errors = np.where(known, errors, 0.0)
    _, moment = np.unique(times, return_inverse=True)
    totals, squares, counts = np.zeros((3, moment.max() + 1, errors.shape[1]))
    for sums, values in ((totals, errors), (squares, errors**2), (counts, known)):
        np.add.at(sums, moment, values)
    ratio = squares.sum() / max((totals**2 / np.maximum(counts, 1)).sum(), 1e-300)
    return float(np.clip(ratio, 1, max(counts[counts > 0].mean(), 1)))


def mean_and_variance(gain: Floats, known: Floats, series: Integers, times: Integers) -> tuple[float, float]:
    """Mean of gains (n, horizon), and the variance of that mean; 0 and 1 if there are too few to tell.

    It is taken over origins if they are at least two horizons; else over the steps of the tail or, where there are ten,
    over series, whichever is more doubtful.
    """
    found = [m if np.isfinite(m[1]) else (0.0, 1.0) for m in moments(gain, known, series, times)]
    return min(found, key=lambda moments: abs(moments[0]) / max(moments[1], 1e-300) ** 0.5)


def moments(gain: Floats, known: Floats, series: Integers, times: Integers) -> list[tuple[float, float]]:
    """Mean of gains and variance of that mean, infinite if there are too few; for each way to group them."""
    horizon, stride = gain.shape[1], _stride(times)
    steps = times[:, None] + np.arange(horizon)
    groups = [(steps, len(np.unique(steps)) // 4)]
    if len(np.unique(times)) * stride >= 2 * horizon:
        groups = [(np.broadcast_to(times[:, None], gain.shape), (horizon - 1) // stride)]
    elif len(np.unique(series)) >= 10:
        groups.append((np.broadcast_to(series[:, None], gain.shape), 0))
    found = []
    for group, lags in groups:
        _, code = np.unique(group, return_inverse=True)
        total, count = np.bincount(code.ravel(), gain.ravel()), np.bincount(code.ravel(), known.ravel())
        means = total[count > 0] / count[count > 0]
        found.append((float(means.mean()), hac_variance(means, lags) if len(means) > 2 else np.inf))
    return found


def hac_variance(x: Floats, lags: int) -> float:
    """Variance of the mean of an autocorrelated sequence, Bartlett weights up to `lags`; of white noise at least."""
    n, centered = len(x), x - x.mean()
    lags = min(lags, n - 1)
    covariances = [centered[k:] @ centered[: n - k] / n for k in range(lags + 1)]
    weights = [1.0, *(2 * (1 - k / (lags + 1)) for k in range(1, lags + 1))]
    return float(max(np.dot(weights, covariances), x.var(ddof=1)) / n)


def share_to_keep(
    correction: Floats,
    error: Floats,
    known: Floats,
    series: Integers,
    times: Integers,
    *,
    prior: float,
    deviation: float,
    size: Floats | None = None,
) -> float:
    """How much of a correction to keep: what the tail says, weighed against what is to be expected.

    The tail says the least-squares weight of the correction, every window counted in units of its `size`, with a
    standard error that allows for the ties between neighbouring origins (Newey and West [1]_) and is larger where the
    tail holds few horizons. The expectation is `prior` with standard deviation `deviation`: half of a correction has
    three quarters of the gain of a right one, and a quarter of the harm of a wrong one. The share is the mean of both
    by precision, between 0 and 1.

    Parameters
    ----------
    correction, error, known : ndarray of shape (n, horizon)
        Of forecasts from origins of the tail; the error is the actual less the forecast that is corrected.
    series, times : ndarray of shape (n,)
        Of the origins.
    prior, deviation : float
        Of the share.
    size : ndarray of shape (n,), optional
        Of the windows; by default the root mean square of the error.

    References
    ----------
    .. [1] Newey, W. K. and West, K. D. (1987). A simple, positive semi-definite, heteroskedasticity and autocorrelation
       consistent covariance matrix. Econometrica, 55(3), 703-708.
    """
    if size is None:
        size = np.sqrt((error**2 * known).sum(1) / np.maximum(known.sum(1), 1))  # (n,)
    weight = known / np.maximum(size, 0.1 * np.median(size) + 1e-12)[:, None]
    power = (weight * correction**2).sum()
    if power == 0:
        return prior
    share = (weight * correction * error).sum() / power
    scores = weight * correction * (error - share * correction) * known.sum() / power
    variance = max(variance for _, variance in moments(scores, known, series, times))
    variance *= (half_width(np.where(known, error, np.nan), times) / NORMAL) ** 2
    precisions = 1 / deviation**2, 1 / max(variance, 1e-12)
    return float(np.clip(np.average([prior, share], weights=precisions), 0, 1))


def shares_of_series(
    correction: Floats,
    error: Floats,
    known: Floats,
    series: Integers,
    positions: Integers,
    n_series: int,
    common: float,
) -> Floats:
    """How much of a correction to keep in each of several series, (n_series,).

    The shares lie between 0 and 1, about the common one; of each its own tail says how likely it is, by mean absolute
    errors, of which a horizon holds no more than `N_OWN` that are independent. The mean of what is likely is taken.
    Where the common one lies near 0 or 1, they lie as near to it. A single series has the common one.

    `positions` are those of the origins; the other parameters are those of `share_to_keep`.
    """
    shares = np.linspace(0, 1, 21)
    sums = [np.bincount(series, (np.abs(error - s * correction) * known).sum(1), n_series) for s in shares]
    loss = np.log(np.stack(sums, 1) + 1e-9)
    steps = positions[:, None] + np.arange(known.shape[1])
    cells = np.unique(np.stack([np.broadcast_to(series[:, None], steps.shape), steps])[:, known > 0], axis=1)
    n_independent = np.bincount(cells[0], minlength=n_series)[:, None] * min(N_OWN / known.shape[1], 1)
    deviation = min(OWN_DEVIATION, 2 * common, 2 - 2 * common) * np.sqrt(1 - 1 / n_series)
    likely = -n_independent * loss - (shares - common) ** 2 / (2 * max(deviation, 1e-3) ** 2)
    return softmax(likely, axis=1) @ shares
