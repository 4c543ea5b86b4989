"""Pictures of what strategies earn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqcast.metrics import max_drawdown
from seqcast.plotting._axes import finish_time_axes, new_axes, plain_times, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_equity"]


def plot_equity(returns: pd.Series | pd.DataFrame | npt.NDArray, *, ax: Axes | None = None) -> Axes:
    """Draw the wealth that returns build up, and the drawdown from its peaks as shade.

    Parameters
    ----------
    returns : Series, DataFrame or array
        Returns in order of time, one column a strategy; NaN leaves the wealth as it is.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        Wealth, from 1 on, on a logarithmic axis, with the largest drawdown of each strategy in the legend.

    Examples
    --------
    >>> import pandas as pd
    >>> returns = pd.Series([0.1, -0.2, 0.05], index=pd.bdate_range("2024-01-01", periods=3), name="hold")
    >>> plot_equity(returns).get_legend_handles_labels()[1]
    ['hold, drawdown 20 %']
    """
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    frame = returns.to_frame() if isinstance(returns, pd.Series) else pd.DataFrame(returns)
    ax = ax if ax is not None else new_axes()
    times = plain_times(frame.index)
    for k, (name, column) in enumerate(frame.items()):
        wealth = np.cumprod(1 + np.nan_to_num(column.to_numpy(dtype=np.float64)))
        peak = np.maximum.accumulate(np.maximum(wealth, 1.0))
        look, label = style(k), f"{name}, drawdown {100 * max_drawdown(column):.0f} %"
        ax.plot(times, wealth, lw=1.5, label=label, **look)
        ax.fill_between(times, wealth, peak, color=look["color"], alpha=0.12, lw=0)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_locator(NullLocator())
    finish_time_axes(ax, frame.index, "wealth")
    return ax
