"""Baselines: naive, classical and regression forecasters behind the contract of all forecasters."""

from seqcast.baselines.classical import ARIMA, ETS, STLForecaster, Theta
from seqcast.baselines.naive import Drift, HistoricAverage, Naive, SeasonalNaive, WindowAverage

__all__ = ["ARIMA", "ETS", "Drift", "HistoricAverage", "Naive", "STLForecaster", "SeasonalNaive", "Theta", "WindowAverage"]
