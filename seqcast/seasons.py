"""The season of a panel: by the frequency of its times or, where these are plain integers, by its values."""

import numpy as np
import pandas as pd
from statsmodels.tsa.stattools import acf

from seqcast.panel import Floats, Panel
from seqcast.times import season_length_of

__all__ = ["WEEK", "season_of"]

WEEK = 7  # seasons that make a longer one, where these are days

NATURAL = (4, 5, 7, 12, 24, 48, 52, 60, 96, 144, 288)  # steps of a year, a week, a day or an hour
N_SERIES, N_ROWS = 50, 2000  # that are read: series at most, and of each the last rows, or ten seasons
N_SEASONS = 4  # that a series must hold
LEAST, LEAST_RISE = 0.4, 0.5  # correlation at the season, and how far it stands above the lowest within the season
DOUBT = 2.6  # standard errors of a correlation of white noise that do not count
OF_PEAK = 0.95  # of the correlation one step beside
OF_BEST = 0.8  # of the best season's correlation: a part of that season is enough


def season_of(panel: Panel) -> int:
    """Return the steps of a season, 1 if there is none.

    Integers have no frequency: there it is the natural season that repeats best in the values less their trend, by the
    mean correlation, over the series, of values a season apart.
    """
    freq = panel.axis.freq
    if not isinstance(freq, (int, np.integer)):
        return season_length_of(freq)
    numbers = np.unique(np.linspace(0, panel.n_series - 1, min(panel.n_series, N_SERIES)).astype(np.int64))
    found = {m: _strength([panel.values[panel.series(i)] for i in numbers], m) for m in NATURAL}
    best = max(found, key=lambda m: found[m])
    return next((m for m in NATURAL if best % m == 0 and found[m] > OF_BEST * found[best]), 1)


def _strength(pieces: list[Floats], season: int) -> float:
    """Mean correlation of values a season apart, if it stands out; else 0."""
    found = [one for one in (_correlations(piece, season) for piece in pieces) if one is not None]
    if 2 * len(found) < len(pieces):
        return 0.0
    r = np.mean(found, axis=0)  # (season + 3,): the last is that of a doubtful season
    stands_out = r[season] - r[1:season].min() > LEAST_RISE and r[season] > OF_PEAK * max(r[season - 1], r[season + 1])
    return float(r[season]) if stands_out and r[season] > max(LEAST, r[-1]) else 0.0


def _correlations(piece: Floats, season: int) -> Floats | None:
    """Autocorrelations at lags 0 to season + 1 of a series less its moving average, and what white noise may reach."""
    known = np.flatnonzero(~np.isnan(piece))
    piece = piece[known[0] : known[-1] + 1][-max(N_ROWS, 10 * season) :] if len(known) else piece
    if len(piece) < N_SEASONS * season:
        return None
    width = season + 1 - season % 2
    trend = pd.Series(piece).rolling(width, center=True, min_periods=season // 2 + 1).mean().to_numpy()
    rest = (piece - trend)[season // 2 : -(season // 2)]
    count = np.isfinite(rest).sum()
    if count < 2 * season or not np.nanstd(rest) > 1e-9 * np.nanmax(np.abs(piece)):
        return None
    r = acf(np.nan_to_num(rest - np.nanmean(rest)), nlags=season + 1, fft=True)  # a gap counts as no correlation
    return np.append(r, DOUBT / np.sqrt(count))
