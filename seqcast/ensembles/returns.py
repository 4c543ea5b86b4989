"""ReturnsForecaster: any forecaster fitted on the returns of prices, giving back prices."""

from dataclasses import replace

import numpy as np
from sklearn.utils import Tags

from seqcast._parameters import any_of, boolean, instance_of, is_none, option, parameters
from seqcast.base import BaseForecaster
from seqcast.baselines import HistoricAverage
from seqcast.ensembles._members import asked, fitted
from seqcast.exceptions import ShortSeriesError
from seqcast.panel import Floats, Integers, Panel
from seqcast.rolling import answer, by_knowledge, by_origin, error_origins, mean_before

__all__ = ["ReturnsForecaster"]


@parameters
class ReturnsForecaster(BaseForecaster):
    r"""Forecast prices by a forecaster of their returns.

    Notes
    -----
    The wrapped forecaster sees :math:`r_t = \log(p_t / p_s)`, or :math:`p_t / p_s - 1`, where s is the last step before
    t whose price is known: the return of the first day after a holiday, or a gap, is that since the last day before it,
    and masked steps have none. From the last known price P it gives back

    .. math:: P \exp(r_1 + \dots + r_h) \quad\text{or}\quad P (1 + r_1) \cdots (1 + r_h),

    the inverse of these returns: the first is the median of the price if log-returns are symmetric, the second its mean
    if returns are independent. Prices must be positive, and covariates are handed on as they are.

    Quantiles and paths do not come from the wrapped forecaster's quantiles of single returns, which do not add up to
    those of a price. They are the forecast times the ratios of price to forecast at the latest rolling origins, each
    series in units of its volatility up to the origin; the ranks of these ratios tie steps and series of paths.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import HistoricAverage, ReturnsForecaster
    >>> prices = pd.Series([100.0, 110.0, 121.0], index=pd.bdate_range("2024-01-01", periods=3))
    >>> ReturnsForecaster(HistoricAverage(), horizon=2).fit(prices).forecast().round(2).tolist()
    [133.1, 146.41]
    """

    forecaster: BaseForecaster | None = option(
        None,
        any_of(is_none(), instance_of(BaseForecaster, "a forecaster of seqcast")),
        "Forecaster of the returns, which is cloned; None: HistoricAverage, a random walk with drift.",
        wraps=True,
    )
    log: bool = option(True, boolean(), "Whether the returns are logarithmic.")

    def _fit_panel(self, panel: Panel) -> None:
        returns = self._returns(panel)
        short = [label for i, label in enumerate(panel.ids) if np.isnan(returns.values[panel.series(i)]).all()]
        if short:
            raise ShortSeriesError(
                f"{len(short)} of {panel.n_series} series have one sample at most, a return needs two known values: "
                f"{short[:5]}. Drop them."
            )
        logs = np.log(panel.values)
        self.levels_ = {label: float(np.exp(np.nanmean(logs[panel.series(i)]))) for i, label in enumerate(panel.ids)}
        self.forecaster_ = fitted(self, HistoricAverage() if self.forecaster is None else self.forecaster, returns)

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        returns = asked(self.forecaster_, self._returns(panel), series, positions, horizon)
        row = _last_known(panel)[panel.indptr[series] + positions]
        usual = float(np.exp(np.mean(np.log(list(self.levels_.values())))))
        level = np.array([self.levels_.get(label, usual) for label in panel.ids])[series]
        price = np.where(row >= panel.indptr[series], panel.values[row], level)  # (n,)
        if self.log:
            return price[:, None] * np.exp(np.cumsum(returns, axis=1))
        return price[:, None] * np.maximum(1 + returns, 0).cumprod(axis=1)

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        point = self._forecast_panel(panel, series, positions, horizon)
        unit, spread = self._volatility(panel, series, positions), np.empty((*point.shape, len(quantiles)))
        for mine, history in by_knowledge(self, panel, series, positions):
            spread[mine] = np.nanquantile(self._errors(history, horizon), quantiles, axis=(0, 1)).T
        return point[..., None] * np.exp(unit[:, None, None] * spread)

    @property
    def _longest(self) -> int | None:
        return self.forecaster_._longest

    def _returns(self, panel: Panel) -> Panel:
        """The panel of the returns since the last known price."""
        wrong = np.flatnonzero(panel.values <= 0)
        if len(wrong):
            k = wrong[0]
            raise ValueError(
                f"Prices must be positive, but {panel.name_of(panel.codes()[k])} is {panel.values[k]:.6g} at "
                f"{panel.time_of(panel.steps()[k])}. Mask it with NaN, or do without returns."
            )
        before = _last_known(panel)[:-1]
        has_price = before >= np.repeat(panel.indptr[:-1], panel.lengths)
        ratio = panel.values / np.where(has_price, panel.values[before], np.nan)
        return replace(panel, values=np.log(ratio) if self.log else ratio - 1)

    def _errors(self, panel: Panel, horizon: int) -> Floats:
        """log(price / forecast) over volatility at the latest origins, (n_origins, n_series, horizon)."""
        series, positions = error_origins(panel, horizon)
        forecast = answer(self, panel, series, positions, horizon, None)
        price = panel.values_at(series, positions, horizon)
        with np.errstate(divide="ignore"):  # simple returns of -100 % forecast a price of 0
            errors = np.log(price / forecast) / self._volatility(panel, series, positions)[:, None]
        return by_origin(panel, series, positions, errors)

    def _volatility(self, panel: Panel, series: Integers, positions: Integers) -> Floats:
        """Root mean square of the returns before each position; 1 % where there are none, or all are 0."""
        square = mean_before(panel, self._returns(panel).values ** 2, series, positions)
        return np.where(square > 0, np.sqrt(square), 0.01)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags


def _last_known(panel: Panel) -> Integers:
    """Row of the last known value before each row of a panel and its end, whatever its series; -1: none."""
    known = np.where(np.isnan(panel.values), -1, np.arange(len(panel.values)))
    return np.concatenate([[-1], np.maximum.accumulate(known)])
