"""Pictures that compare models: skill, ranks, errors by step and origin, and when a model won."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqcast.evaluation.diebold_mariano import diebold_mariano
from seqcast.evaluation.losses import overlap, scaled_errors
from seqcast.evaluation.ranks import Friedman
from seqcast.evaluation.result import BacktestResult
from seqcast.plotting._axes import COLORS, SOFT, TRUTH, dots, finish, finish_time_axes, new_axes, plain_times, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_critical_difference", "plot_errors", "plot_loss_difference", "plot_skill"]

SHADES = {"better": COLORS[0], "worse": COLORS[1]}  # of a verdict; grey where there is none


def plot_skill(board: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the skill of the models of a leaderboard with its intervals, the best on top, and say the verdicts.

    Parameters
    ----------
    board : DataFrame
        From `leaderboard` with a reference.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the board has no skill.

    Examples
    --------
    >>> import pandas as pd
    >>> numbers = {"skill": [0.2, 0.0], "skill_lower": [0.1, 0.0], "skill_upper": [0.3, 0.0], "independent_origins": 20}
    >>> board = pd.DataFrame({**numbers, "verdict": ["better", "reference"]}, index=["lstm", "naive"])
    >>> [text.get_text() for text in plot_skill(board).get_yticklabels()]
    ['lstm', 'naive']
    """
    if not isinstance(board, pd.DataFrame) or "skill_lower" not in board:
        raise ValueError("The board has no skill: give leaderboard(result, reference=...) the model to compare with.")
    board = board.sort_values("skill", ascending=False, na_position="last", kind="stable")
    ax = ax if ax is not None else new_axes(height=1.1 + 0.38 * len(board))
    for row, (_, line) in enumerate(board.iterrows()):
        shade = SHADES.get(line["verdict"], SOFT)
        ax.plot([line["skill_lower"], line["skill_upper"]], [row, row], color=shade, lw=2.4, solid_capstyle="round")
        is_reference = line["verdict"] == "reference"
        ax.plot(line["skill"], row, "D" if is_reference else "o", color=TRUTH if is_reference else shade, ms=7)
        value = "" if np.isnan(line["skill"]) or is_reference else f"{_percent(line['skill'], 1)}  "
        color = TRUTH if shade == SOFT else shade
        ax.text(1.02, row, value + line["verdict"], color=color, va="center", transform=ax.get_yaxis_transform())
    ax.axvline(0.0, color=TRUTH, lw=0.9, zorder=1)  # above the grid, below the intervals
    ax.set_yticks(range(len(board)), board.index.astype(str))
    ax.set_ylim(len(board) - 0.4, -0.6)
    ax.xaxis.set_major_formatter(lambda value, _: _percent(value))
    reference = ", ".join(board.index[board["verdict"] == "reference"].astype(str))
    origins = board["independent_origins"].iloc[0]
    ax.set_xlabel(f"Skill over {reference}, with 95 % intervals from {origins} independent origins (right is better)")
    _horizontal(ax)
    return ax


def plot_critical_difference(ranks: Friedman, *, ax: Axes | None = None) -> Axes:
    """Draw the mean ranks of models over independent data sets; a bar joins those that do not differ [1]_.

    Parameters
    ----------
    ranks : Friedman
        From `friedman`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    References
    ----------
    .. [1] Demšar (2006), "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7.

    Examples
    --------
    >>> import numpy as np
    >>> from seqcast.evaluation import friedman
    >>> losses = np.random.default_rng(0).uniform(size=(20, 3)) + [0.0, 0.1, 2.0]
    >>> plot_critical_difference(friedman(losses, independent=True)).get_title(loc="left")
    'Mean rank over 20 data sets (left is better)'
    """
    means, gap = ranks.mean_ranks, ranks.critical_difference
    k = len(means)
    half = (k + 1) // 2  # the better half is named on the left, the others on the right
    bars = _joined(means.to_numpy(), gap)
    depth = 0.5 + 0.32 * len(bars)
    ax = ax if ax is not None else new_axes(height=1.4 + 0.3 * (half + len(bars)))
    for i, (name, rank) in enumerate(means.items()):
        is_left = i < half
        level = -depth - 0.62 * (i if is_left else k - 1 - i)
        edge = 0.82 if is_left else k + 0.18
        color = COLORS[0] if rank <= means.iloc[0] + gap else TRUTH
        ax.plot([rank, rank, edge], [0, level, level], color=color, lw=1.1)
        ax.plot(rank, 0, "o", color=color, ms=5)
        text = f"{name}  {rank:.2f}" if is_left else f"{rank:.2f}  {name}"
        ax.text(edge - 0.04 if is_left else edge + 0.04, level, text, ha="right" if is_left else "left", va="center")
    for row, (first, last) in enumerate(bars):
        height = -0.3 - 0.32 * row
        ax.plot([first - 0.03, last + 0.03], [height, height], color=TRUTH, lw=4.5, solid_capstyle="round")
    ax.plot([1, 1 + gap], [0.95, 0.95], "|-", color=SOFT, lw=1.4, ms=9)
    ax.text(1 + gap / 2, 1.1, f"critical difference {gap:.2f}", ha="center", va="bottom", color=SOFT)
    ax.set_xlim(0.9, k + 0.1)
    ax.set_ylim(-depth - 0.62 * half + 0.2, 1.7)
    ax.set_xticks(range(1, k + 1))
    ax.set_title(f"Mean rank over {ranks.n_datasets} data sets (left is better)", loc="left", fontsize="medium")
    ax.spines[["bottom", "right", "left"]].set_visible(False)
    ax.spines["top"].set(position=("data", 0.0), bounds=(1, k))
    ax.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False)
    ax.set_yticks([])
    return ax


def plot_errors(
    result: BacktestResult,
    *,
    by: str = "step",
    models: Sequence[Hashable] | None = None,
    season_length: int | str = "auto",
    ax: Axes | None = None,
) -> Axes:
    """Draw the scaled errors of models by step ahead, or by origin.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.
    by : {"step", "origin"}, default="step"
        What lies on the axis.
    models : sequence, optional
        Names of the models to draw; by default all.
    season_length : int or "auto", default="auto"
        Season of the scale, as in `leaderboard`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If a model is not in the result.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([1.0, 3.0, 1.0, 3.0, 2.0], index=pd.date_range("2024-01-01", periods=5), name="a")
    >>> result = backtest({"mean": DummyRegressor()}, y, y.to_frame("x"), cv=RollingOriginSplit(1, n_origins=2))
    >>> plot_errors(result, by="origin").get_legend_handles_labels()[1]
    ['mean']
    """
    errors = scaled_errors(result, by=by, season_length=season_length)
    errors = errors[_known(result, models)]
    ax = ax if ax is not None else new_axes()
    places = errors.index.to_numpy() if by == "step" else plain_times(errors.index)
    for k, name in enumerate(errors):
        ax.plot(places, errors[name], lw=1.7, label=str(name), **style(k), **dots(errors))
    if by == "step":
        finish(ax)
        ax.margins(x=0.01)
        ax.set(xlabel="steps ahead", ylabel="MASE")
    else:
        finish_time_axes(ax, errors.index, "MASE")
        ax.set_xlabel("origin")
    ax.set_ylim(bottom=0)
    return ax


def plot_loss_difference(
    result: BacktestResult,
    model: Hashable,
    reference: Hashable,
    *,
    season_length: int | str = "auto",
    ax: Axes | None = None,
) -> Axes:
    """Draw when a model won: its advantage in scaled error over another, added up from origin to origin.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.
    model, reference : hashable
        Names of the two models. The line rises where `model` is more accurate.
    season_length : int or "auto", default="auto"
        Season of the scale, as in `leaderboard`.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If a model is not in the result.

    Notes
    -----
    A steady rise is an advantage that can be relied on; one jump is a single event. The verdict in the legend is that
    of `diebold_mariano`, not adjusted for several comparisons.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([1.0, 3.0, 1.0, 3.0, 2.0], index=pd.date_range("2024-01-01", periods=5), name="a")
    >>> models = {"mean": DummyRegressor(), "median": DummyRegressor(strategy="median")}
    >>> result = backtest(models, y, y.to_frame("x"), cv=RollingOriginSplit(1, n_origins=2))
    >>> plot_loss_difference(result, "mean", "median").get_legend_handles_labels()[1]
    ['mean over median: too few independent origins']
    """
    errors = scaled_errors(result, season_length=season_length)[_known(result, [model, reference])]
    test = diebold_mariano(errors[model], errors[reference], horizon=overlap(result))
    gain = (errors[reference] - errors[model]).cumsum()
    ax = ax if ax is not None else new_axes()
    times = plain_times(errors.index)
    shade = SHADES.get(test.verdict, TRUTH)
    significance = "" if np.isnan(test.p_value) else f" (p = {test.p_value:.2g})"
    ax.fill_between(times, gain, 0, where=gain >= 0, color=COLORS[0], alpha=0.15, lw=0, interpolate=True)
    ax.fill_between(times, gain, 0, where=gain <= 0, color=COLORS[1], alpha=0.15, lw=0, interpolate=True)
    label = f"{model} over {reference}: {test.verdict}{significance}"
    ax.plot(times, gain, color=shade, lw=1.8, label=label, **dots(gain))
    ax.axhline(0.0, color=TRUTH, lw=0.9)
    finish_time_axes(ax, errors.index, "MASE saved, added up")
    ax.set_xlabel("origin")
    return ax


def _known(result: BacktestResult, models: Sequence[Hashable] | None) -> list[Hashable]:
    """Names of the models to draw; raise for those that are not in the result."""
    names = result.models if models is None else list(models)
    missing = [name for name in names if name not in result.models]
    if missing:
        raise ValueError(f"{missing} not in the result: it has the models {result.models}.")
    return names


def _percent(value: float, digits: int = 0) -> str:
    return f"{value:+.{digits}%}".replace("-", "\N{MINUS SIGN}") if abs(value) > 1e-9 else "0"


def _joined(means: np.ndarray, gap: float) -> list[tuple[float, float]]:
    """Sorted ranks from the first to the last that lie no farther apart than the gap, without those inside others."""
    ends = np.searchsorted(means, means + gap, side="right") - 1
    pairs = [(i, int(end)) for i, end in enumerate(ends) if end > i and (i == 0 or end > ends[i - 1])]
    return [(float(means[first]), float(means[last])) for first, last in pairs]


def _horizontal(ax: Any) -> None:
    """Grid along the values, no frame."""
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#E6E6E6", lw=0.8)
    ax.set_axisbelow(True)
