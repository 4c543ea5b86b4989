"""Squares and products of known covariates: a load falls with the temperature in winter and grows with it in summer."""

from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqcast.panel import Panel

__all__ = ["Curves"]

Floats = NDArray[np.float64]

MOST, MOST_PAIRED = 10, 4  # covariates that are squared, and that are multiplied too


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True)
class Curves:
    """Which covariates are multiplied, in units of fit and no farther out than they were there."""

    n_covariates: int = 0
    columns: tuple[int, ...] = ()
    center: Floats = field(default_factory=_none)  # (n_columns,)
    scale: Floats = field(default_factory=_none)
    low: Floats = field(default_factory=_none)
    high: Floats = field(default_factory=_none)

    @classmethod
    def fitted(cls, features: Floats, past_only: tuple[bool, ...]) -> "Curves":
        """Those of covariates (n_rows, n_covariates) that are known ahead, if these are few; of flags there are none.

        `past_only` (n_covariates,) says which are not known ahead.
        """
        columns = tuple(
            j for j, only in enumerate(past_only) if not only and len(np.unique(_known(features[:, j]))) > 2
        )
        if not columns or len(columns) > MOST:
            return cls(len(past_only))
        parts = [_known(features[:, j]) for j in columns]
        sizes = np.array([(part.mean(), part.std(), part.min(), part.max()) for part in parts])
        return cls(len(past_only), columns, *sizes.T)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        places = range(len(self.columns))
        is_paired = len(places) <= MOST_PAIRED
        return list(combinations_with_replacement(places, 2)) if is_paired else [(k, k) for k in places]

    def __len__(self) -> int:
        """Number of columns."""
        return len(self._pairs)

    def extend(self, panel: Panel) -> Panel:
        """The panel with the columns behind its covariates, before those of the calendar."""
        return replace(panel, features=self.extended(panel.features)) if self.columns else panel

    def extended(self, features: Floats) -> Floats:
        """Covariates, and maybe calendar columns behind them, with the columns between these."""
        if not self.columns:
            return features
        x = (features[:, self.columns].clip(self.low, self.high) - self.center) / self.scale  # (n_rows, n_columns)
        products = np.stack([x[:, i] * x[:, j] for i, j in self._pairs], 1)
        return np.hstack([features[:, : self.n_covariates], products, features[:, self.n_covariates :]])

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> "Curves":
        """Undo ``asdict``; files of before have none."""
        return cls(**{**state, "columns": tuple(state["columns"])}) if state else cls()


def _known(column: Floats) -> Floats:
    return column[~np.isnan(column)]
