"""Forecasters inside forecasters: they share the schema of the outer one, and the parameters that it decides."""

from sklearn.base import clone

from seqcast.base import BaseForecaster
from seqcast.panel import Panel
from seqcast.series import SeriesForecaster

__all__ = ["SHARED", "fitted", "has_quantiles"]

SHARED = ("horizon", "season_length", "freq", "past_features")


def fitted(outer: BaseForecaster, member: BaseForecaster, panel: Panel) -> BaseForecaster:
    """Return a clone of a member, fitted to a panel with the parameters of the outer forecaster."""
    inner = clone(member).set_params(**{name: getattr(outer, name) for name in SHARED})
    inner._fit_read(outer.schema_, panel)
    return inner


def has_quantiles(forecaster: BaseForecaster) -> bool:
    """Return whether quantiles of its own depend on the origin, rather than being empirical errors."""
    if isinstance(forecaster, SeriesForecaster):
        return hasattr(forecaster, "_moments_series")
    return type(forecaster)._quantile_panel is not BaseForecaster._quantile_panel
