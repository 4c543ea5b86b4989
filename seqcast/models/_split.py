"""Split: where the history of a panel ends, and where its validation tail begins."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seqcast.exceptions import ShortSeriesError
from seqcast.models._curves import NO_CURVES, Curves
from seqcast.models._model import origins_to_learn
from seqcast.panel import Panel
from seqcast.seasons import WEEK
from seqcast.windows import tail_lengths

__all__ = ["Split", "split_in_time"]

Integers = NDArray[np.int64]

FEWEST_WEEKS = 3  # beside a day, of which one may be the tail
SHORTEST_MEMORY = 5  # windows of a short series begin with a fifth of it, the rest of the lookback masked


@dataclass(frozen=True)
class Split:
    """Where each series ends, and where its validation tail begins (at the end, if there is none)."""

    panel: Panel
    ends: Integers  # (n_series,): row after the last known value
    cuts: Integers  # (n_series,): first row of the tail
    curves: Curves = NO_CURVES  # whose columns the panel has

    def before(self, rows: Integers) -> NDArray[np.bool_]:
        """Which rows of the panel are before these (n_series,) of each series."""
        return np.arange(len(self.panel.values)) < np.repeat(self.panel.indptr[:-1] + rows, self.panel.lengths)

    def curved(self, columns: tuple[int, ...], n_covariates: int, rows: Integers) -> "Split":
        """With squares and products of these covariates in the panel, learned from what is before these rows."""
        if not columns:
            return self
        curves = Curves.fitted(columns, self.panel.features[self.before(rows)], n_covariates)
        return replace(self, panel=curves.extend(self.panel), curves=curves)

    def origins(
        self, lookback: int, horizon: int, *, part: str, length: int | None = None
    ) -> tuple[Integers, Integers]:
        """Series and positions of the windows of "train", "validation" or "everything"; of the last `length` steps."""
        if part == "validation":
            complete = np.maximum(self.ends - horizon, np.minimum(self.cuts + 2, self.ends - 1))
            last = np.where(self.cuts < self.ends, np.minimum(complete, self.ends - 1), -1)
            return origins_to_learn(self.panel, self.ends, np.minimum(self.cuts, last + 1), last, lookback, horizon)
        ends = self.cuts if part == "train" else self.ends
        first = np.clip(np.minimum(lookback, ends // SHORTEST_MEMORY), 1, None)
        if length is not None:
            first = np.maximum(first, ends - length)
        return origins_to_learn(self.panel, ends, first, ends - 1, lookback, horizon)


def split_in_time(panel: Panel, horizon: int, fraction: float, season_length: int = 1) -> Split:
    """Keep the tail of every series for validation: a horizon at least, and a week where the season is a day.

    A weekend alone would say nothing of the other days. Two weeks and a day must remain to learn from.
    """
    known = ~np.isnan(panel.values)
    steps = np.arange(len(panel.values)) - np.repeat(panel.indptr[:-1], panel.lengths)
    ends = np.zeros(panel.n_series, np.int64)
    np.maximum.at(ends, panel.codes()[known], steps[known] + 1)
    n_known = known.sum()
    if n_known < 2:
        raise ShortSeriesError(
            f"The target has {n_known} known value(s) (n_samples={n_known}); two are needed to learn from. "
            "Give a longer history."
        )
    week = WEEK * season_length
    has_weeks = panel.axis.is_day(season_length) and np.median(ends) >= FEWEST_WEEKS * week + season_length
    shortest = max(horizon, week) if has_weeks else horizon
    return Split(panel, ends, ends - (tail_lengths(ends, shortest, fraction) if fraction > 0 else 0))
