"""Forecasters inside forecasters: they share the schema of the outer one, and the parameters that it decides."""

from typing import Any

import pandas as pd
from sklearn.base import clone

from seqcast.base import BaseForecaster
from seqcast.frames import says_when
from seqcast.panel import Floats, Integers, Panel
from seqcast.rolling import clip
from seqcast.series import SeriesForecaster

__all__ = ["asked", "fitted", "has_quantiles", "transformed"]

SHARED = ("horizon", "freq", "past_features")


def fitted(outer: BaseForecaster, member: BaseForecaster, panel: Panel, *, is_strict: bool = False) -> BaseForecaster:
    """Return a clone of a member, fitted to a panel with the parameters of the outer forecaster.

    A season that the member was given is its own. If it `is_strict`, what else it was given must be what is handed on.
    """
    shared = {name: getattr(outer, name) for name in SHARED}
    for name, own in shared.items():
        given = getattr(member, name)
        if is_strict and given not in (own, member._options[name].default):
            kind, kinds = type(outer).__name__, type(member).__name__
            raise ValueError(
                f"{kinds} has {name}={given!r}, {kind} has {own!r}. Give {name} to {kind}, which hands it on."
            )
    if member.season_length == member._options["season_length"].default:
        shared["season_length"] = outer.season_length
    inner = clone(member).set_params(**shared)
    inner._fit_read(outer.schema_, panel)
    return inner


def asked(member: BaseForecaster, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
    """Return forecasts (n, horizon) of a fitted member, within its bounds."""
    return clip(member._forecast_panel(panel, series, positions, horizon), member.bounds)


def transformed(transformers: Any, X: Any, kept: pd.DataFrame | None) -> Any:
    """Return rows as the first steps of a Pipeline make them; they see those `kept` since fit too, as lags need."""
    if kept is None or not isinstance(X, pd.DataFrame) or not (says_when(X.index) and X.index.is_unique):
        return transformers.transform(X)
    seen = pd.concat([kept[~kept.index.isin(X.index)], X]).sort_index()
    found, at = transformers.transform(seen), seen.index.get_indexer(X.index)
    return found.iloc[at] if isinstance(found, pd.DataFrame) else found[at]


def has_quantiles(forecaster: BaseForecaster) -> bool:
    """Return whether quantiles of its own depend on the origin, rather than being empirical errors."""
    if isinstance(forecaster, SeriesForecaster):
        return hasattr(forecaster, "_moments_series")
    return type(forecaster)._quantile_panel is not BaseForecaster._quantile_panel
