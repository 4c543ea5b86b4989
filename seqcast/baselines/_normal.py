"""NormalForecaster: one model a series whose forecasts are normal distributions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from seqcast._parameters import parameters
from seqcast.panel import Floats, Integers
from seqcast.series import SeriesForecaster

__all__ = ["NormalForecaster", "first_observed"]


@parameters
class NormalForecaster(SeriesForecaster):
    """Forecaster of single series by mean and standard deviation of each step; a subclass implements ``_moments_series``."""

    def _moments_series(self, state: dict[str, Any], values: Floats, features: Floats, positions: Integers, horizon: int) -> tuple[Floats, Floats]:
        """Mean and standard deviation, each (n, horizon), of the steps from each position on."""
        raise NotImplementedError

    def _forecast_series(self, state: dict[str, Any], values: Floats, features: Floats, positions: Integers, horizon: int) -> Floats:
        return self._moments_series(state, values, features, positions, horizon)[0]

    def _quantile_series(
        self, state: dict[str, Any], values: Floats, features: Floats, positions: Integers, horizon: int, quantiles: Sequence[float]
    ) -> NDArray[np.float64]:
        mean, spread = self._moments_series(state, values, features, positions, horizon)
        return mean[..., None] + spread[..., None] * ndtri(np.asarray(quantiles))  # (n, horizon, n_quantiles)


def first_observed(values: Floats) -> int:
    """Step of the first observed value."""
    if np.isnan(values).all():
        raise ValueError("The series has no known value.")
    return int(np.argmin(np.isnan(values)))
