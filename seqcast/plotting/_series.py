"""One series of several, and what surrounds its forecast in a picture."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd

from seqcast.plotting._axes import SOFT, TRUTH, dots, plain_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_actual", "draw_history", "first_label", "is_spread", "one_series", "pairs_of"]


def first_label(forecast: Any) -> Hashable | None:
    """Label of the first series of a forecast, None if it is the only one."""
    check_pandas(forecast)
    if isinstance(forecast.index, pd.MultiIndex):
        return forecast.index.get_level_values(0)[0]
    if isinstance(forecast, pd.DataFrame) and not is_spread(forecast.columns):
        return forecast.columns.get_level_values(0)[0]
    return getattr(forecast, "name", None)


def is_spread(columns: pd.Index) -> bool:
    """Whether columns are quantiles or an interval, rather than series."""
    if {"lower", "upper"} <= set(columns):
        return True
    return pd.api.types.is_float_dtype(columns.dtype) and columns.min() > 0 and columns.max() < 1


def check_pandas(data: Any) -> None:
    """Raise for arrays: they do not say when."""
    if not isinstance(data, (pd.Series, pd.DataFrame)):
        raise TypeError(f"Pictures need pandas objects, got {type(data).__name__}. Fit on a Series or a DataFrame.")


def one_series(data: Any, label: Hashable | None) -> Any:
    """The Series, quantiles, interval or paths of one series."""
    check_pandas(data)
    is_panel = isinstance(data.index, pd.MultiIndex)
    if not is_panel and (not isinstance(data, pd.DataFrame) or is_spread(data.columns)):
        return data
    labels = (data.index if is_panel else data.columns).get_level_values(0)
    if label not in labels:
        raise ValueError(f"series={label!r} is not among {labels.unique().tolist()[:5]}.")
    return data.xs(label, level=0) if is_panel else data[label]


def pairs_of(forecast: Any) -> list[tuple[Hashable, Hashable, str]]:
    """Columns on both sides of the middle, outer ones first, and the name of their interval."""
    if not isinstance(forecast, pd.DataFrame):
        return []
    if {"lower", "upper"} <= set(forecast.columns):
        return [("lower", "upper", "interval")]
    levels = sorted(forecast.columns)
    pairs = [(levels[k], levels[-1 - k]) for k in range(len(levels) // 2)]
    return [(low, high, f"{100 * (high - low):.4g} % interval") for low, high in pairs]


def draw_history(ax: Axes, history: Any, label: Hashable | None, n_steps: int) -> pd.Series:
    """Draw the last steps of a series, and a line where they end; return them."""
    past = _as_line(one_series(history, label)).iloc[-n_steps:]
    ax.plot(plain_times(past.index), past, color=TRUTH, lw=1.3, label="history", **dots(past))
    ax.axvline(plain_times(past.index)[-1], color=SOFT, lw=0.8, zorder=0)
    return past


def draw_actual(ax: Axes, actual: Any, label: Hashable | None, times: pd.Index) -> None:
    """Draw what came true, if it is known."""
    if actual is not None:
        truth = _as_line(one_series(actual, label)).reindex(times)
        ax.plot(plain_times(truth.index), truth, color=TRUTH, lw=1.3, ls=(0, (2, 1.2)), label="actual", **dots(truth))


def _as_line(data: Any) -> pd.Series:
    return data.iloc[:, 0] if isinstance(data, pd.DataFrame) else data
