"""Forecasters that repeat, extend or average what was observed, with the textbook's prediction intervals."""

import numpy as np

from seqcast._parameters import at_least, option, parameters
from seqcast.baselines._values import first_observed
from seqcast.panel import Floats, Integers
from seqcast.series import Moments, SeriesForecaster, State

__all__ = ["Drift", "HistoricAverage", "Naive", "SeasonalNaive", "WindowAverage"]


@parameters
class Naive(SeriesForecaster):
    """Repeat the last observed value.

    Notes
    -----
    The h-step error of a random walk has standard deviation ``sigma * sqrt(h)`` [1]_; masked steps since the last
    observed value count too. Before the first observed value the forecast is the mean of the training values.

    References
    ----------
    .. [1] Hyndman, R. J., & Athanasopoulos, G. (2021). Forecasting: principles and practice (3rd ed.), table 5.2.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import Naive
    >>> sales = pd.Series([3.0, 5.0, 4.0], index=pd.date_range("2024-01-01", freq="D", periods=3))
    >>> Naive(horizon=2).fit(sales).forecast().tolist()
    [4.0, 4.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        step, elapsed = _last_observed(values, np.arange(len(values)))
        return _unfitted_state(values, step, elapsed + 1)

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        step, elapsed = _last_observed(values, positions)
        walked = elapsed[:, None] + np.arange(1, horizon + 1)  # (n, horizon)
        return _moments(values, np.repeat(step[:, None], horizon, axis=1), np.sqrt(walked), state)


@parameters
class SeasonalNaive(SeriesForecaster):
    """Repeat the last observed value of the same season.

    Notes
    -----
    The h-step error has standard deviation ``sigma * sqrt(k)``, where the value repeated lies k seasons back [1]_.
    A season that was never observed gets the last observed value, and an empty history the mean of the training values.

    References
    ----------
    .. [1] Hyndman, R. J., & Athanasopoulos, G. (2021). Forecasting: principles and practice (3rd ed.), table 5.2.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import SeasonalNaive
    >>> sales = pd.Series([3.0, 5.0, 4.0, 6.0], index=pd.period_range("2024Q1", freq="Q", periods=4))
    >>> SeasonalNaive(horizon=2).fit(sales).forecast().tolist()
    [3.0, 5.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        step, seasons = _last_of_season(values, np.arange(len(values)), 1, self.season_length_)
        return _unfitted_state(values, np.where(seasons > 0, step, -1)[:, 0], seasons[:, 0])

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        step, seasons = _last_of_season(values, positions, horizon, self.season_length_)
        last, elapsed = _last_observed(values, positions)
        walked = elapsed[:, None] + np.arange(1, horizon + 1)  # (n, horizon): used where the season was never observed
        width = np.sqrt(np.where(seasons > 0, seasons, walked))
        return _moments(values, np.where(seasons > 0, step, last[:, None]), width, state)


@parameters
class Drift(SeriesForecaster):
    """Extend the line from the first to the last observed value.

    Notes
    -----
    The h-step error has standard deviation ``sigma * sqrt(h * (1 + h / (T - 1)))`` after T steps [1]_.
    One observed value has no slope and is repeated.

    References
    ----------
    .. [1] Hyndman, R. J., & Athanasopoulos, G. (2021). Forecasting: principles and practice (3rd ed.), table 5.2.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import Drift
    >>> sales = pd.Series([3.0, 5.0, 4.0], index=pd.date_range("2024-01-01", freq="D", periods=3))
    >>> Drift(horizon=2).fit(sales).forecast().tolist()
    [4.5, 5.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        first_observed(values)
        observed = np.flatnonzero(~np.isnan(values))
        change, steps = np.diff(values[observed]), np.diff(observed)
        errors = change - change.sum() / max(steps.sum(), 1) * steps
        # The slope is estimated: of T - 1 errors T - 2 are free.
        sigma = np.sqrt((errors**2 / steps).sum() / max(len(errors) - 1, 1))
        return {"mean": float(np.nanmean(values)), "spread": float(np.nanstd(values)), "sigma": float(sigma)}

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        step, elapsed = _last_observed(values, positions)
        first = int(np.argmin(np.isnan(values))) if len(values) else 0
        run = np.maximum(step - first, 1)[:, None]
        ahead = elapsed[:, None] + np.arange(1, horizon + 1)  # (n, horizon)
        width = np.sqrt(ahead * (1 + ahead / run))
        mean, spread = _moments(values, np.repeat(step[:, None], horizon, axis=1), width, state)
        slope = (mean[:, :1] - values[first : first + 1]) / run if len(values) else 0.0
        return mean + np.where(step[:, None] >= 0, slope * ahead, 0.0), spread


@parameters
class HistoricAverage(SeriesForecaster):
    """Repeat the mean of all observed values.

    Notes
    -----
    The error has standard deviation ``sigma * sqrt(1 + 1 / T)`` after T observed values, at every step [1]_.

    References
    ----------
    .. [1] Hyndman, R. J., & Athanasopoulos, G. (2021). Forecasting: principles and practice (3rd ed.), table 5.2.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import HistoricAverage
    >>> sales = pd.Series([3.0, 5.0, 4.0], index=pd.date_range("2024-01-01", freq="D", periods=3))
    >>> HistoricAverage(horizon=2).fit(sales).forecast().tolist()
    [4.0, 4.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        first_observed(values)
        observed = values[~np.isnan(values)]
        return {"mean": float(observed.mean()), "sigma": float(observed.std(ddof=min(1, len(observed) - 1)))}

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        mean, count = _average(values, positions, len(values), state)
        spread = state["sigma"] * np.sqrt(1 + 1 / np.maximum(count, 1))
        return np.repeat(mean[:, None], horizon, axis=1), np.repeat(spread[:, None], horizon, axis=1)


@parameters
class WindowAverage(SeriesForecaster):
    """Repeat the mean of the last observed values.

    Notes
    -----
    Masked steps do not count: the window reaches back until it holds `window` observed values, or to the beginning.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import WindowAverage
    >>> sales = pd.Series([3.0, 5.0, 4.0], index=pd.date_range("2024-01-01", freq="D", periods=3))
    >>> WindowAverage(window=2, horizon=2).fit(sales).forecast().tolist()
    [4.5, 4.5]
    """

    window: int = option(7, at_least(1), "Observed values that are averaged.")

    def _fit_series(self, values: Floats, features: Floats) -> State:
        first_observed(values)
        return {"mean": float(np.nanmean(values))}

    def _forecast_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Floats:
        return np.repeat(_average(values, positions, self.window, state)[0][:, None], horizon, axis=1)  # (n, horizon)


def _last_observed(values: Floats, positions: Integers) -> tuple[Integers, Integers]:
    """Step of the last observed value before each position (-1: none), and the masked steps since then."""
    steps = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.concatenate([[-1], np.maximum.accumulate(steps)])[positions]
    return last, positions - 1 - last


def _last_of_season(values: Floats, positions: Integers, horizon: int, season: int) -> tuple[Integers, Integers]:
    """Step (n, horizon) of the value that each step ahead repeats, and the seasons it lies back (0: never observed)."""
    n_rows = -(-max(len(values), 1) // season)
    steps = np.full(n_rows * season, -1)
    steps[: len(values)] = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.maximum.accumulate(steps.reshape(n_rows, season))  # last observed step of each season up to each row
    target = positions[:, None] + np.arange(horizon)  # (n, horizon)
    # the last row whose step of this season is in the history
    row = (positions[:, None] - 1 - target % season) // season
    step = np.where(row >= 0, last[np.maximum(row, 0), target % season], -1)
    return step, np.where(step >= 0, (target - step) // season, 0)


def _average(values: Floats, positions: Integers, window: int, state: State) -> tuple[Floats, Integers]:
    """Mean (n,) of the last `window` observed values before each position, and the number of all of them."""
    observed = np.flatnonzero(~np.isnan(values))
    stop = np.searchsorted(observed, positions)  # (n,): observed values before each position
    start = np.maximum(stop - window, 0)
    base = values[observed[0]] if len(observed) else 0.0  # sums of differences keep their digits
    sums = np.concatenate([[0.0], np.cumsum(values[observed] - base)])
    return np.where(stop > 0, base + (sums[stop] - sums[start]) / np.maximum(stop - start, 1), state["mean"]), stop


def _moments(values: Floats, step: Integers, width: Floats, state: State) -> Moments:
    """Values at these steps and sigma times width; mean and spread of the training values where there is none (-1)."""
    mean = np.where(step >= 0, np.append(values, np.nan)[step], state["mean"])
    return mean, np.where(step >= 0, state["sigma"] * width, state["spread"])


def _unfitted_state(values: Floats, step: Integers, walked: Integers) -> State:
    """The state without parameters: sigma² is the mean of the squared errors, each over the steps walked."""
    first_observed(values)
    spread = float(np.nanstd(values))
    errors = (values - np.append(values, np.nan)[step]) / np.sqrt(np.maximum(walked, 1))
    errors = errors[(step >= 0) & ~np.isnan(errors)]
    sigma = float(np.sqrt(np.mean(errors**2))) if len(errors) else spread
    return {"mean": float(np.nanmean(values)), "spread": spread, "sigma": sigma}
