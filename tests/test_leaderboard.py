import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from seqcast import HistoricAverage, Naive, metrics
from seqcast.evaluation import (
    RollingOriginSplit,
    backtest,
    diebold_mariano,
    leaderboard,
    overlap,
    scaled_errors,
    skill_interval,
)


class Offset(RegressorMixin, BaseEstimator):
    """The covariate plus a constant."""

    def __init__(self, by=0.0):
        self.by = by

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X["x"].to_numpy() + self.by


def panel(unit=(1.0, 100.0), lengths=(60, 40)):
    """Daily series of different units and starts, with gaps."""
    rng = np.random.default_rng(0)
    parts = {}
    for k, (u, n) in enumerate(zip(unit, lengths, strict=True)):
        times = pd.date_range(end="2024-03-31", periods=n)
        parts[f"s{k}"] = pd.Series(u * (5 + rng.normal(size=n).cumsum()), index=times)
    y = pd.concat(parts)
    y.iloc[[7, 15, 57, 95]] = np.nan
    return y, pd.DataFrame({"x": y.fillna(0.0) + rng.normal(size=len(y))})


CV = RollingOriginSplit(4, n_origins=7)  # the first origins lie before the second series begins


def board_of(models, y, X, **options):
    result = backtest(models, y, X, cv=CV)
    return result, leaderboard(result, **options)


def slow_row(result, y, name, season):
    """Return MASE, RMSSE and sMAPE by loops over series and origins."""
    frame = result.forecasts
    scaled, squared, percent = [], [], []
    for label in frame["series"].cat.categories:
        own = frame[(frame["model"] == name) & (frame["series"] == label)]
        cells = []
        for origin, rows in own.groupby("origin"):
            rows = rows[rows["actual"].notna()]
            if len(rows) == 0:
                continue
            past = y[label][:origin].to_numpy()
            usable = len(past) > season and np.isfinite(past[season:] - past[:-season]).any()
            scale = [metrics.seasonal_scale(past, season if usable else 1, squared=power) for power in (False, True)]
            error = (rows["actual"] - rows["forecast"]).abs()
            size = rows["actual"].abs() + rows["forecast"].abs()
            cells.append((error.mean() / scale[0], (error**2).mean() / scale[1] ** 2, (200 * error / size).mean()))
        mase, mse, smape = np.mean(cells, axis=0)
        scaled.append(mase)
        squared.append(math.sqrt(mse))
        percent.append(smape)
    return np.mean(scaled), np.mean(squared), np.mean(percent)


@pytest.mark.parametrize("season_length", ["auto", 1, 20])
def test_board_equals_loops_over_series_and_origins(season_length):
    y, X = panel()
    result, board = board_of({"line": LinearRegression(), "off": Offset(2.0)}, y, X, season_length=season_length)
    season = 7 if season_length == "auto" else season_length
    for name in result.models:
        np.testing.assert_allclose(
            board.loc[name, ["MASE", "RMSSE", "sMAPE"]].to_numpy(), slow_row(result, y, name, season)
        )


def test_every_series_counts_the_same_whatever_its_unit():
    y, X = panel(lengths=(60, 60))
    alone = [board_of(Offset(), y[[s]], X.loc[[s]])[1]["MASE"].item() for s in ("s0", "s1")]
    assert board_of(Offset(), y, X)[1]["MASE"].item() == pytest.approx(np.mean(alone))


def test_best_model_comes_first_and_skill_compares_with_the_reference():
    y, X = panel()
    _, board = board_of({"far": Offset(50.0), "near": Offset()}, y, X, reference="far")
    assert board.index.tolist() == ["near", "far"]
    assert board.loc["far", "skill"] == 0
    assert board.loc["near", "skill"] == pytest.approx(1 - board.loc["near", "MASE"] / board.loc["far", "MASE"])


def test_seconds_stand_in_the_board():
    y, X = panel()
    result, board = board_of({"a": Offset(), "b": Offset(1.0)}, y, X)
    assert board.loc["a", "fit_seconds"] == result.seconds.loc["a", "fit"]
    assert board.columns.tolist() == ["MASE", "RMSSE", "sMAPE", "fit_seconds", "predict_seconds"]


def test_quantiles_give_scaled_loss_and_coverage():
    y, X = panel()
    result = backtest(Offset(), y, X, cv=CV, quantiles=[0.1, 0.5, 0.9])
    result.forecasts[0.1] = result.forecasts["forecast"] - 1.0
    result.forecasts[0.5] = result.forecasts["forecast"]
    result.forecasts[0.9] = result.forecasts["forecast"] + 1.0
    board = leaderboard(result)
    frame = result.forecasts[result.forecasts["actual"].notna()]
    inside = frame["actual"].between(frame[0.1], frame[0.9])
    by_origin = inside.groupby([frame["series"], frame["origin"]], observed=True).mean()
    assert board["coverage_80"].item() == pytest.approx(by_origin.groupby(level=0, observed=True).mean().mean())
    assert board["SQL"].item() > 0


def test_median_alone_gives_the_mase_as_scaled_quantile_loss():
    y, X = panel()
    result = backtest(Offset(), y, X, cv=CV, quantiles=[0.5])
    result.forecasts[0.5] = result.forecasts["forecast"]
    board = leaderboard(result)
    assert board["SQL"].item() == pytest.approx(board["MASE"].item())
    assert not any(column.startswith("coverage") for column in board)


def test_model_without_quantiles_is_ranked_and_has_no_quantile_loss():
    y, X = panel()
    board = leaderboard(backtest(Offset(), y, X, cv=CV, quantiles=[0.1, 0.9]))
    assert np.isfinite(board["MASE"].item())
    assert np.isnan(board["SQL"].item())
    assert np.isnan(board["coverage_80"].item())


def test_missing_forecast_does_not_pass_as_a_good_one():
    y, X = panel()
    result = backtest({"a": Offset(), "b": Offset(9.0)}, y, X, cv=CV)
    result.forecasts.loc[0, "forecast"] = np.nan
    board = leaderboard(result)
    assert board.index.tolist() == ["b", "a"]
    assert np.isnan(board.loc["a", "MASE"])


def test_constant_series_is_left_out_of_scaled_measures_with_a_warning():
    y, X = panel()
    y["s1"] = 3.0
    result = backtest(Offset(), y, X, cv=CV)
    with pytest.warns(UserWarning, match="1 of 2 series are constant.* 's1'"):
        board = leaderboard(result)
    assert board["MASE"].item() == pytest.approx(board_of(Offset(), y[["s0"]], X.loc[["s0"]])[1]["MASE"].item())


def test_unknown_reference_lists_the_models():
    y, X = panel()
    with pytest.raises(ValueError, match=r"reference='naive' is none of the models with forecasts: \['a'\]"):
        board_of({"a": Offset()}, y, X, reference="naive")


# Against a reference -------------------------------------------------------------------------------------------------


COMPARED = ["skill", "skill_lower", "skill_upper", "p_value", "verdict", "independent_origins"]


def compared(step=4, n_origins=13, **options):
    """One series of noise, known but for noise to "near", and 300 off to "far"."""
    rng = np.random.default_rng(0)
    y = pd.Series(rng.normal(size=90), index=pd.date_range("2024-01-01", periods=90), name="a")
    X = pd.DataFrame({"x": y + rng.normal(scale=0.1, size=90)})
    models = {"near": Offset(), "same": Offset(0.001), "far": Offset(300.0)}
    result = backtest(models, y, X, cv=RollingOriginSplit(4, n_origins=n_origins, step=step))
    return result, leaderboard(result, reference="near", **options)


def test_verdicts_say_what_is_luck():
    _, board = compared()
    assert board["verdict"].to_dict() == {"near": "reference", "same": "not distinguishable", "far": "worse"}
    assert (board["independent_origins"] == 13).all()


def test_skill_interval_and_p_value_are_those_of_the_losses_by_origin():
    result, board = compared(n_origins=12, step=2)
    losses = scaled_errors(result)
    assert overlap(result) == 2
    skill = skill_interval(losses["far"], losses["near"], horizon=2)
    assert board.loc["far", COMPARED[:3]].tolist() == pytest.approx([skill.skill, *skill.interval])
    p = {name: diebold_mariano(losses[name], losses["near"], horizon=2).p_value for name in ("same", "far")}
    assert board.loc["far", "p_value"] == pytest.approx(min(2 * p["far"], 1.0))  # Holm, of two
    assert board.loc["same", "p_value"] == pytest.approx(max(2 * p["far"], p["same"]))
    assert board["independent_origins"].eq(6).all()


def test_few_independent_origins_give_neither_interval_nor_verdict():
    _, board = compared(step=1, n_origins=15)
    assert board["independent_origins"].eq(3).all()
    assert board["verdict"].to_dict() == dict.fromkeys(["same", "far"], "too few independent origins") | {
        "near": "reference"
    }
    assert board.loc[["same", "far"], COMPARED[1:4]].isna().all(axis=None)
    assert board["skill"].notna().all()


def test_model_with_missing_forecasts_gets_no_verdict():
    result, _ = compared()
    result.forecasts.loc[0, "forecast"] = np.nan
    assert leaderboard(result, reference="far").loc["near", "verdict"] == "forecasts missing"


def test_more_series_of_one_panel_are_not_more_evidence():
    result, board = compared()
    rows = [result.forecasts.assign(series=name) for name in ("a", "b", "c")]
    frame = pd.concat(rows).sort_values("model", kind="stable", ignore_index=True)
    frame["series"] = frame["series"].astype("category")
    history = dataclasses.replace(
        result.history,
        values=np.tile(result.history.values, 3),
        features=np.tile(result.history.features, (3, 1)),
        present=np.tile(result.history.present, 3),
        indptr=np.arange(4) * len(result.history.values),
        first=np.tile(result.history.first, 3),
        ids=("a", "b", "c"),
    )
    tripled = dataclasses.replace(result, forecasts=frame, history=history)
    pd.testing.assert_frame_equal(leaderboard(tripled, reference="near")[COMPARED], board[COMPARED])


def test_errors_by_origin_average_to_the_board_where_series_begin_at_different_origins():
    y, X = panel()
    result, board = board_of({"line": LinearRegression(), "off": Offset(2.0)}, y, X)
    errors = scaled_errors(result)
    assert errors.index.tolist() == sorted(result.forecasts["origin"].unique())
    pd.testing.assert_series_equal(errors.mean().sort_index(), board["MASE"].sort_index(), check_names=False)


def test_error_at_an_origin_where_all_are_scored_is_the_mean_over_series():
    result, _ = compared()
    errors, frame = scaled_errors(result)["far"], result.forecasts
    origin = errors.index[3]
    rows = frame[(frame["model"] == "far") & (frame["origin"] == origin)]
    past = result.history.values[: 90 - 52 + 3 * 4]
    expected = (rows["actual"] - rows["forecast"]).abs().mean() / metrics.seasonal_scale(past, 7)
    assert errors[origin] == pytest.approx(expected)


def test_errors_by_step_equal_loops():
    y, X = panel()
    result, _ = board_of({"off": Offset(2.0)}, y, X)
    frame = result.forecasts.dropna(subset="actual")
    for step, value in scaled_errors(result, by="step", season_length=1)["off"].items():
        series = []
        for label, own in frame[frame["step"] == step].groupby("series", observed=True):
            scales = [metrics.seasonal_scale(y[label][:origin]) for origin in own["origin"]]
            series.append(((own["actual"] - own["forecast"]).abs() / scales).mean())
        assert value == pytest.approx(np.mean(series))
    with pytest.raises(ValueError, match="'origin' or 'step', got 'hour'"):
        scaled_errors(result, by="hour")


def test_board_of_constant_series_has_no_verdict():
    result, _ = compared()
    result.history.values[:] = 3.0
    result.forecasts["actual"] = 3.0
    with pytest.warns(UserWarning, match="1 of 1 series are constant"):
        board = leaderboard(result, reference="near")
    assert board["verdict"].tolist() == ["reference", "forecasts missing", "forecasts missing"]
    with pytest.warns(UserWarning, match="1 of 1 series are constant"):
        assert len(scaled_errors(result)) == 0


def test_infinite_forecasts_are_named_and_the_others_are_tested():
    y = pd.Series(np.random.default_rng(0).normal(size=60), index=pd.date_range("2024-01-01", periods=60))
    result = backtest({"a": Naive(), "b": HistoricAverage(), "c": Naive()}, y, cv=RollingOriginSplit(1, n_origins=20))
    frame = result.forecasts
    frame.loc[(frame["model"] == "c").idxmax(), "forecast"] = np.inf
    board = leaderboard(result, reference="a")
    assert board["verdict"].drop("b").to_dict() == {"a": "reference", "c": "infinite loss"}
    assert np.isfinite(board.loc["b", "p_value"])
