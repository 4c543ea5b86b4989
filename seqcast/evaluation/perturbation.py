"""Other values for rows of a frame, of the kind that its columns hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["VARIANTS", "perturbed"]

VARIANTS = ("beyond", "drawn")  # outside the range seen, where a column can; other values of the column
_FEW = 50  # integers with no more values than this are codes: hours, flags


def perturbed(frame: pd.DataFrame, rows: Mapping[int, NDArray[np.bool_]], variant: str) -> pd.DataFrame:
    """Return a copy with other values in the rows given for each column, by number; NaN stays NaN.

    "beyond" puts seven of ten numbers above the range of the column, three below it (but above 0 if all are): means,
    spreads, extremes and medians of the column move. "drawn" takes other values of the column.
    """
    random = np.random.default_rng(0)
    out = frame.copy()
    for column, which in rows.items():
        values = frame.iloc[:, column]
        which = which & values.notna().to_numpy()
        if which.any():
            is_drawn = variant == "drawn" or not _is_measured(values)
            new = _drawn(values, which, random) if is_drawn else _beyond(values, which, random)
            changed = values.copy()
            changed.iloc[np.flatnonzero(which)] = new
            out.isetitem(column, changed)
    return out


def _is_measured(values: pd.Series) -> bool:
    kind = getattr(values.dtype, "kind", "O")
    return kind == "f" or (kind in "iu" and values.nunique() > _FEW)


def _beyond(values: pd.Series, which: NDArray[np.bool_], random: np.random.Generator) -> Any:
    low, high = float(values.min()), float(values.max())
    span = high - low or max(abs(high), 1.0)
    n = int(which.sum())
    above = high + span * random.uniform(0.5, 1.5, n)
    below = low * random.uniform(0.2, 0.8, n) if low > 0 else low - (low < 0) * span * random.uniform(0.5, 1.5, n)
    new = np.where(random.uniform(size=n) < 0.7, above, below)
    dtype = np.dtype(str(values.dtype).lower())  # of nullable columns too
    return (np.rint(new) if dtype.kind in "iu" else new).astype(dtype)


def _drawn(
    values: pd.Series, which: NDArray[np.bool_], random: np.random.Generator
) -> pd.api.extensions.ExtensionArray:
    codes, kinds = pd.factorize(values)
    if len(kinds) == 1 and isinstance(values.dtype, pd.CategoricalDtype):
        kinds = kinds.append(pd.CategoricalIndex(values.dtype.categories, dtype=values.dtype).difference(kinds))
    elif len(kinds) == 1 and getattr(values.dtype, "kind", "O") in "iuf":
        kinds = kinds.append(kinds + 1)
    n = len(kinds)
    shift = random.integers(1, n, which.sum()) if n > 1 else 0  # never the value that was there
    return kinds.take((codes[which] + shift) % n)
