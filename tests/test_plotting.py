from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.plotting import plot_backtest, plot_forecast, plot_leaderboard, plot_training

INDEXES = {
    "days": pd.date_range("2024-01-01", periods=30),
    "zone": pd.date_range("2024-03-30", periods=30, freq="h", tz="Europe/Berlin"),
    "months": pd.period_range("2020-01", periods=30, freq="M"),
    "integers": pd.RangeIndex(5, 35),
}


def line(ax, label):
    (found,) = [drawn for drawn in ax.get_lines() if drawn.get_label() == label]
    return found


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def series(index=INDEXES["days"], name="a"):
    return pd.Series(np.arange(float(len(index))), index=index, name=name)


def quantiles(point, levels=(0.1, 0.5, 0.9)):
    return pd.DataFrame({level: point + level - 0.5 for level in levels})


@pytest.mark.parametrize("kind", INDEXES)
def test_forecast_continues_the_recent_history_on_any_index(kind):
    y = series(INDEXES[kind])
    ax = plot_forecast(y[:-5], y[-5:], n_history=8)
    assert line(ax, "history").get_ydata().tolist() == y[-13:-5].tolist()
    assert line(ax, "forecast").get_ydata().tolist() == y[-5:].tolist()
    assert np.all(np.diff(np.append(line(ax, "history").get_xdata()[-1:], line(ax, "forecast").get_xdata())) > 0)


def test_quantiles_are_bands_around_the_median():
    y = series()
    ax = plot_forecast(y[:-5], quantiles(y[-5:], (0.05, 0.25, 0.5, 0.75, 0.95)))
    assert labels(ax) == ["history", "90 % interval", "50 % interval", "forecast"]
    assert len(ax.collections) == 2
    assert line(ax, "forecast").get_ydata().tolist() == y[-5:].tolist()


def test_interval_and_truth_are_drawn():
    y = series()
    frame = pd.DataFrame({"lower": y[-5:] - 1, "forecast": y[-5:], "upper": y[-5:] + 1})
    ax = plot_forecast(y[:-5], frame, actual=y)
    assert labels(ax) == ["history", "interval", "forecast", "actual"]
    assert line(ax, "actual").get_ydata().tolist() == y[-5:].tolist()


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("kind", ["wide", "panel"])
def test_one_of_several_series_is_drawn(kind, spread):
    y = series()
    parts = {"a": y, "b": 10 * y}
    ahead = {label: quantiles(part[-5:]) if spread else part[-5:] for label, part in parts.items()}
    axis = 1 if kind == "wide" else 0
    history, forecast = pd.concat(parts, axis=axis), pd.concat(ahead, axis=axis)
    ax = plot_forecast(history, forecast, series="b")
    assert line(ax, "forecast").get_ydata().tolist() == (10 * y[-5:]).tolist()
    assert ax.get_ylabel() == "b"
    assert plot_forecast(history, forecast).get_ylabel() == "a"
    with pytest.raises(ValueError, match="series='c' is not among"):
        plot_forecast(history, forecast, series="c")


def test_quantiles_of_one_series_bear_its_name():
    y = series().rename("load")
    assert plot_forecast(y[:-5], quantiles(y[-5:])).get_ylabel() == "load"


def test_given_axes_are_drawn_on():
    _, ax = plt.subplots()
    assert plot_forecast(series()[:-5], series()[-5:], ax=ax) is ax


def result(n_origins=6, step=2, **options):
    y = series()
    X = y.to_frame("x")
    models = {"mean": DummyRegressor(), "median": DummyRegressor(strategy="median")}
    return backtest(models, y, X, cv=RollingOriginSplit(4, n_origins=n_origins, step=step), **options)


def test_backtest_shows_each_model_from_origins_that_do_not_overlap():
    ax = plot_backtest(result())
    assert labels(ax) == ["actual", "mean", "median"]
    blocks = [drawn for drawn in ax.get_lines() if drawn.get_color() == line(ax, "mean").get_color()]
    starts = [block.get_xdata()[0] for block in blocks]
    assert [start.astype("datetime64[D]") for start in starts] == [
        np.datetime64("2024-01-19") + 4 * k for k in range(3)
    ]


def test_backtest_of_one_model_shows_its_interval():
    made = result(quantiles=[0.1, 0.9])
    made.forecasts[0.1] = made.forecasts["forecast"] - 1
    made.forecasts[0.9] = made.forecasts["forecast"] + 1
    assert labels(plot_backtest(made, models=["mean"])) == ["actual", "mean", "80 % interval"]


@pytest.mark.parametrize("options", [{"models": ["mode"]}, {"series": "b"}])
def test_backtest_names_what_it_does_not_know(options):
    with pytest.raises(ValueError, match="not in the result"):
        plot_backtest(result(), **options)


def test_leaderboard_puts_the_best_on_top():
    board = pd.DataFrame({"MASE": [1.2, np.nan, 0.8], "skill": [0.0, np.nan, 0.3]}, index=["naive", "odd", "lstm"])
    for metric in ("MASE", "skill"):
        ax = plot_leaderboard(board, metric=metric)
        assert [text.get_text() for text in ax.get_yticklabels()] == ["lstm", "naive", "odd"]
        assert ax.yaxis_inverted()
    with pytest.raises(ValueError, match="metric='MAE' is no column"):
        plot_leaderboard(board, metric="MAE")


def test_training_curve_marks_the_best_step():
    losses = {"step": [10, 20, 30], "train_loss": [3.0, 2.0, 1.0], "validation_loss": [3.0, 2.0, 2.5]}
    ax = plot_training(SimpleNamespace(history_=losses))
    assert labels(ax) == ["train", "validation", "best, step 20"]
    losses["validation_loss"] = [np.nan] * 3
    assert labels(plot_training(SimpleNamespace(history_=losses))) == ["train"]


def test_training_of_something_else_is_refused():
    with pytest.raises(TypeError, match="DummyRegressor has no history_"):
        plot_training(DummyRegressor())
