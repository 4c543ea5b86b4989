"""Baselines: naive, classical and regression forecasters behind the contract of all forecasters."""

from seqcast.baselines.classical import ARIMA, ETS, STLForecaster, Theta
from seqcast.baselines.naive import Drift, HistoricAverage, Naive, SeasonalNaive, WindowAverage
from seqcast.baselines.regression import RegressionForecaster
from seqcast.baselines.statsforecast import AutoARIMA, AutoETS, AutoTheta
from seqcast.baselines.volatility import EWMA, GARCH

__all__ = [
    "ARIMA",
    "ETS",
    "EWMA",
    "GARCH",
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
]
