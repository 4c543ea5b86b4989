"""Exponential smoothing, Theta, ARIMA and STL: parameters are estimated in fit, afterwards only the states run on."""

from typing import Any

import numpy as np
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.seasonal import STL, seasonal_decompose
from statsmodels.tsa.stattools import acf

from seqcast._parameters import one_of, option, parameters
from seqcast.baselines._arima import arima_moments, choose_differences, fit_arima
from seqcast.baselines._ets import ets_moments, fit_ets, one_step_sigma
from seqcast.baselines._normal import Moments, NormalForecaster, State, first_observed, is_constant, without_gaps
from seqcast.panel import Floats, Integers

__all__ = ["ARIMA", "ETS", "STLForecaster", "Theta"]

_LONGEST_SEASON = 24  # longer seasons have too many states to estimate
_STRONG = 0.64  # strength from which a season counts (Hyndman & Athanasopoulos 2021, section 9.9)
_MOST_WAVES = 8  # Fourier pairs of a long season


@parameters
class ETS(NormalForecaster):
    """Exponential smoothing: error, trend and season in the form of least AICc.

    Notes
    -----
    The error is additive or, for positive values, multiplicative; the trend absent, additive or damped; the season absent,
    additive or, with multiplicative errors, multiplicative [1]_. statsmodels estimates the parameters by maximum likelihood.
    A season needs two full periods. One longer than 24 steps is taken out first by STL if it is strong (at least .64), and
    its last cycle goes on. A masked step moves the states by their trend only. Quantiles are normal, with the model's variances.

    References
    ----------
    .. [1] Hyndman, R. J., Koehler, A. B., Ord, J. K., & Snyder, R. D. (2008). Forecasting with exponential smoothing.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from seqcast import ETS
    >>> sales = pd.Series(np.arange(24.0) + np.tile([0, 3, 0, -3], 6), index=pd.period_range("2018Q1", freq="Q", periods=24))
    >>> ETS(horizon=4).fit(sales).forecast().round(1).tolist()
    [24.0, 28.0, 26.0, 24.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        known, cycle, m = _without_long_season(without_gaps(values), self.season_length_)
        return _state(values, fit_ets(known, m), cycle)

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        return _moments(state, values, positions, horizon)


@parameters
class Theta(NormalForecaster):
    """The Theta method: simple exponential smoothing with half the slope of the trend line.

    Notes
    -----
    The average of the trend line and the smoothed line of doubled curvature [1]_ is this smoothing with drift [2]_. Where the
    autocorrelation at the season is significant at 10 %, the season is taken out first, by classical decomposition
    (multiplicative for positive values), seasons longer than 24 steps by STL. Slope and smoothing constant are estimated by statsmodels.

    References
    ----------
    .. [1] Assimakopoulos, V., & Nikolopoulos, K. (2000). The theta model. International Journal of Forecasting, 16, 521-530.
    .. [2] Hyndman, R. J., & Billah, B. (2003). Unmasking the Theta method. International Journal of Forecasting, 19, 287-290.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from seqcast import Theta
    >>> sales = pd.Series(np.arange(10.0), index=pd.date_range("2024-01-01", freq="YS", periods=10))
    >>> Theta(horizon=2).fit(sales).forecast().round(1).tolist()
    [9.5, 10.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        plain, cycle, m = _without_long_season(without_gaps(values), self.season_length_)
        multiplies = _is_autocorrelated(plain, m) and plain.min() > 0
        if _is_autocorrelated(plain, m):
            cycle = seasonal_decompose(plain, model="multiplicative" if multiplies else "additive", period=m).seasonal[
                :m
            ]
            plain = plain / np.resize(cycle, len(plain)) if multiplies else plain - np.resize(cycle, len(plain))
        alpha, slope = 1.0, 0.0
        if len(plain) > 3 and not is_constant(plain):
            estimated = ThetaModel(plain, deseasonalize=False).fit().params
            alpha, slope = float(estimated["alpha"]), float(estimated["b0"])
        form = {
            "error": "add",
            "season": "none",
            "alpha": alpha,
            "beta": 0.0,
            "gamma": 0.0,
            "phi": 1.0,
            "seasonal": np.zeros(1),
        }
        form |= {"level": float(plain[0]) - slope / 2, "trend": slope / 2, "sigma": 1.0}
        return _state(values, {**form, "sigma": one_step_sigma(form, plain)}, cycle, multiplies)

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        return _moments(state, values, positions, horizon)


@parameters
class ARIMA(NormalForecaster):
    """Seasonal ARIMA with the orders of least AICc; known covariates are regressors.

    Notes
    -----
    Regression with errors that are ARIMA(p, d, q)(P, D, Q) [1]_: d by the KPSS test, D = 1 if the season is strong (at least
    .64), p and q up to 3, P and Q up to 1 in the stepwise search of [2]_ by conditional sums of squares; the chosen model is
    estimated by exact likelihood through statsmodels. A season longer than 24 steps becomes Fourier terms, a year of
    weeks with the period 365.25 / 7. At a masked step the forecast stands in for the value. Quantiles are normal. Columns in
    `past_features` are not used, unknown values of the others count as their mean.

    References
    ----------
    .. [1] Hyndman, R. J., & Athanasopoulos, G. (2021). Forecasting: principles and practice (3rd ed.), chapters 9 and 10.
    .. [2] Hyndman, R. J., & Khandakar, Y. (2008). Automatic time series forecasting. Journal of Statistical Software, 27(3).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from seqcast import ARIMA
    >>> sales = pd.Series(np.tile([5.0, 9.0, 6.0, 2.0], 8), index=pd.period_range("2018Q1", freq="Q", periods=32))
    >>> ARIMA(horizon=4).fit(sales).forecast().round(1).tolist()
    [5.0, 9.0, 6.0, 2.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        known, m = without_gaps(values), self.season_length_
        strong, inputs = 0, _read_inputs(features[-len(known) :, ~self.schema_.past_mask])
        if m > _LONGEST_SEASON:
            period = 365.25 / 7 if m == 52 else float(m)
            inputs, m = {**inputs, "period": period, "n_waves": _count_waves(known, period)}, 1
        elif len(known) < 2 * m + 5:
            m = 1
        else:
            strong = int(_strength(known, m) >= _STRONG)
        regressors = _regressors(inputs, features[-len(known) :, ~self.schema_.past_mask], len(known))
        return {**_state(values, fit_arima(known, regressors, m, strong), np.zeros(1)), "inputs": inputs}

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        return _moments(state, values, positions, horizon, features[:, ~self.schema_.past_mask])


@parameters
class STLForecaster(NormalForecaster):
    """Decompose by STL, forecast the series without its season, and let the last cycle go on.

    Notes
    -----
    The season may change slowly over the history (LOESS over 11 cycles [1]_). It is estimated in fit; forecasts from any
    origin use its last cycle. Without two full periods the model forecasts the series as it is.

    References
    ----------
    .. [1] Cleveland, R. B., Cleveland, W. S., McRae, J. E., & Terpenning, I. (1990). STL: A seasonal-trend decomposition
       procedure based on loess. Journal of Official Statistics, 6, 3-73.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from seqcast import STLForecaster
    >>> sales = pd.Series(np.tile([5.0, 9.0, 6.0, 2.0], 8), index=pd.period_range("2018Q1", freq="Q", periods=32))
    >>> STLForecaster(horizon=4).fit(sales).forecast().round(1).tolist()
    [5.0, 9.0, 6.0, 2.0]
    """

    model: str = option("ets", one_of("ets", "arima"), "Model of the series without its season.")

    def _fit_series(self, values: Floats, features: Floats) -> State:
        known, cycle = without_gaps(values), np.zeros(1)
        if 2 <= self.season_length_ <= len(known) // 2:
            known, cycle = _without_season(known, self.season_length_)
        if self.model == "ets":
            return _state(values, fit_ets(known, 1), cycle)
        inputs = _read_inputs(np.empty((len(known), 0)))
        return {
            **_state(values, fit_arima(known, _regressors(inputs, np.empty((0, 0)), len(known)), 1, 0), cycle),
            "inputs": inputs,
        }

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        return _moments(state, values, positions, horizon, features[:, :0])


def _state(values: Floats, form: dict[str, Any], cycle: Floats, multiplies: bool = False) -> State:
    """What a fitted series keeps: the model of the series without its season, the season's cycle from the first observed step on."""
    mean, spread = float(np.nanmean(values)), float(np.nanstd(values))
    return {
        "form": form,
        "cycle": cycle,
        "multiplies": multiplies,
        "lead": first_observed(values),
        "mean": mean,
        "spread": spread,
    }


def _moments(
    state: State, values: Floats, positions: Integers, horizon: int, covariates: Floats | None = None
) -> Moments:
    """Mean and standard deviation (n, horizon): the model's over the values without season, and the season again."""
    origins = np.maximum(positions - state["lead"], 0)
    values = values[state["lead"] :][: origins.max(initial=0)]
    season = np.resize(state["cycle"], len(values) + horizon)
    ahead = season[origins[:, None] + np.arange(horizon)]  # (n, horizon)
    plain = values / season[: len(values)] if state["multiplies"] else values - season[: len(values)]
    if "inputs" in state:
        regressors = _regressors(state["inputs"], covariates[state["lead"] :], len(season))
        mean, spread = arima_moments(state["form"], plain, regressors, origins, horizon)
    else:
        mean, spread = ets_moments(state["form"], plain, origins, horizon)
    mean, spread = (mean * ahead, spread * np.abs(ahead)) if state["multiplies"] else (mean + ahead, spread)
    is_empty = np.concatenate([[0], np.cumsum(~np.isnan(values))])[origins, None] == 0
    return np.where(is_empty, state["mean"], mean), np.where(is_empty, state["spread"], spread)


def _without_season(values: Floats, season_length: int) -> Moments:
    """Values less their season by STL, and the last cycle (season_length,) turned to begin at the first step."""
    season = STL(values, period=season_length, seasonal=11).fit().seasonal
    return values - season, np.roll(season[-season_length:], len(values) % season_length)


def _without_long_season(values: Floats, season_length: int) -> tuple[Floats, Floats, int]:
    """Values, the cycle taken from them, and the season length that is left."""
    if season_length <= _LONGEST_SEASON:
        return values, np.zeros(1), season_length
    if _strength(values, season_length) < _STRONG:
        return values, np.zeros(1), 1
    return *_without_season(values, season_length), 1


def _strength(values: Floats, season_length: int) -> float:
    """Share of the variance without trend that the season explains: max(0, 1 - var(rest) / var(season + rest))."""
    if not 2 <= season_length <= len(values) // 2 or is_constant(values):
        return 0.0
    parts = STL(values, period=season_length, seasonal=11).fit()
    return max(0.0, 1 - np.var(parts.resid) / max(np.var(parts.seasonal + parts.resid), np.finfo(float).tiny))


def _is_autocorrelated(values: Floats, season_length: int) -> bool:
    """Whether the autocorrelation at the season differs from 0 at 10 %, by Bartlett's standard error."""
    if season_length < 2 or len(values) < 3 * season_length or is_constant(values):
        return False
    r = acf(values, nlags=season_length, fft=True)
    return bool(abs(r[-1]) > 1.645 * np.sqrt((1 + 2 * np.sum(r[1:-1] ** 2)) / len(values)))


def _read_inputs(covariates: Floats) -> State:
    """How regressors are made: means stand in for unknown covariates; no waves."""
    known = ~np.isnan(covariates)
    means = np.where(known, covariates, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return {"period": 1.0, "n_waves": 0, "means": means}


def _regressors(inputs: dict[str, Any], covariates: Floats, n_steps: int) -> Floats:
    """Covariates and waves of the first steps, (n_steps, n_covariates + 2 n_waves)."""
    padded = np.full((n_steps, len(inputs["means"])), np.nan)
    padded[: len(covariates)] = covariates[:n_steps]
    return np.hstack(
        [np.where(np.isnan(padded), inputs["means"], padded), _waves(inputs["period"], inputs["n_waves"], n_steps)]
    )


def _waves(period: float, n_waves: int, n_steps: int) -> Floats:
    angles = 2 * np.pi / period * np.outer(np.arange(n_steps), np.arange(1, n_waves + 1))  # (n_steps, n_waves)
    return np.hstack([np.sin(angles), np.cos(angles)])


def _count_waves(values: Floats, period: float) -> int:
    """The number of Fourier pairs of least AICc in a regression of the differenced values."""
    if len(values) < 2 * period:
        return 0
    differences = choose_differences(values)
    target = np.diff(values, n=differences) - np.diff(values, n=differences).mean()
    waves = np.diff(_waves(period, _MOST_WAVES, len(values)), n=differences, axis=0)  # sines, then cosines

    def score(n_waves: int) -> float:
        columns = np.hstack([waves[:, :n_waves], waves[:, _MOST_WAVES : _MOST_WAVES + n_waves]])
        rest = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0] if n_waves else target
        n, k = len(target), 2 * n_waves + 1
        return n * np.log(max(np.mean(rest**2), np.finfo(float).tiny)) + 2 * k * n / (n - k - 1)

    return min(range(_MOST_WAVES + 1), key=score)
