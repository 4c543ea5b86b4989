"""Squares and products of known covariates: a load falls with the temperature in winter and grows with it in summer."""

from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqcast.panel import Panel

__all__ = ["NO_CURVES", "Curves", "columns_that_bend", "n_products"]

Floats = NDArray[np.float64]

MOST, MOST_PAIRED = 10, 4  # covariates that are squared, and that are multiplied too


def columns_that_bend(features: Floats, past_only: tuple[bool, ...]) -> tuple[int, ...]:
    """The covariates that are known ahead and take more than two values, if these are few; `past_only` ones are not."""
    known = [j for j, only in enumerate(past_only) if not only]
    columns = []
    for j in known:
        x = features[:, j]
        if np.any((x > np.fmin.reduce(x, initial=np.inf)) & (x < np.fmax.reduce(x, initial=-np.inf))):
            columns.append(j)
    return tuple(columns) if len(columns) <= MOST else ()


def n_products(columns: tuple[int, ...]) -> int:
    """How many squares and products these covariates make."""
    return len(_pairs(columns))


def _none() -> Floats:
    return np.empty((2, 0))


@dataclass(frozen=True)
class Curves:
    """Which covariates are multiplied; they and their products lie no farther out than in fit."""

    n_covariates: int = 0
    columns: tuple[int, ...] = ()
    units: Floats = field(default_factory=_none)  # (2, n_columns), mean and standard deviation
    limits: Floats = field(default_factory=_none)  # (2, n_columns), lowest and highest, in these units
    products: Floats = field(default_factory=_none)  # (2, n_products), lowest and highest

    @classmethod
    def fitted(cls, columns: tuple[int, ...], features: Floats, n_covariates: int) -> "Curves":
        """Those of these columns of the training rows (n_rows, n_features), of which the first are the covariates."""
        x = features[:, columns]
        scale = np.nanstd(x, axis=0)
        units = np.stack((np.nanmean(x, axis=0), np.where(scale > 0, scale, 1.0)))
        x = (x - units[0]) / units[1]
        products = np.stack([x[:, i] * x[:, j] for i, j in _pairs(columns)])
        return cls(n_covariates, columns, units, _limits(x, 0), _limits(products, 1))

    def __len__(self) -> int:
        """Number of products."""
        return n_products(self.columns)

    def extend(self, panel: Panel) -> Panel:
        """The panel with the products behind its covariates, before the columns of the calendar."""
        return replace(panel, features=self.extended(panel.features)) if self.columns else panel

    def extended(self, features: Floats) -> Floats:
        """Covariates, and maybe calendar columns behind them, with the products between these."""
        if not self.columns:
            return features
        x = ((features[:, self.columns] - self.units[0]) / self.units[1]).clip(*self.limits)  # (n_rows, n_columns)
        products = np.stack([x[:, i] * x[:, j] for i, j in _pairs(self.columns)], 1).clip(*self.products)
        return np.hstack([features[:, : self.n_covariates], products, features[:, self.n_covariates :]])

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> "Curves":
        """Undo ``asdict``; older files have none."""
        return cls(**{**state, "columns": tuple(state["columns"])}) if state else cls()


NO_CURVES = Curves()


def _limits(values: Floats, axis: int) -> Floats:
    return np.stack((np.fmin.reduce(values, axis), np.fmax.reduce(values, axis)))  # NaN where nothing is known


def _pairs(columns: tuple[int, ...]) -> list[tuple[int, int]]:
    """The places among the columns of what is multiplied."""
    places = range(len(columns))
    return list(combinations_with_replacement(places, 2)) if len(places) <= MOST_PAIRED else [(k, k) for k in places]
