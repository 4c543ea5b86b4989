"""Scores of a backtest by regime, and readings that its forecasts did not expect."""

import warnings
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from seqcast._parameters import between, check_count
from seqcast.evaluation.losses import scales_at_origins
from seqcast.evaluation.result import BacktestResult
from seqcast.times import season_length_of

__all__ = ["detect_anomalies", "scores_by"]

_DAYS, _SEASONS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ["winter", "spring", "summer", "autumn"]
_CALENDAR: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
    "hour": lambda times: times.hour,
    "day_of_week": lambda times: pd.Categorical.from_codes(times.day_of_week, _DAYS),
    "month": lambda times: times.month,
    "season": lambda times: pd.Categorical.from_codes(times.month % 12 // 3, _SEASONS),
}


def scores_by(
    result: BacktestResult,
    by: str | Callable[[pd.DataFrame], Any] = "hour",
    *,
    season_length: int | str = "auto",
) -> pd.DataFrame:
    """Score the models of a backtest in each regime.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.
    by : str or callable, default="hour"
        "hour", "day_of_week", "month" or "season" (of the north: winter is December to February) of the time that is
        forecast; "gap": whether one of the last `season_length` values up to the origin is missing; a column of
        ``result.forecasts``, such as "step"; or a function that gives a label for each of its rows.
    season_length : int or "auto", default="auto"
        Season of the scale of MASE, and of gaps; "auto" takes it from the frequency.

    Returns
    -------
    DataFrame
        One row a model and regime: ``MASE``, ``MAE``, ``bias`` (mean of forecast - actual), with quantiles ``coverage``
        (share of the truth between the lowest and the highest), and ``n``, the number of known values.

    Raises
    ------
    ValueError
        If `by` is neither a regime nor a column, or the times have no calendar.

    Notes
    -----
    Every measure is averaged over the known values of a series in the regime, then over series. Errors are scaled by
    `seqcast.metrics.seasonal_scale` of the values up to the first origin.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import Naive
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([1.0, 2.0, 1.0, 2.0, 1.0, 4.0], index=pd.date_range("2024-01-01", periods=6), name="a")
    >>> result = backtest(Naive(horizon=2), y, cv=RollingOriginSplit(2, n_origins=2))
    >>> scores_by(result, "step", season_length=1)[["MASE", "bias", "n"]]
                MASE  bias  n
    model step
    Naive 1      1.0   1.0  2
          2      1.0  -1.0  2
    """
    season = season_length_of(result.history.axis.freq) if season_length == "auto" else int(season_length)
    frame = result.forecasts
    error = frame["forecast"].to_numpy() - frame["actual"].to_numpy()
    table = pd.DataFrame({"model": frame["model"], "regime": _regimes(result, by, season), "series": frame["series"]})
    first = result.history.axis.positions(pd.Index([frame["origin"].min()]))
    scale = scales_at_origins(result.history, first, season)[0][frame["series"].cat.codes, 0]
    scale = np.where(scale > 0, scale, np.nan)
    table["MASE"], table["MAE"], table["bias"] = np.abs(error) / scale, np.abs(error), error
    if result.quantiles:
        low, high = frame[result.quantiles[0]], frame[result.quantiles[-1]]
        table["coverage"] = frame["actual"].between(low, high).astype(float).where(low.notna())
    known = table[frame["actual"].notna().to_numpy()]
    groups = known.groupby(["model", "regime", "series"], observed=True)
    scores = groups.mean().groupby(["model", "regime"], observed=True).mean()
    n_known = groups.size().groupby(["model", "regime"], observed=True).sum()
    return scores.assign(n=n_known).rename_axis(["model", by if isinstance(by, str) else "regime"])


def detect_anomalies(
    result: BacktestResult, *, model: Hashable | None = None, window: int = 12, alpha: float = 1e-3
) -> pd.DataFrame:
    """Mark readings of a backtest that its intervals did not expect.

    Parameters
    ----------
    result : BacktestResult
        From `backtest` with at least two `quantiles`, such as (0.01, 0.99); of several forecasts for one time the one
        from the latest origin counts.
    model : hashable, optional
        Name of the model; needed if there are several.
    window : int, default=12
        Latest known readings in which those outside the interval are counted; with 1 each stands for itself.
    alpha : float, default=0.001
        Probability of as many or more under the null, below which a reading outside the interval is an anomaly.

    Returns
    -------
    DataFrame
        One row a series and time: ``series, time, actual, low, high, score, p_value, is_anomaly``. `score` is the
        distance from the middle of the interval in halves of its width: beyond 1 in size it is outside. NaN, and never
        an anomaly, where the reading is missing.

    Raises
    ------
    ValueError
        If the result has no two quantiles of the model.

    Warns
    -----
    UserWarning
        If more than a tenth, and ten times as many readings as they should, are outside: the intervals are not
        calibrated.

    Notes
    -----
    Under the null, the readings outside an interval of coverage c in a window of w are binomial:
    ``p = P(Binomial(w, 1 - c) >= count)``. Assumed: the intervals cover what they say, which ``scores_by`` shows, and
    errors are independent, which they are from one horizon to the next rather than within one: a slow drift counts
    several times, and `p_value` is then too small.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from seqcast import HistoricAverage
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> values = np.random.default_rng(0).normal(size=60)
    >>> values[50:53] = 30.0, -30.0, 30.0
    >>> y = pd.Series(values, index=pd.date_range("2024-01-01", periods=60), name="a")
    >>> result = backtest(HistoricAverage(), y, cv=RollingOriginSplit(1, n_origins=40), quantiles=[0.01, 0.99])
    >>> found = detect_anomalies(result, window=4, alpha=0.01)
    >>> found.loc[found["is_anomaly"], "time"].dt.day.tolist()
    [21, 22]
    """
    check_count("window", window)
    if not between(0, 1, closed="neither").holds(alpha):
        raise ValueError(f"alpha must be a number above 0 and below 1, got {alpha!r}.")
    frame = _latest(_of_model(result, model))
    low, high = (frame[level] for level in (result.quantiles[0], result.quantiles[-1]))
    score = (frame["actual"] - (low + high) / 2) / np.maximum((high - low) / 2, np.finfo(np.float64).tiny)
    outside = (score.abs() > 1).where(score.notna()).astype(np.float64)
    rate = 1 - (result.quantiles[-1] - result.quantiles[0])
    _warn_of_narrow(outside.mean(), rate)
    p_value = pd.Series(np.nan, frame.index)
    for _, known in outside.dropna().groupby(frame["series"], observed=True):
        recent = known.rolling(window, min_periods=1)
        p_value[known.index] = binom.sf(recent.sum() - 1, recent.count(), rate)
    found = frame[["series", "time", "actual"]].assign(low=low, high=high, score=score, p_value=p_value)
    return found.assign(is_anomaly=(outside == 1) & (p_value < alpha))


def _regimes(result: BacktestResult, by: str | Callable[[pd.DataFrame], Any], season: int) -> Any:
    """The label of each forecast."""
    frame = result.forecasts
    if callable(by):
        return np.asarray(by(frame))
    if by == "gap":
        return np.where(_is_after_gap(result, season), "after a gap", "no gap")
    if by in frame.columns:
        return frame[by]
    if by not in _CALENDAR:
        raise ValueError(f"by must be 'gap', one of {list(_CALENDAR)}, a column of the forecasts or a function.")
    times = pd.Index(frame["time"])
    times = times.to_timestamp() if isinstance(times, pd.PeriodIndex) else times
    if not isinstance(times, pd.DatetimeIndex):
        raise ValueError(f"by={by!r} needs times with a calendar, got {times.dtype}. Give by a function.")
    return _CALENDAR[by](times)


def _is_after_gap(result: BacktestResult, season: int) -> NDArray[np.bool_]:
    """Whether a value of the last season up to the origin is missing."""
    history, frame = result.history, result.forecasts
    series = frame["series"].cat.codes.to_numpy().astype(np.int64)
    origin = history.axis.positions(pd.Index(frame["origin"])) - history.first[series]
    known = np.concatenate([[0], np.cumsum(~np.isnan(history.values))])
    begin, end = np.maximum(origin + 1 - season, 0), np.minimum(origin + 1, history.lengths[series])
    start = history.indptr[series]
    return known[start + end] - known[start + np.minimum(begin, end)] < origin + 1 - begin


def _of_model(result: BacktestResult, model: Hashable | None) -> pd.DataFrame:
    if model is None and len(result.models) > 1:
        raise ValueError(f"The result has several models, {result.models}: name one with model=.")
    name = result.models[0] if model is None else model
    if name not in result.models:
        raise ValueError(f"model={name!r} is none of the models with forecasts: {result.models}.")
    frame = result.forecasts[result.forecasts["model"] == name]
    if len(result.quantiles) < 2 or frame[result.quantiles].isna().all(axis=None):
        raise ValueError(f"{name!r} has no interval. Give backtest two quantiles, such as quantiles=[0.01, 0.99].")
    return frame


def _latest(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a series and time, in order of time: the forecast from the latest origin."""
    ordered = frame.sort_values(["series", "time", "step"], kind="stable")
    return ordered.drop_duplicates(["series", "time"]).reset_index(drop=True)


def _warn_of_narrow(outside: float, rate: float) -> None:
    if outside > max(0.1, 10 * rate):
        warnings.warn(
            f"{outside:.0%} of the readings lie outside intervals that should leave out {rate:.1%}: they are not "
            "calibrated, and what is marked means little. Refit more often, or take conformal intervals.",
            UserWarning,
            stacklevel=3,
        )
