"""Forecasters made of forecasters."""

from seqcast.ensembles.combination import EnsembleForecaster

__all__ = ["EnsembleForecaster"]
