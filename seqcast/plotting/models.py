"""Pictures of leaderboards and of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from seqcast.evaluation.pipelines import final_forecaster
from seqcast.plotting._axes import COLORS, FAINT, SOFT, TRUTH, finish, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_leaderboard", "plot_training"]


def plot_leaderboard(board: pd.DataFrame, *, metric: str = "MASE", ax: Axes | None = None) -> Axes:
    """Draw one measure of a leaderboard as bars, the best model on top.

    Parameters
    ----------
    board : DataFrame
        From `leaderboard`.
    metric : str, default="MASE"
        Column to draw.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the board has no such column.

    Examples
    --------
    >>> import pandas as pd
    >>> ax = plot_leaderboard(pd.DataFrame({"MASE": [1.2, 0.8]}, index=["naive", "lstm"]))
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['lstm', 'naive']
    """
    if metric not in board:
        raise ValueError(f"metric={metric!r} is no column of the board: {list(board.columns)}.")
    values = board[metric].sort_values(ascending=metric != "skill", na_position="last")
    ax = ax if ax is not None else new_axes(height=0.8 + 0.36 * len(values))
    shades = [COLORS[0]] + [FAINT] * (len(values) - 1)
    bars = ax.barh(range(len(values)), values.fillna(0.0), color=shades, height=0.62)
    ax.bar_label(bars, [f"{value:.3g}" for value in values], padding=4, color=TRUTH)
    ax.set_yticks(range(len(values)), values.index.astype(str))
    ax.invert_yaxis()
    ax.margins(x=0.12)
    if metric in ("MASE", "RMSSE") and values.max() > 0.9:
        ax.axvline(1.0, color=TRUTH, lw=0.8, ls=(0, (4, 3)), zorder=0)
    ax.set_xlabel(f"{metric} ({'higher' if metric == 'skill' else 'lower'} is better)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_training(forecaster: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the losses of a fitted network over its training steps.

    Parameters
    ----------
    forecaster : estimator
        A fitted network, or a Pipeline or search that ends in one.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        If the forecaster keeps no history of training.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> losses = {"step": [50, 100], "train_loss": [0.9, 0.5], "validation_loss": [1.0, 0.7]}
    >>> plot_training(SimpleNamespace(history_=losses)).get_legend_handles_labels()[1]
    ['train', 'validation', 'best, step 100']
    """
    forecaster = final_forecaster(forecaster)[1] or forecaster
    if not hasattr(forecaster, "history_"):
        raise TypeError(f"{type(forecaster).__name__} has no history_: fit it first, or give one of the networks.")
    history = pd.DataFrame(forecaster.history_).set_index("step")
    ax = ax if ax is not None else new_axes()
    for column, color in {"train_loss": SOFT, "validation_loss": COLORS[0]}.items():
        if column in history and history[column].notna().any():
            ax.plot(history.index, history[column], color=color, lw=1.8, label=column.replace("_loss", ""))
    if "validation_loss" in history and history["validation_loss"].notna().any():
        best = history["validation_loss"].idxmin()
        ax.plot(best, history["validation_loss"][best], "o", color=COLORS[1], label=f"best, step {best}")
    ax.set(xlabel="step", ylabel="loss")
    finish(ax)
    return ax
