"""RegressionForecaster: any scikit-learn regressor on lags and covariates, one for all series."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils import get_tags

from seqcast._parameters import Rule, any_of, at_least, each, is_none, one_of, option, parameters
from seqcast.base import BaseForecaster
from seqcast.exceptions import ShortSeriesError
from seqcast.panel import Floats, Integers, Panel, runs

__all__ = ["RegressionForecaster"]

_regressor = Rule("a scikit-learn regressor", lambda v: hasattr(v, "fit") and hasattr(v, "predict"))


@parameters
class RegressionForecaster(BaseForecaster):
    """Forecast one step by a regressor on lags and covariates, and further steps on top of its own forecasts.

    Notes
    -----
    One regressor learns all series (gradient boosting by default). Lags and target are taken less the value one season
    before, if the lags reach it, else the last observed value, and divided by the standard deviation of the window, so
    that level and scale of a series do not matter. Covariates are those of the step that is forecast; columns in
    `past_features` are those of the last step before the origin. Lags without a value are NaN, or the window's mean
    where the regressor takes no NaN; a window without any value is forecast by the mean of the training values. Save it
    with joblib.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from seqcast import RegressionForecaster
    >>> sales = pd.Series(np.tile([5.0, 9.0, 6.0, 2.0], 8), index=pd.period_range("2018Q1", freq="Q", periods=32))
    >>> RegressionForecaster(Ridge(alpha=1e-6), horizon=4).fit(sales).forecast().round(1).tolist()
    [5.0, 9.0, 6.0, 2.0]
    """

    regressor: Any = option(None, any_of(is_none(), _regressor), "Regressor that is cloned and fitted.", wraps=True)
    lags: int | tuple | str = option(
        "auto",
        any_of(at_least(1), each(at_least(1)), one_of("auto")),
        'Lags: the last so many, or these; "auto" takes two seasons up to 24 steps, else one, and a step more.',
    )

    def _fit_panel(self, panel: Panel) -> None:
        self.lags_ = _chosen_lags(self.lags, self.season_length_)
        self.means_ = {panel.ids[i]: _mean(panel.values[panel.series(i)]) for i in range(panel.n_series)}
        series, steps = runs(panel.lengths)
        known = np.flatnonzero(~np.isnan(panel.values))
        width = max(self.lags_)
        window = panel.values_at(series[known], steps[known] - width, width)
        taught = ~np.isnan(window[:, [-lag for lag in self.lags_]]).all(axis=1)
        if not taught.any():
            raise ShortSeriesError(
                "No known value has another one before it at one of the lags: 1 sample teaches a regressor nothing. "
                f"Give longer series, now of at most {panel.lengths.max()} rows, or other lags."
            )
        share = np.where(taught, 1 - np.isnan(window).mean(axis=1), 0)
        whole = share >= min(0.9, np.median(share[taught]))  # windows with few values have a scale of chance
        known, window = known[whole], window[whole]
        self.feature_means_ = np.array([_mean(column) for column in panel.features.T])
        model = HistGradientBoostingRegressor(random_state=0) if self.regressor is None else self.regressor
        self.takes_nan_ = bool(get_tags(model).input_tags.allow_nan)
        level, scale = _level_and_scale(window, self.season_length_)
        inputs = self._inputs(window, level, scale, self._covariates(panel, series[known], steps[known], 0))
        self.informs_ = ~np.isnan(inputs).all(axis=0)  # gradient boosting fails on columns that are never known
        self.regressor_ = clone(model).fit(inputs[:, self.informs_], (panel.values[known] - level) / scale)

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        width = max(self.lags_)
        window = panel.values_at(series, positions - width, width)
        usual = _mean(np.array(list(self.means_.values())))
        means = np.array([self.means_.get(label, usual) for label in panel.ids])[series, None]  # (n, 1)
        is_empty = np.isnan(window).all(axis=1, keepdims=True)  # (n, 1)
        window = np.where(is_empty, means, window)
        out = np.empty((len(series), horizon))
        for h in range(horizon):
            level, scale = _level_and_scale(window, self.season_length_)
            inputs = self._inputs(window, level, scale, self._covariates(panel, series, positions, h))
            out[:, h] = level + scale * np.ravel(self.regressor_.predict(inputs[:, self.informs_]))
            window = np.column_stack([window[:, 1:], out[:, h]])
        return np.where(is_empty, means, out)

    def _inputs(self, window: Floats, level: Floats, scale: Floats, covariates: Floats) -> Floats:
        """What the regressor reads: scaled lags, newest first, and covariates."""
        scaled = (window - level[:, None]) / scale[:, None]  # (n, width)
        lags = scaled[:, [-lag for lag in self.lags_]]  # (n, n_lags)
        if not self.takes_nan_:
            lags = np.where(np.isnan(lags), np.nanmean(scaled, axis=1, keepdims=True), lags)
            covariates = np.where(np.isnan(covariates), self.feature_means_, covariates)
        return np.hstack([lags, covariates])

    def _covariates(self, panel: Panel, series: Integers, positions: Integers, ahead: int) -> Floats:
        """Covariates (n, n_features) of the step `ahead` of each position; of the past those of the step before it."""
        step = np.where(self.schema_.past_mask, positions[:, None] - 1, positions[:, None] + ahead)  # (n, n_features)
        inside = (step >= 0) & (step < panel.lengths[series][:, None])
        rows = np.where(inside, panel.indptr[series][:, None] + step, 0)
        return np.where(inside, panel.features[rows, np.arange(panel.n_features)], np.nan)

    def _get_state(self) -> dict[str, Any]:
        raise TypeError(
            "RegressionForecaster cannot be saved without running code on load: its regressor may be any object. "
            "Use joblib.dump."
        )


def _chosen_lags(lags: int | tuple | str, season_length: int) -> tuple[int, ...]:
    if lags == "auto":
        reach = 12 if season_length == 1 else 1 + season_length * (2 if season_length <= 24 else 1)
        return tuple(range(1, reach + 1))
    return tuple(range(1, lags + 1)) if isinstance(lags, int) else tuple(sorted({int(lag) for lag in lags}))


def _level_and_scale(window: Floats, season_length: int) -> tuple[Floats, Floats]:
    """What is taken off a window, and its standard deviation (n,): at least 1 % of the last value, 1 if that is 0."""
    n, width = window.shape
    last = width - 1 - np.argmax(~np.isnan(window[:, ::-1]), axis=1)
    level = window[np.arange(n), last]
    scale = np.hypot(np.nanstd(window, axis=1), 0.01 * level)
    if 1 < season_length <= width:
        season = window[:, -season_length]
        level = np.where(np.isnan(season), level, season)
    return level, np.where(scale > 0, scale, 1.0)


def _mean(values: Floats) -> float:
    """Mean of the known values, 0 if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
