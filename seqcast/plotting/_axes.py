"""What the pictures share: colours, axes, times."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLORS", "FAINT", "SOFT", "TRUTH", "dots", "finish", "finish_time_axes", "new_axes", "plain_times", "style"]

# Okabe and Ito's palette, which colour-blind readers can tell apart; the truth is dark grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F3C8D")
TRUTH, SOFT, FAINT = "#333333", "#9A9A9A", "#C8C8C8"


def new_axes(height: float = 3.6, width: float = 8.0) -> Axes:
    """Axes in a figure of their own."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def finish(ax: Axes) -> None:
    """Grid, legend outside, no frame."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#E6E6E6", lw=0.8)
    ax.set_axisbelow(True)
    n_entries = len(ax.get_legend_handles_labels()[1])
    above = n_entries <= 5
    ax.legend(
        loc="lower left" if above else "upper left",
        bbox_to_anchor=(0.0, 1.0) if above else (1.0, 1.0),
        ncols=n_entries if above else 1,
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.6,
    )


def finish_time_axes(ax: Axes, index: pd.Index, label: Hashable | None) -> None:
    """Finish axes whose x are times."""
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.margins(x=0.01)
    finish(ax)
    ax.set_ylabel("" if label is None else str(label))


def plain_times(index: pd.Index) -> Any:
    """What matplotlib can place: times without periods and zones, as the clock shows them."""
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        index = index.tz_localize(None)
    return index.to_numpy()


def style(k: int) -> dict[str, Any]:
    """Colour of line k, which is dashed where the colours are used up."""
    return {"color": COLORS[k % len(COLORS)], "ls": "-" if k < len(COLORS) else "--"}


def dots(line: Any) -> dict[str, Any]:
    """A marker where a line of one point would be invisible."""
    return {"marker": "o", "ms": 4} if len(line) == 1 else {}
