"""Forecast time series with recurrent and attention networks, from frame to frame, the scikit-learn way."""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "base": ("BaseForecaster",),
    "baselines": (
        "ARIMA",
        "ETS",
        "AutoARIMA",
        "AutoETS",
        "AutoTheta",
        "Drift",
        "HistoricAverage",
        "Naive",
        "RegressionForecaster",
        "STLForecaster",
        "SeasonalNaive",
        "Theta",
        "WindowAverage",
    ),
    "ensembles": ("EnsembleForecaster",),
    "features": ("CalendarFeatures", "FourierFeatures", "HolidayFeatures", "LagFeatures", "RollingFeatures"),
    "models": ("GRUForecaster", "LSTMForecaster", "RNNForecaster", "RidgeForecaster", "TransformerForecaster"),
    "panel": ("from_long", "future_rows", "to_long"),
    "persistence": ("load",),
    "regularize": ("regularize",),
    "series": ("SeriesForecaster",),
}
_MODULES = ("datasets", "evaluation", "exceptions", "metrics", "plotting", "testing")
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"seqcast.{name}")
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"seqcast.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'seqcast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
