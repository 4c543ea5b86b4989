"""Forecast time series with recurrent and attention networks, from frame to frame, the scikit-learn way."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # completion and type checkers see what users get on first use
    from seqcast import datasets, evaluation, exceptions, metrics, plotting, testing
    from seqcast.base import BaseForecaster
    from seqcast.baselines import (
        ARIMA,
        ETS,
        AutoARIMA,
        AutoETS,
        AutoTheta,
        Drift,
        HistoricAverage,
        Naive,
        RegressionForecaster,
        SeasonalNaive,
        STLForecaster,
        Theta,
        WindowAverage,
    )
    from seqcast.ensembles import ConformalForecaster, EnsembleForecaster
    from seqcast.features import CalendarFeatures, FourierFeatures, HolidayFeatures, LagFeatures, RollingFeatures
    from seqcast.models import GRUForecaster, LSTMForecaster, RidgeForecaster, RNNForecaster, TransformerForecaster
    from seqcast.panel import from_long, future_rows, to_long
    from seqcast.persistence import load
    from seqcast.resampling import regularize
    from seqcast.series import SeriesForecaster

__version__ = "0.1.0"

# fmt: off
__all__ = [
    "ARIMA", "ETS", "AutoARIMA", "AutoETS", "AutoTheta", "BaseForecaster", "CalendarFeatures", "ConformalForecaster",
    "Drift", "EnsembleForecaster", "FourierFeatures", "GRUForecaster", "HistoricAverage", "HolidayFeatures",
    "LSTMForecaster", "LagFeatures", "Naive", "RNNForecaster", "RegressionForecaster", "RidgeForecaster",
    "RollingFeatures", "STLForecaster", "SeasonalNaive", "SeriesForecaster", "Theta", "TransformerForecaster",
    "WindowAverage", "datasets", "evaluation", "exceptions", "from_long", "future_rows", "load", "metrics",
    "plotting", "regularize", "testing", "to_long",
]

_HOMES = {
    "base": "BaseForecaster",
    "baselines": "ARIMA ETS AutoARIMA AutoETS AutoTheta Drift HistoricAverage Naive RegressionForecaster "
    "SeasonalNaive STLForecaster Theta WindowAverage",
    "ensembles": "ConformalForecaster EnsembleForecaster",
    "features": "CalendarFeatures FourierFeatures HolidayFeatures LagFeatures RollingFeatures",
    "models": "GRUForecaster LSTMForecaster RidgeForecaster RNNForecaster TransformerForecaster",
    "panel": "from_long future_rows to_long",
    "persistence": "load",
    "resampling": "regularize",
    "series": "SeriesForecaster",
}
# fmt: on
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'seqcast' has no attribute {name!r}")
    if name not in _HOME_OF:
        return importlib.import_module(f"seqcast.{name}")
    globals()[name] = value = getattr(importlib.import_module(f"seqcast.{_HOME_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
