"""Whether a series has a season, and the series without it."""

import numpy as np
from scipy.stats import median_abs_deviation
from statsmodels.tsa.seasonal import STL
from statsmodels.tsa.stattools import acf

from seqcast.baselines._values import first_observed, is_constant, without_gaps
from seqcast.panel import Floats

__all__ = [
    "LONGEST_SEASON",
    "has_strong_season",
    "hidden_noise",
    "is_autocorrelated",
    "without_long_season",
    "without_season",
]

LONGEST_SEASON = 24  # longer ones have too many states to estimate
_STRONG = 0.64  # Hyndman & Athanasopoulos (2021), section 9.9
_CYCLES = 11  # over which STL smooths each season


def has_strong_season(values: Floats, season_length: int) -> bool:
    """Whether the season explains 64 % of the variance around the trend: 1 - var(rest) / var(season + rest), by STL."""
    if not 2 <= season_length <= len(values) // 2 or is_constant(values):
        return False
    parts = STL(values, period=season_length, seasonal=_CYCLES).fit()
    return bool(np.var(parts.resid) <= (1 - _STRONG) * np.var(parts.seasonal + parts.resid))


def is_autocorrelated(values: Floats, season_length: int) -> bool:
    """Whether the autocorrelation at the season differs from 0 at 10 %, by Bartlett's standard error."""
    if season_length < 2 or len(values) < 3 * season_length or is_constant(values):
        return False
    r = acf(values, nlags=season_length, fft=True)
    return bool(abs(r[-1]) > 1.645 * np.sqrt((1 + 2 * np.sum(r[1:-1] ** 2)) / len(values)))


def without_season(values: Floats, season_length: int) -> tuple[Floats, Floats]:
    """Return values less their season by STL, and its last cycle (season_length,) as it begins at the first step."""
    season = STL(values, period=season_length, seasonal=_CYCLES).fit().seasonal
    return values - season, np.roll(season[-season_length:], len(values) % season_length)


def without_long_season(values: Floats, season_length: int) -> tuple[Floats, Floats, int]:
    """Return values, the cycle of a long season that was taken off them, and the season length that is left."""
    if season_length <= LONGEST_SEASON:
        return values, np.zeros(1), season_length
    if not has_strong_season(values, season_length):
        return values, np.zeros(1), 1
    return *without_season(values, season_length), 1


def hidden_noise(values: Floats, season_length: int) -> float:
    """Deviation about trend and season, some of which STL may have taken for season; 0 if there are many cycles.

    A line through each phase of two cycles meets all values. So it is that of values a cycle apart, by their median
    absolute deviation, which shifts of the level leave alone; of observed values only.
    """
    known, observed = without_gaps(values), ~np.isnan(values[first_observed(values) :])
    n_cycles = len(known) / season_length
    if season_length == 1 or n_cycles >= _CYCLES:
        return 0.0
    rest = known - STL(known, period=season_length, seasonal=_CYCLES).fit().trend
    change = (rest[season_length:] - rest[:-season_length])[observed[season_length:] & observed[:-season_length]]
    if not len(change):
        return 0.0
    return float(median_abs_deviation(change, scale="normal") * np.sqrt((1 + 1 / n_cycles) / 2))
