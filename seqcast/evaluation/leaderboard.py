"""leaderboard: the models of a backtest, best first, and which differences are more than luck."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from seqcast import metrics
from seqcast.evaluation.diebold_mariano import INFINITE, TOO_FEW, adjust_p_values, diebold_mariano, verdict_of
from seqcast.evaluation.losses import Cells
from seqcast.evaluation.result import BacktestResult
from seqcast.evaluation.skill import skill_interval
from seqcast.panel import Floats

__all__ = ["leaderboard"]


def leaderboard(
    result: BacktestResult,
    *,
    reference: Hashable | None = None,
    season_length: int | str = "auto",
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Rank the models of a backtest.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.
    reference : hashable, optional
        Name of the model to compare with.
    season_length : int or "auto", default="auto"
        Season of the scale; "auto" takes it from the frequency.
    random_state : int, Generator or None, default=0
        Seed of the bootstrap of the skill.

    Returns
    -------
    DataFrame
        One row a model, sorted by MASE: ``MASE, RMSSE, sMAPE`` (percent); with quantiles ``SQL`` and the share of the
        truth between the lowest and the highest, ``coverage_80`` where these are 0.1 and 0.9; with a reference
        ``skill``, 1 - MASE / MASE of the reference, its 95 % interval ``skill_lower, skill_upper``, ``p_value`` and
        ``verdict`` ("better", "worse", "not distinguishable", "too few independent origins"; "forecasts missing" or
        "infinite loss") and the
        ``independent_origins`` that these rest on; ``fit_seconds, predict_seconds``.

    Raises
    ------
    ValueError
        If `reference` is none of the models.

    Notes
    -----
    Every measure is averaged over the known steps of an origin, then over the origins of a series, then over series, so
    that each series counts the same; the root of RMSSE is taken for each series. Errors are scaled by
    `seqcast.metrics.seasonal_scale` of all values up to the origin. Where that is 0 or unknown (the series was
    constant), the forecast is left out of the scaled measures, with a warning.

    What could be luck is told from the losses by origin, the mean over all series (`scaled_errors`): the series of a
    panel share their shocks, so that more series are not more evidence, and more time is. The interval is that of
    `skill_interval`, the p-value that of `diebold_mariano`, adjusted by Holm for the number of models; their notes say
    what they assume. A model is called better or worse where p < 5 % and the interval excludes 0. With fewer than four
    origins that do not overlap there are neither, with fewer than twelve origins an interval and no verdict.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([1.0, 3.0, 1.0, 3.0, 2.0], index=pd.date_range("2024-01-01", periods=5), name="a")
    >>> models = {"mean": DummyRegressor(), "median": DummyRegressor(strategy="median")}
    >>> result = backtest(models, y, y.to_frame("x"), cv=RollingOriginSplit(1, n_origins=1))
    >>> leaderboard(result, reference="median")["verdict"].to_dict()
    {'mean': 'too few independent origins', 'median': 'reference'}
    """
    models, levels = result.models, result.quantiles
    if reference is not None and reference not in models:
        raise ValueError(f"reference={reference!r} is none of the models with forecasts: {models}.")
    cells = Cells(result, season_length)
    mase = [cells.mase(k) for k in range(len(models))]  # (n_series, n_origins) each
    rows = [_measures(cells, k, levels, mase[k]) for k in range(len(models))]
    board = pd.DataFrame(rows, index=pd.Index(models, name="model", tupleize_cols=False))
    if reference is not None:
        is_infinite = np.array([np.isinf(one).any() for one in mase])
        finite = [np.where(np.isinf(one).any(), np.nan, one) for one in mase]
        losses = np.stack([cells.by_origin(one) for one in finite], axis=1)[cells.is_scored.any(axis=0)]
        compared = _compare(losses, models.index(reference), cells.overlap, random_state)
        compared.loc[is_infinite & (compared["verdict"] != "reference"), "verdict"] = INFINITE
        board = pd.concat([board, compared.set_axis(board.index)], axis=1)
    return board.join(result.seconds.add_suffix("_seconds")).sort_values("MASE", kind="stable")


def _measures(cells: Cells, model: int, levels: list[float], mase: Any) -> dict[str, float]:
    actual, forecast = cells.actual, cells.cube("forecast", model)  # (n_series, n_origins, n_steps)
    rmsse = metrics.rmsse(actual, forecast, scale=cells.root_scale, axis=-1)
    row = {
        "MASE": cells.average(mase, cells.is_scored),
        "RMSSE": cells.average(rmsse, cells.is_scored, root=True),
        "sMAPE": cells.average(metrics.smape(actual, forecast, axis=-1)),
    }
    if levels:
        spread = np.stack([cells.cube(level, model) for level in levels], axis=-1)
        loss = metrics.scaled_quantile_loss(actual, spread, quantiles=levels, scale=cells.scale, axis=-1)
        row["SQL"] = cells.average(loss, cells.is_scored)
    if len(levels) > 1:
        inside = metrics.coverage(actual, lower=spread[..., 0], upper=spread[..., -1], axis=-1)
        row[f"coverage_{100 * (levels[-1] - levels[0]):.4g}"] = cells.average(inside)
    return row


def _compare(losses: Floats, reference: int, horizon: int, random_state: Any) -> pd.DataFrame:
    """Skill against one column of the losses (n_origins, n_models), with intervals, p-values and verdicts."""
    base = losses[:, reference]
    others = [k for k in range(losses.shape[1]) if k != reference]
    skills = [skill_interval(one, base, horizon=horizon, random_state=random_state) for one in losses.T]
    tests = [diebold_mariano(one, base, horizon=horizon) for one in losses.T]
    p_values = np.full(len(tests), np.nan)
    p_values[others] = adjust_p_values([tests[k].p_value for k in others])
    intervals = np.array([one.interval for one in skills])  # (n_models, 2)
    intervals[reference] = 0.0
    differences = [test.mean_difference for test in tests]
    verdicts = [_verdict(*three) for three in zip(differences, intervals, p_values, strict=True)]
    verdicts[reference] = "reference"
    return pd.DataFrame(
        {
            "skill": [one.skill for one in skills],
            "skill_lower": intervals[:, 0],
            "skill_upper": intervals[:, 1],
            "p_value": p_values,
            "verdict": verdicts,
            "independent_origins": len(base) // horizon,
        }
    )


def _verdict(difference: float, interval: Floats, p_value: float) -> str:
    if np.isnan(difference):
        return "forecasts missing"
    if np.isnan(p_value):
        return TOO_FEW
    return "not distinguishable" if interval[0] <= 0 <= interval[1] else verdict_of(difference, p_value)
