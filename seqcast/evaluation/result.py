"""BacktestResult: what a backtest leaves behind."""

import html
from collections.abc import Hashable
from dataclasses import dataclass

import pandas as pd

from seqcast.panel import Panel

__all__ = ["BacktestResult"]


@dataclass(frozen=True, eq=False, repr=False)
class BacktestResult:
    """Forecasts of several models from the same origins.

    Parameters
    ----------
    forecasts : DataFrame
        One row a model, series, origin and step: columns ``model, series, origin, time, step, actual, forecast`` and
        one column, named by a float, for each quantile. `origin` is the last time whose value the forecast may know,
        `step` 1 the grid step after it. All models have the same rows, in the same order; `actual` is NaN where the
        reading is missing, a quantile where the model gives none.
    seconds : DataFrame
        Columns ``fit`` and ``predict`` for each model: wall time summed over the origins.
    failures : dict
        Error of each model that failed, and is not in `forecasts`.
    history : Panel
        All values of the targets, before and after the origins.

    Notes
    -----
    A series is forecast from the origins before which it has a known value, in the training window. Regressors that are
    no forecasters are fitted on the rows whose target is known. Transformers are fitted with their Pipeline, on the
    training rows of the origin.
    """

    forecasts: pd.DataFrame
    seconds: pd.DataFrame
    failures: dict[Hashable, str]
    history: Panel

    @property
    def models(self) -> list[Hashable]:
        """Names of the models with forecasts."""
        return self.forecasts["model"].cat.categories.tolist()

    @property
    def quantiles(self) -> list[float]:
        """Levels of the quantile columns."""
        return [column for column in self.forecasts.columns if isinstance(column, float)]

    def __repr__(self) -> str:
        frame = self.forecasts
        n_series, n_origins = len(frame["series"].cat.categories), frame["origin"].nunique()
        text = (
            f"BacktestResult: {len(self.models)} models, {n_series} series, {n_origins} origins, "
            f"{frame['step'].max()} steps, {len(frame):,} forecasts"
        )
        return f"{text}; failed: {', '.join(map(str, self.failures))}" if self.failures else text

    def _repr_html_(self) -> str:
        failures = "".join(
            f"<p><b>{html.escape(str(name))}</b> failed: {html.escape(error)}</p>"
            for name, error in self.failures.items()
        )
        table = self.forecasts.head().to_html(index=False, float_format="{:.4g}".format)
        return f"<p>{html.escape(repr(self))}</p>{failures}{table}"
