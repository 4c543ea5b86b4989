import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score, cross_validate, learning_curve
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from seqcast import metrics
from seqcast.base import BaseForecaster
from seqcast.evaluation import RollingOriginSplit, scorer

POINT = ["mae", "mse", "rmse", "mape", "smape", "mase", "rmsse"]
QUANTILE = ["pinball", "crps_quantiles", "scaled_quantile_loss", "weighted_quantile_loss"]


class Level(BaseForecaster):
    """`season_length` as the forecast of every step, and that times the level as quantiles."""

    def _fit_panel(self, panel):
        self.level_ = float(self.season_length_)

    def _forecast_panel(self, panel, series, positions, horizon):
        return np.full((len(series), horizon), self.level_)

    def _quantile_panel(self, panel, series, positions, horizon, quantiles):
        return np.tile(self.level_ * np.asarray(quantiles), (len(series), horizon, 1))


def series(n=40):
    y = pd.Series(np.random.default_rng(0).normal(5, 1, n), index=pd.date_range("2024-01-01", periods=n), name="a")
    y.iloc[[3, n - 2]] = np.nan
    return y


def kinds():
    y = series()
    wide = pd.DataFrame({"a": y, "b": 2 * y})
    panel = pd.concat({"a": y, "b": 2 * y[5:]})
    return {"series": y, "wide": wide, "panel": panel, "array": y.to_numpy(), "array2d": wide.to_numpy()}


def split(y, n_test=6):
    if not isinstance(getattr(y, "index", None), pd.MultiIndex):
        return y[:-n_test], y[-n_test:]
    is_test = y.index.get_level_values(1) >= y.index.levels[1][-n_test]
    return y[~is_test], y[is_test]


def parts(y):
    """The one or two series of a target, as arrays."""
    if isinstance(getattr(y, "index", None), pd.MultiIndex):
        return [y[label].to_numpy() for label in ("a", "b")]
    return list(np.asarray(y).reshape(len(y), -1).T)


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("metric", POINT + QUANTILE)
def test_score_is_the_negated_mean_over_series(metric, kind):
    train, test = split(kinds()[kind])
    model = Level(horizon=6, season_length=3).fit(train)
    losses = []
    for past, truth in zip(parts(train), parts(test), strict=True):
        scale = metrics.seasonal_scale(past, 2, squared=metric == "rmsse")
        options = {"scale": scale} if metric in ("mase", "rmsse", "scaled_quantile_loss") else {}
        options |= {"quantiles": [0.2, 0.9]} if metric in QUANTILE else {}
        forecast = np.tile([0.6, 2.7], (6, 1)) if metric in QUANTILE else np.full(6, 3.0)
        losses.append(getattr(metrics, metric)(truth, forecast, **options))
    X = np.zeros((6, 0)) if kind.startswith("array") else test
    assert scorer(metric, quantiles=(0.2, 0.9), season_length=2)(model, X, test) == pytest.approx(-np.mean(losses))


def test_missing_values_are_masked():
    model = DummyRegressor().fit(np.zeros((2, 1)), [1.0, 3.0])
    assert scorer("mae")(model, np.zeros((3, 1)), pd.Series([np.nan, 5.0, 2.0])) == -1.5


@pytest.mark.parametrize("metric", ["mae", "mase", "pinball"])
def test_grid_search_finds_the_best_candidate_in_spite_of_gaps(metric):
    pipe = Pipeline([("scale", StandardScaler()), ("model", Level(horizon=3))]).set_output(transform="pandas")
    y = series()
    X = pd.DataFrame({"x": np.arange(40.0)}, index=y.index)
    grid = {"model__season_length": [1, 5, 30]}
    search = GridSearchCV(pipe, grid, cv=TimeSeriesSplit(3, test_size=3), scoring=scorer(metric), error_score="raise")
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["model__season_length"] == 5


def test_panels_are_scored_in_cross_validation():
    y = kinds()["panel"]
    X = pd.DataFrame(index=y.index)
    cv = RollingOriginSplit(3, n_origins=2)
    scores = cross_val_score(
        Level(horizon=3, season_length=5), X, y, cv=cv, scoring=scorer("mase"), error_score="raise"
    )
    assert scores.shape == (2,)
    assert (scores < 0).all()


def test_several_scores_and_learning_curves():
    y = series()
    X = pd.DataFrame(index=y.index)
    cv, model = TimeSeriesSplit(2, test_size=3), Level(horizon=3, season_length=5)
    table = cross_validate(
        model, X, y, cv=cv, scoring={"mae": scorer("mae"), "pinball": scorer("pinball")}, error_score="raise"
    )
    assert np.isfinite(table["test_mae"]).all()
    assert np.isfinite(table["test_pinball"]).all()
    _, train, test = learning_curve(
        model, X, y, cv=cv, scoring=scorer("mae"), train_sizes=[10, 20], error_score="raise"
    )
    assert np.isfinite(train).all()
    assert np.isfinite(test).all()


def test_search_inside_a_search_gives_quantiles():
    y = series()
    X = pd.DataFrame(index=y.index)
    inner = GridSearchCV(
        Level(horizon=3), {"season_length": [4, 5]}, cv=TimeSeriesSplit(2, test_size=3), scoring=scorer("mae")
    )
    scores = cross_val_score(
        inner, X, y, cv=TimeSeriesSplit(2, test_size=3), scoring=scorer("pinball"), error_score="raise"
    )
    assert np.isfinite(scores).all()


def test_scorer_works_with_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        y = series()
        X = pd.DataFrame(index=y.index)
        search = GridSearchCV(
            Level(horizon=3), {"season_length": [4, 5]}, cv=RollingOriginSplit(3, n_origins=2), scoring=scorer("mae")
        )
        assert search.fit(X, y).best_params_ == {"season_length": 5}


def test_scorer_can_be_pickled_and_reads_well():
    made = scorer("pinball", quantiles=(0.1, 0.9))
    assert pickle.loads(pickle.dumps(made)) == made
    assert repr(made) == "Scorer(metric='pinball', quantiles=(0.1, 0.9), season_length='auto')"


def test_unknown_metric_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"one of mae, mse.*got 'neg_mae'"):
        scorer("neg_mae")


@pytest.mark.parametrize(("metric", "message"), [("mase", "needs training values"), ("pinball", "needs quantiles")])
def test_regressor_cannot_be_scored_by_what_it_does_not_have(metric, message):
    model = DummyRegressor().fit(np.zeros((2, 1)), [1.0, 3.0])
    with pytest.raises(TypeError, match=message):
        scorer(metric)(model, np.zeros((2, 1)), [1.0, 2.0])


def test_season_of_the_scale_comes_from_the_frequency_not_from_the_candidate():
    train, test = split(series())
    scale = metrics.seasonal_scale(train, 7)
    score = scorer("mase")(Level(horizon=6, season_length=5).fit(train), test, test)
    assert score == pytest.approx(-metrics.mase(test, np.full(6, 5.0), scale=scale))


def test_nothing_known_raises_rather_than_giving_nan():
    model = DummyRegressor().fit(np.zeros((2, 1)), [1.0, 3.0])
    with pytest.raises(ValueError, match="No value of y is known"):
        scorer("mae")(model, np.zeros((2, 1)), [np.nan, np.nan])


def test_forecast_of_nan_raises_rather_than_giving_nan():
    model = DummyRegressor(strategy="constant", constant=0.0).fit(np.zeros((2, 1)), [1.0, 3.0])
    model.constant_ = np.array([[np.nan]])
    with pytest.raises(ValueError, match="NaN or infinite"):
        scorer("mae")(model, np.zeros((2, 1)), [1.0, 2.0])


def test_constant_training_values_give_no_scaled_score():
    y = pd.Series(1.0, index=series().index)
    model = Level(horizon=3).fit(y[:-3])
    with pytest.raises(ValueError, match="no scale"):
        scorer("mase")(model, y[-3:], y[-3:])


def test_rows_and_columns_are_scored_where_they_belong():
    times = pd.date_range("2024-01-01", periods=20, name="time")
    wide = pd.DataFrame({"a": np.arange(20.0), "b": 100 + np.arange(20.0) % 3}, times)
    model = Level(season_length=5).fit(wide[:15])
    rows = pd.DataFrame(index=times[15:])
    for measure in (lambda y: model.score(rows, y), lambda y: scorer("mae")(model, rows, y)):
        assert measure(wide[15:][["b", "a"]]) == measure(wide[15:])
    assert scorer("pinball")(model, rows, wide[15:][["b", "a"]]) == scorer("pinball")(model, rows, wide[15:])
    panel = pd.concat({"a": wide["a"], "b": wide["b"]}, names=["series"]).rename("y")
    model = Level(season_length=5).fit(panel.groupby(level=0).head(15))
    held = panel.groupby(level=0).tail(5)
    rows = held.to_frame()[[]]
    for measure in (lambda y: model.score(rows, y), lambda y: scorer("mase")(model, rows, y)):
        assert measure(held.to_numpy()) == measure(held)
        with pytest.raises(ValueError, match="different indexes"):
            measure(held[::-1])


def test_a_score_of_the_series_alone_is_of_its_columns_and_others_are_refused():
    times = pd.date_range("2024-01-01", periods=20)
    wide = pd.DataFrame({"a": np.arange(20.0), "b": 100 + np.arange(20.0) % 3}, times)
    model = Level(season_length=5).fit(wide[:15])
    assert model.score(wide[15:][["b", "a"]]) == model.score(wide[15:])
    with pytest.raises(ValueError, match="The columns of y are .*'c'.*, those forecast"):
        model.score(pd.DataFrame(index=times[15:]), wide[15:].assign(c=1.0))
