"""Exponential smoothing, Theta, ARIMA and STL: parameters are estimated in fit, afterwards only the states run on."""

from dataclasses import replace

import numpy as np
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.seasonal import seasonal_decompose

from seqcast._parameters import one_of, option, parameters
from seqcast.baselines._arima import ArimaForm, arima_moments, fit_arima
from seqcast.baselines._ets import EtsForm, ets_moments, fit_ets, one_step_sigma
from seqcast.baselines._regressors import Regressors, count_waves
from seqcast.baselines._seasons import (
    LONGEST_SEASON,
    has_strong_season,
    hidden_noise,
    is_autocorrelated,
    without_long_season,
    without_season,
)
from seqcast.baselines._values import first_observed, is_constant, without_gaps
from seqcast.panel import Floats, Integers
from seqcast.series import Moments, SeriesForecaster, State

__all__ = ["ARIMA", "ETS", "STLForecaster", "Theta"]


@parameters
class SeasonForecaster(SeriesForecaster):
    """Forecaster by a model, ETS or ARIMA, of the values without their season, whose last cycle goes on."""

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        origins = np.maximum(positions - state["lead"], 0)
        values = values[state["lead"] :][: origins.max(initial=0)]
        season = np.resize(state["cycle"], len(values) + horizon)
        plain = values / season[: len(values)] if state["multiplies"] else values - season[: len(values)]
        if "ets" in state:
            mean, spread = ets_moments(EtsForm(**state["ets"]), plain, origins, horizon)
        else:
            table = Regressors(**state["regressors"]).table(self._covariates(features)[state["lead"] :], len(season))
            mean, spread = arima_moments(ArimaForm(**state["arima"]), plain, table, origins, horizon)
        ahead = season[origins[:, None] + np.arange(horizon)]  # (n, horizon)
        mean, spread = (mean * ahead, spread * np.abs(ahead)) if state["multiplies"] else (mean + ahead, spread)
        spread = np.maximum(spread, state.get("least_spread", 0.0))  # files of 0.1.0 have none
        is_empty = np.concatenate([[0], np.cumsum(~np.isnan(values))])[origins, None] == 0
        return np.where(is_empty, state["mean"], mean), np.where(is_empty, state["spread"], spread)

    def _covariates(self, features: Floats) -> Floats:
        return features[:, :0]


@parameters
class ETS(SeasonForecaster):
    """Exponential smoothing: error, trend and season in the form of least AICc.

    Notes
    -----
    The error is additive or, for positive values, multiplicative; the trend absent, additive or damped; the season
    absent, additive or, with multiplicative errors, multiplicative [1]_. statsmodels estimates the parameters by
    maximum likelihood. A season needs two full periods. One longer than 24 steps is taken off first by STL if it is
    strong, and its last cycle goes on. A masked step moves the states by their trend only. Quantiles are normal, with
    the variances of the form, and of fewer than eleven such cycles at least that of values a cycle apart.

    References
    ----------
    .. [1] Hyndman, R. J., Koehler, A. B., Ord, J. K., & Snyder, R. D. (2008). Forecasting with exponential smoothing.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from seqcast import ETS
    >>> quarters = pd.period_range("2018Q1", freq="Q", periods=24)
    >>> sales = pd.Series(np.arange(24) + np.tile([0.0, 3.0, 0.0, -3.0], 6), index=quarters)
    >>> ETS(horizon=4).fit(sales).forecast().round(1).tolist()
    [24.0, 28.0, 26.0, 24.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        plain, cycle, m = without_long_season(without_gaps(values), self.season_length_)
        return _state(values, cycle, ets=fit_ets(plain, m), least_spread=hidden_noise(values, len(cycle)))


@parameters
class Theta(SeasonForecaster):
    """The Theta method: simple exponential smoothing with half the slope of the trend line.

    Notes
    -----
    The average of the trend line and the smoothed line of doubled curvature [1]_ is this smoothing with drift [2]_.
    Where the autocorrelation at the season is significant at 10 %, the season is taken off first by classical
    decomposition, multiplicative for positive values; a strong one longer than 24 steps by STL, with quantiles as those
    of `ETS`. Slope and smoothing constant are estimated by statsmodels.

    References
    ----------
    .. [1] Assimakopoulos, V., & Nikolopoulos, K. (2000). The theta model. International Journal of Forecasting, 16(4).
    .. [2] Hyndman, R. J., & Billah, B. (2003). Unmasking the Theta method. International Journal of Forecasting, 19(2).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from seqcast import Theta
    >>> sales = pd.Series(np.arange(10.0), index=pd.date_range("2024-01-01", freq="YS", periods=10))
    >>> Theta(horizon=2).fit(sales).forecast().round(1).tolist()
    [9.5, 10.0]
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        plain, cycle, m = without_long_season(without_gaps(values), self.season_length_)
        multiplies, least = False, hidden_noise(values, len(cycle))
        if is_autocorrelated(plain, m):
            multiplies = bool(plain.min() > 0)
            model = "multiplicative" if multiplies else "additive"
            cycle = seasonal_decompose(plain, model=model, period=m).seasonal[:m]
            season = np.resize(cycle, len(plain))
            plain = plain / season if multiplies else plain - season
        slope, alpha = 0.0, 1.0
        if len(plain) > 3 and not is_constant(plain):
            unit = np.abs(plain).mean()
            found = ThetaModel(plain / unit, deseasonalize=False).fit().params
            slope, alpha = float(found["b0"] * unit), float(found["alpha"])
        form = EtsForm("add", "none", float(plain[0]) - slope / 2, slope / 2, alpha=alpha, phi=1.0)
        form = replace(form, sigma=one_step_sigma(form, plain, 2))
        return _state(values, cycle, multiplies=multiplies, ets=form, least_spread=least)


@parameters
class ARIMA(SeasonForecaster):
    """Seasonal ARIMA with the orders of least AICc; covariates are regressors.

    Notes
    -----
    A regression with ARIMA(p, d, q)(P, D, Q) errors [1]_: d by the KPSS test, D = 1 if the season is strong, p and q
    up to 3, P and Q up to 1 by stepwise search [2]_ with conditional sums of squares. The parameters of the chosen
    orders are those of exact likelihood, by statsmodels. A season longer than 24 steps becomes Fourier terms; a year
    of weeks has the period 365.25 / 7. At a masked step the forecast stands in for the value. Quantiles are normal.
    Columns in `past_features` are not used; unknown values of the others count as their mean.

    References
    ----------
    .. [1] Hyndman, R. J., & Athanasopoulos, G. (2021). Forecasting: principles and practice (3rd ed.), chapter 10.
    .. [2] Hyndman, R. J., & Khandakar, Y. (2008). Automatic time series forecasting. J. Statistical Software, 27(3).

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
        covariates = self._covariates(features)[-len(known) :]
        regressors = Regressors.of(covariates)
        if m > LONGEST_SEASON:
            period = 365.25 / 7 if m == 52 else float(m)
            regressors = Regressors.of(covariates, period, count_waves(known, period))
        m = m if m <= LONGEST_SEASON and len(known) >= 2 * m + 5 else 1
        form = fit_arima(known, regressors.table(covariates, len(known)), m, int(has_strong_season(known, m)))
        return _state(values, np.zeros(1), arima=form, regressors=regressors)

    def _covariates(self, features: Floats) -> Floats:
        return features[:, ~self.schema_.past_mask]


@parameters
class STLForecaster(SeasonForecaster):
    """Take the season off by STL, forecast the rest, and let the last cycle of the season go on.

    Notes
    -----
    The season may change slowly over the history (smoothed over 11 cycles [1]_). It is estimated in fit, and all
    forecasts use its last cycle. Without two full periods the model forecasts the series as it is. Intervals are those
    of the rest: the season counts as known, but of fewer than eleven cycles, whose noise may stand in it.

    References
    ----------
    .. [1] Cleveland, R. B., Cleveland, W. S., McRae, J. E., & Terpenning, I. (1990). STL: A seasonal-trend
       decomposition procedure based on loess. Journal of Official Statistics, 6(1).

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
        plain, cycle = without_gaps(values), np.zeros(1)
        if 2 <= self.season_length_ <= len(plain) // 2:
            plain, cycle = without_season(plain, self.season_length_)
        least = hidden_noise(values, len(cycle))
        if self.model == "ets":
            return _state(values, cycle, ets=fit_ets(plain, 1), least_spread=least)
        nothing = np.empty((len(plain), 0))
        model, regressors = fit_arima(plain, nothing, 1, 0), Regressors.of(nothing)
        return _state(values, cycle, arima=model, regressors=regressors, least_spread=least)


def _state(
    values: Floats,
    cycle: Floats,
    *,
    multiplies: bool = False,
    least_spread: float = 0.0,
    ets: EtsForm | None = None,
    arima: ArimaForm | None = None,
    regressors: Regressors | None = None,
) -> State:
    """What is kept of a series: the season's cycle from the first observed step on, and the model of the rest."""
    models = {"ets": ets, "arima": arima, "regressors": regressors}
    return {
        "lead": first_observed(values),
        "mean": float(np.nanmean(values)),
        "spread": float(np.nanstd(values)),
        "cycle": cycle,
        "multiplies": multiplies,
        "least_spread": least_spread,
        **{name: vars(model) for name, model in models.items() if model is not None},
    }
