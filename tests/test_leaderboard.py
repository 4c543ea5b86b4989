import math

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from seqcast import metrics
from seqcast.evaluation import RollingOriginSplit, backtest, leaderboard


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
