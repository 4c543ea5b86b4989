"""Forecasters made of forecasters."""

from seqcast.ensembles.combination import EnsembleForecaster
from seqcast.ensembles.conformal import ConformalForecaster

__all__ = ["ConformalForecaster", "EnsembleForecaster"]
