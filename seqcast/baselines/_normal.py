"""NormalForecaster: one model a series whose forecasts are normal distributions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from seqcast._parameters import parameters
from seqcast.panel import Floats, Integers
from seqcast.series import SeriesForecaster

__all__ = ["Moments", "NormalForecaster", "State", "first_observed", "is_constant", "without_gaps"]

State = dict[str, Any]  # plain data
Moments = tuple[Floats, Floats]  # mean and standard deviation, each (n, horizon)


@parameters
class NormalForecaster(SeriesForecaster):
    """Forecaster whose subclass gives mean and standard deviation of each step by ``_moments_series``."""

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        """Mean and standard deviation, each (n, horizon), of the steps from each position on."""
        raise NotImplementedError

    def _forecast_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Floats:
        return self._moments_series(state, values, features, positions, horizon)[0]

    def _quantile_series(
        self,
        state: State,
        values: Floats,
        features: Floats,
        positions: Integers,
        horizon: int,
        quantiles: Sequence[float],
    ) -> NDArray[np.float64]:
        mean, spread = self._moments_series(state, values, features, positions, horizon)
        return mean[..., None] + spread[..., None] * ndtri(np.asarray(quantiles))  # (n, horizon, n_quantiles)


def first_observed(values: Floats) -> int:
    """Step of the first observed value."""
    if np.isnan(values).all():
        raise ValueError("The series has no known value.")
    return int(np.argmin(np.isnan(values)))


def without_gaps(values: Floats) -> Floats:
    """Values from the first observed step on, gaps filled by straight lines."""
    values = values[first_observed(values) :]
    observed = np.flatnonzero(~np.isnan(values))
    return np.interp(np.arange(len(values)), observed, values[observed])


def is_constant(values: Floats) -> bool:
    """Whether values without gaps differ by no more than rounding."""
    return bool(np.ptp(values) <= 1e-10 * np.abs(values).max())
