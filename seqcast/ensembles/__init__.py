"""Forecasters made of forecasters."""

from seqcast.ensembles.combination import EnsembleForecaster
from seqcast.ensembles.conformal import ConformalForecaster
from seqcast.ensembles.returns import ReturnsForecaster

__all__ = ["ConformalForecaster", "EnsembleForecaster", "ReturnsForecaster"]
