"""EWMA and GARCH: forecasts of a variance from realised variances, or squared returns, themselves."""

import importlib
import warnings

import numpy as np
from sklearn.utils import Tags

from seqcast._parameters import between, option, parameters
from seqcast.base import BOUNDS
from seqcast.baselines._values import first_observed, is_constant
from seqcast.panel import Floats, Integers, Panel
from seqcast.series import SeriesForecaster, State

__all__ = ["EWMA", "GARCH"]

_FEWEST = 50  # known values below which the parameters of GARCH mean nothing
_DECAY = 0.94


@parameters
class VarianceForecaster(SeriesForecaster):
    """Forecaster of a variance by ``variance = constant + reaction * value + memory * variance``, one step on."""

    bounds: tuple | None = option((0.0, None), BOUNDS, "Limits to which forecasts are clipped.")

    def _fit_panel(self, panel: Panel) -> None:
        negative = np.flatnonzero(panel.values < 0)
        if len(negative):
            k = negative[0]
            raise ValueError(
                f"{type(self).__name__} forecasts a variance, but {panel.name_of(panel.codes()[k])} is negative "
                f"at {panel.time_of(panel.steps()[k])}. Give squared returns, returns**2, or realised variances."
            )
        super()._fit_panel(panel)

    def _forecast_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Floats:
        constant, reaction, memory = state["constant"], state["reaction"], state["memory"]
        variance = np.empty(len(values) + 1)  # of each step, as it is forecast one step ahead
        variance[0] = state["start"]
        for t, value in enumerate(values):
            known = variance[t] if np.isnan(value) else value  # a masked value is as expected
            variance[t + 1] = constant + reaction * known + memory * variance[t]
        out = np.empty((len(positions), horizon))
        out[:, 0] = variance[positions]
        for h in range(1, horizon):
            out[:, h] = constant + (reaction + memory) * out[:, h - 1]
        return out

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags


@parameters
class EWMA(VarianceForecaster):
    r"""Exponentially weighted moving average of realised variances or squared returns, the one of RiskMetrics [1]_.

    Notes
    -----
    The target is a variance: squared returns, or a realised variance. The forecast, the same for every step, is

    .. math:: \sigma^2_{t+1} = \lambda \sigma^2_t + (1 - \lambda) y_t,

    from the mean of the training values on; a masked value leaves it as it is.

    References
    ----------
    .. [1] J.P. Morgan/Reuters (1996). RiskMetrics: technical document (4th ed.).

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import EWMA
    >>> returns = pd.Series([0.01, -0.02, 0.01], index=pd.bdate_range("2024-01-01", periods=3))
    >>> EWMA(decay=0.5, horizon=2).fit(returns**2).forecast().round(6).tolist()
    [0.000188, 0.000188]
    """

    decay: float = option(_DECAY, between(0, 1, closed="neither"), "Weight of the last forecast; 0.97 for months.")

    def _fit_series(self, values: Floats, features: Floats) -> State:
        first_observed(values)
        return _state(values, 0.0, 1 - self.decay, self.decay)


@parameters
class GARCH(VarianceForecaster):
    r"""GARCH(1, 1) [1]_ of realised variances or squared returns, estimated by the package arch.

    Notes
    -----
    The target is a variance: squared returns, or a realised variance. The forecast is

    .. math:: \sigma^2_{t+1} = \omega + \alpha y_t + \beta \sigma^2_t, \quad
        \sigma^2_{t+h} = \omega + (\alpha + \beta) \sigma^2_{t+h-1}.

    The parameters minimise :math:`\sum \log \sigma^2_t + y_t / \sigma^2_t`: the Gaussian quasi-likelihood of returns
    without a mean, which asks for their squares only, and that of a multiplicative error model [2]_ where the target is
    a realised variance. They stay as fitted: forecasts from other origins apply them to the values before. Masked
    values are left out of the estimation and count as expected afterwards. Series that are constant or have fewer than
    50 known values are smoothed as by `EWMA`. Needs ``pip install "seqcast[arch]"``.

    References
    ----------
    .. [1] Bollerslev, T. (1986). Generalized autoregressive conditional heteroskedasticity. Journal of Econometrics,
       31(3), 307-327.
    .. [2] Engle, R. F., & Gallo, G. M. (2006). A multiple indicators model for volatility using intra-daily data.
       Journal of Econometrics, 131(1-2), 3-27.
    """

    def _fit_series(self, values: Floats, features: Floats) -> State:
        first_observed(values)
        known = values[~np.isnan(values)]
        if len(known) < _FEWEST or is_constant(known):
            return _state(values, 0.0, 1 - _DECAY, _DECAY)
        try:
            univariate = importlib.import_module("arch.univariate")
        except ImportError as error:
            raise ImportError('GARCH needs arch: pip install "seqcast[arch]".') from error
        scale = known.mean()  # arch wants returns of a size around 1; their signs do not matter without a mean
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = univariate.ZeroMean(np.sqrt(known / scale), volatility=univariate.GARCH(1, 0, 1), rescale=False)
            constant, reaction, memory = model.fit(disp="off", show_warning=False).params
        return _state(values, constant * scale, reaction, memory)


def _state(values: Floats, constant: float, reaction: float, memory: float) -> State:
    return {
        "constant": float(constant),
        "reaction": float(reaction),
        "memory": float(memory),
        "start": float(np.nanmean(values)),
    }
