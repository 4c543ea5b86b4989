"""SeriesForecaster: one model a series, fitted in parallel; a series that fails is named, and the others go on."""

import warnings
from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from scipy.special import ndtri

from seqcast._parameters import any_of, instance_of, is_none, option, parameters
from seqcast.base import BaseForecaster
from seqcast.exceptions import SeriesFailedWarning
from seqcast.panel import Floats, Integers, Panel

__all__ = ["Moments", "SeriesForecaster", "State"]

State = dict[str, Any]  # a fitted model, as plain data
Moments = tuple[Floats, Floats]  # mean and standard deviation, each (n, horizon)


@parameters
class SeriesForecaster(BaseForecaster):
    """Forecaster that fits one model to each series.

    A subclass implements ``_fit_series`` and, if its predictive distributions are normal, ``_moments_series``: mean and
    standard deviation of each step; else ``_forecast_series``.
    """

    n_jobs: int | None = option(
        None, any_of(is_none(), instance_of(int, "an integer")), "Series that are fitted at once, as joblib counts."
    )

    def _fit_panel(self, panel: Panel) -> None:
        self.states_ = self._fit_states(panel, np.arange(panel.n_series), panel.lengths)
        self.starts_ = panel.first.copy()

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        return self._each(panel, series, positions, horizon, None)

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        if not hasattr(self, "_moments_series"):
            return super()._quantile_panel(panel, series, positions, horizon, quantiles)
        return self._each(panel, series, positions, horizon, quantiles)

    def _each(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float] | None
    ) -> Floats:
        """Ask each series' model for all its origins at once."""
        out = np.empty((len(series), horizon, *([len(quantiles)] if quantiles else [])))
        asked = np.unique(series)
        for i, state in zip(asked, self._states_for(panel, asked, series, positions), strict=True):
            mine, rows = series == i, panel.series(i)
            values, features = panel.values[rows], panel.features[rows]
            if state is None:
                out[mine] = _last_value(values, positions[mine]).reshape(-1, 1, *([1] if quantiles else []))
            elif quantiles is None:
                out[mine] = self._forecast_series(state, values, features, positions[mine], horizon)
            else:
                mean, spread = self._moments_series(state, values, features, positions[mine], horizon)
                out[mine] = mean[..., None] + spread[..., None] * ndtri(quantiles)  # (n, horizon, n_quantiles)
        return out

    def _states_for(self, panel: Panel, asked: Integers, series: Integers, positions: Integers) -> list[dict | None]:
        """The models of fit; a new series, or one that starts elsewhere, is fitted on what lies before its origins."""
        keys = zip(self.panel_.ids, self.starts_.tolist(), strict=True)
        known = {key: k for k, key in enumerate(keys)}
        found = [known.get((panel.ids[i], int(panel.first[i]))) for i in asked]
        new = np.array([i for i, k in zip(asked, found, strict=True) if k is None], dtype=np.int64)
        before = np.array([positions[series == i].min() for i in new], dtype=np.int64)
        fitted = iter(self._fit_states(panel, new, before)) if len(new) else iter(())
        return [next(fitted) if k is None else self.states_[k] for k in found]

    def _fit_states(self, panel: Panel, series: Integers, stops: Integers) -> list[dict | None]:
        """Fit the rows before `stops` of each series; None stands for a failure, unless every series fails."""
        pieces = [
            (panel.values[s][:stop], panel.features[s][:stop])
            for s, stop in ((panel.series(i), stop) for i, stop in zip(series, stops, strict=True))
        ]
        bare = copy(self)  # without the panel: each series travels alone
        bare.__dict__.pop("panel_", None)
        results = Parallel(n_jobs=self.n_jobs)(delayed(_try_fit)(bare, *piece) for piece in pieces)
        failed = [(panel.ids[i], error) for i, (_, error) in zip(series, results, strict=True) if error is not None]
        if len(failed) == len(results):
            raise failed[0][1]
        if failed:
            warnings.warn(
                f"{len(failed)} of {len(results)} series could not be fitted and repeat their last value: "
                f"{[label for label, _ in failed[:5]]}. The first error: {failed[0][1]}",
                SeriesFailedWarning,
                stacklevel=5,
            )
        return [state for state, _ in results]

    def _fit_series(self, values: Floats, features: Floats) -> State:
        raise NotImplementedError

    _moments_series: ClassVar[Callable[..., Moments]]

    def _forecast_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Floats:
        return self._moments_series(state, values, features, positions, horizon)[0]


def _try_fit(forecaster: SeriesForecaster, values: Floats, features: Floats) -> tuple[State | None, Exception | None]:
    try:
        return forecaster._fit_series(values, features), None
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, IndexError) as error:
        return None, error


def _last_value(values: Floats, positions: Integers) -> Floats:
    """The last known value before each position, 0 where there is none."""
    known = np.concatenate([[0], np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(1, len(values) + 1)))])
    return np.concatenate([[0.0], values])[known[positions]]
