"""Late readings, covariates as they were told, scores by regime, anomalies."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from test_contract import FORECASTERS

from seqcast import ETS, HistoricAverage, LagFeatures, Naive, RegressionForecaster, RidgeForecaster
from seqcast.datasets import list_datasets, load_dataset
from seqcast.evaluation import RollingOriginSplit, backtest, detect_anomalies, scores_by

H = 3
CV = RollingOriginSplit(H, n_origins=3, step=2)


def series(n=60, name="load", seed=0):
    rng = np.random.default_rng(seed)
    return pd.Series(50 + rng.normal(size=n).cumsum(), pd.date_range("2024-01-01", periods=n, name="day"), name=name)


def weather(y):
    return pd.DataFrame({"temp": np.arange(len(y)) % 7 + 0.1 * y.to_numpy(), "promo": np.arange(len(y)) % 2}, y.index)


# Late readings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refit", [False, True])
def test_last_values_are_not_known_at_the_origin(refit):
    y = series()
    frame = backtest(Naive(horizon=H), y, cv=CV, refit=refit, delay=2).forecasts
    assert frame["forecast"].tolist() == y.shift(2)[frame["origin"]].tolist()
    assert frame["actual"].tolist() == y[frame["time"]].tolist()


def test_delay_goes_by_series():
    wide = pd.DataFrame({"a": series(), "b": series(seed=1)})
    frame = backtest(Naive(horizon=H), wide, cv=CV, delay={"b": 1}).forecasts
    for name, late in (("a", 0), ("b", 1)):
        mine = frame[frame["series"] == name]
        assert mine["forecast"].tolist() == wide[name].shift(late)[mine["origin"]].tolist()
    panel = pd.concat({"a": wide["a"], "b": wide["b"]}, names=["series"])
    np.testing.assert_allclose(
        backtest(Naive(horizon=H), panel, cv=CV, delay={"b": 1}).forecasts["forecast"], frame["forecast"]
    )


def test_arrays_are_delayed_too():
    y = series().to_numpy()
    frame = backtest(Naive(horizon=H), y, cv=CV, delay=1).forecasts
    assert frame["forecast"].tolist() == y[frame["origin"] - 1].tolist()


def test_labels_of_arrays_do_not_collide():
    y = np.stack([series(), series(seed=1)], axis=1)
    frame = backtest(Naive(horizon=H), y, np.ones((60, 2)), cv=CV, delay=1).forecasts
    assert frame["forecast"].tolist() == y[frame["origin"] - 1, frame["series"].cat.codes].tolist()
    with pytest.raises(ValueError, match="delay: 0 must be one of the series"):
        backtest(Naive(horizon=H), y, np.ones((60, 2)), cv=CV, delay={0: 1})


def test_no_delay_changes_nothing():
    y = series()
    plain = backtest(RidgeForecaster(horizon=H, lookback=6), y, weather(y), cv=CV, quantiles=[0.1, 0.9]).forecasts
    zero = backtest(
        RidgeForecaster(horizon=H, lookback=6), y, weather(y), cv=CV, quantiles=[0.1, 0.9], delay=0
    ).forecasts
    pd.testing.assert_frame_equal(plain, zero)


def _models():
    yield from (f for f in FORECASTERS if type(f).__name__ not in ("AutoARIMA", "AutoETS", "AutoTheta"))
    yield Pipeline(
        [("lag", LagFeatures(columns=("temp",), lags=(4,))), ("model", RegressionForecaster(horizon=H, lags=4))]
    ).set_output(transform="pandas")


@pytest.mark.parametrize("model", list(_models()), ids=lambda m: type(m).__name__)
def test_late_readings_never_change_a_forecast(model):
    y = series()
    X = weather(y)
    model = clone(model)  # the list belongs to all tests
    if "horizon" in model.get_params():
        model.set_params(horizon=H, past_features=("temp",))
    else:
        model.set_params(model__past_features=("temp", "temp_lag_4"))
    changed, X_changed = y.copy(), X.copy()
    changed.iloc[-H - 2 :] += 50.0  # from the second step before the last origin on
    X_changed.iloc[-H - 1 :, 0] += 50.0
    cv = RollingOriginSplit(H, n_origins=2)
    delay = {"load": 2, "temp": 1}
    a, b = (backtest(model, *data, cv=cv, delay=delay).forecasts for data in ((y, X), (changed, X_changed)))
    np.testing.assert_allclose(a["forecast"], b["forecast"])
    assert a["forecast"].notna().all()


def test_column_with_a_delay_is_hidden_ahead():
    y = series()
    X = weather(y)
    seen = []

    class Spy(LinearRegression):
        def fit(self, X, y):
            seen.append(X["temp"].isna().sum())
            return super().fit(X.fillna(0.0), y)

        def predict(self, X):
            seen.append(X["temp"].isna().sum())
            return super().predict(X.fillna(0.0))

    backtest(Spy(), y, X, cv=RollingOriginSplit(H, n_origins=1), delay={"temp": 2})
    assert seen == [2, H]


def test_late_columns_that_are_taken_for_known_ones_are_named():
    y = series()
    cv, delay = RollingOriginSplit(H, n_origins=2), {"temp": 0}
    with pytest.warns(UserWarning, match=r"'ridge' learns from \['temp'\] as if they were known ahead"):
        backtest({"ridge": RidgeForecaster(horizon=H, lookback=6)}, y, weather(y), cv=cv, delay=delay)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backtest(RidgeForecaster(horizon=H, lookback=6, past_features=("temp",)), y, weather(y), cv=cv, delay=delay)


@pytest.mark.parametrize(
    ("delay", "message"),
    [
        (-1, "delay must be an integer of at least 0, got -1"),
        ({"load": 1.5}, "got 1.5 for 'load'"),
        ({"rain": 1}, r"'rain' must be one of the series \['load'\] or of the columns \['temp', 'promo'\]"),
    ],
)
def test_bad_delay_gives_a_clear_error(delay, message):
    y = series()
    with pytest.raises(ValueError, match=message):
        backtest(Naive(horizon=H), y, weather(y), cv=CV, delay=delay)


# As it was told ------------------------------------------------------------------------------------------------------


def issues(y, leads=(0, 1, 2, 3, 4)):
    """Forecasts of the day number, wrong by the days they were told ahead."""
    parts = [
        pd.DataFrame({"day": np.arange(len(y)) + 1.0 * lead, "as_of": y.index - pd.Timedelta(lead, "D")}, y.index)
        for lead in leads
    ]
    return pd.concat(parts).set_index("as_of", append=True).sample(frac=1, random_state=0)


class Echo(LinearRegression):
    """Hands back the covariate, and keeps that of fit."""

    def fit(self, X, y):
        Echo.trained = X["day"]
        return self

    def predict(self, X):
        return X["day"].to_numpy()


def test_future_rows_get_the_latest_issue_known_at_the_origin():
    y = series()
    frame = backtest(Echo(), y, issues(y), cv=CV).forecasts
    place = y.index.get_indexer(frame["time"])
    assert frame["forecast"].tolist() == (place + frame["step"]).tolist()


def test_training_rows_get_the_last_issue_before_their_time():
    y = series()
    backtest(Echo(), y, issues(y), cv=RollingOriginSplit(H, n_origins=1))
    assert Echo.trained.tolist() == (np.arange(len(y) - H) + 1.0).tolist()


def test_rows_without_an_issue_are_missing():
    y = series()
    frame = backtest(Echo(), y, issues(y, leads=(1, 2)), cv=CV).forecasts
    assert frame["forecast"].isna().tolist() == (frame["step"] > 2).tolist()


def test_later_issues_never_change_a_forecast():
    y = series()
    told = issues(y)
    changed = told.copy()
    origin = y.index[-H - 1]
    changed.loc[told.index.get_level_values("as_of") > origin, "day"] += 100.0
    cv = RollingOriginSplit(H, n_origins=1)
    a, b = (backtest(RidgeForecaster(horizon=H, lookback=6), y, X, cv=cv).forecasts for X in (told, changed))
    np.testing.assert_allclose(a["forecast"], b["forecast"])


def test_issues_of_a_panel_go_by_series():
    y = pd.concat({"a": series(), "b": series(seed=1)}, names=["series"])
    told = pd.concat({"a": issues(series()), "b": issues(series()) + 1000.0}, names=["series"])
    frame = backtest(Echo(), y, told, cv=CV).forecasts
    mine = frame.set_index("series")["forecast"]
    np.testing.assert_allclose(mine["b"], mine["a"] + 1000.0)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (issues(series()).iloc[[0, 0]], "comes twice"),
        (issues(series()).reset_index("as_of").assign(as_of=1).set_index("as_of", append=True), "must hold times"),
        (pd.concat({"a": issues(series())}), "must have the index levels of y"),
    ],
)
def test_bad_issues_give_a_clear_error(X, message):
    with pytest.raises(ValueError, match=message):
        backtest(Echo(), series(), X, cv=CV)


def test_issues_need_times():
    with pytest.raises(ValueError, match="need a y with times"):
        backtest(Echo(), series().to_numpy(), issues(series()), cv=CV)


# Regimes -------------------------------------------------------------------------------------------------------------


def hourly():
    index = pd.date_range("2024-01-01", periods=24 * 10, freq="h")
    return pd.Series(np.where(index.hour < 12, 1.0, 3.0) + np.arange(240) % 2 * 0.5, index, name="load")


def test_scores_by_hour_are_those_of_a_loop():
    result = backtest(
        {"a": Naive(horizon=6), "b": HistoricAverage(horizon=6)}, hourly(), cv=RollingOriginSplit(6, n_origins=12)
    )
    scores = scores_by(result, "hour")
    assert scores.index.names == ["model", "hour"] and len(scores) == 48
    frame = result.forecasts
    for (model, hour), row in scores.iterrows():
        mine = frame[(frame["model"] == model) & (frame["time"].dt.hour == hour)]
        error = mine["forecast"] - mine["actual"]
        np.testing.assert_allclose([row["MAE"], row["bias"], row["n"]], [error.abs().mean(), error.mean(), len(mine)])


def test_series_count_the_same_in_a_regime():
    wide = pd.DataFrame({"a": series(), "b": 100 * series(seed=1)})
    wide.iloc[-1, 0] = np.nan
    scores = scores_by(backtest(Naive(horizon=H), wide, cv=CV), lambda frame: np.repeat("all", len(frame)))
    alone = [scores_by(backtest(Naive(horizon=H), wide[c], cv=CV), "model")["MASE"].iloc[0] for c in wide]
    np.testing.assert_allclose(scores["MASE"], np.mean(alone))
    assert scores["n"].tolist() == [17]


@pytest.mark.parametrize(
    ("by", "regimes"),
    [
        ("season", ["winter"]),
        ("month", [2]),
        ("day_of_week", ["Mon", "Tue", "Wed", "Thu", "Sat", "Sun"]),  # in the order of the week
        ("step", [1, 2, 3]),
    ],
)
def test_regimes_of_the_calendar(by, regimes):
    result = backtest(Naive(horizon=H), series(), cv=RollingOriginSplit(H, n_origins=2))
    assert scores_by(result, by).index.get_level_values(1).tolist() == regimes


def test_origins_after_a_gap_are_scored_apart():
    y = series()
    y.iloc[-7:-5] = np.nan  # within a week before the last two of the origins
    result = backtest(Naive(horizon=1), y, cv=RollingOriginSplit(1, n_origins=8))
    scores = scores_by(result, "gap").droplevel("model")
    assert scores["n"].to_dict() == {"after a gap": 5, "no gap": 1}


def test_coverage_is_that_of_the_outer_quantiles():
    result = backtest(Naive(horizon=1), series(), cv=RollingOriginSplit(1, n_origins=30), quantiles=[0.1, 0.9])
    frame = result.forecasts
    inside = frame["actual"].between(frame[0.1], frame[0.9])
    assert scores_by(result, "step")["coverage"].tolist() == [inside.mean()]


@pytest.mark.parametrize("by", ["year", "hour"])
def test_unknown_regime_gives_a_clear_error(by):
    y = series().reset_index(drop=True)
    with pytest.raises(ValueError, match="by must be 'gap'" if by == "year" else "times with a calendar"):
        scores_by(backtest(Naive(horizon=1), y, cv=CV), by)


# Anomalies -----------------------------------------------------------------------------------------------------------


def steady(n=400):
    rng = np.random.default_rng(0)
    return pd.Series(rng.normal(size=n), pd.date_range("2024-01-01", periods=n, freq="h"), name="load")


def monitored(y, **options):
    result = backtest(HistoricAverage(horizon=2), y, cv=RollingOriginSplit(2, n_origins=100), quantiles=[0.01, 0.99])
    return detect_anomalies(result, **options)


def test_steady_series_has_hardly_an_anomaly():
    assert monitored(steady())["is_anomaly"].mean() <= 0.01


def test_broken_sensor_is_found_soon():
    y = steady()
    y.iloc[300:320] += 8.0
    found = monitored(y)
    marked = found.loc[found["is_anomaly"], "time"]
    assert marked.min() <= y.index[304]
    assert marked.between(y.index[300], y.index[331]).mean() > 0.9


def test_count_in_a_window_gives_the_binomial_p_value():
    y = steady()
    y.iloc[300:302] += 20.0
    row = monitored(y, window=3).set_index("time").loc[y.index[301]]
    assert row["score"] > 1
    np.testing.assert_allclose(row["p_value"], 3 * 0.02**2 * 0.98 + 0.02**3)


def test_missing_reading_is_no_anomaly_and_is_not_counted():
    y = steady()
    y.iloc[301] = np.nan
    y.iloc[[300, 302]] += 20.0
    found = monitored(y, window=2).set_index("time")
    assert not found.loc[y.index[301], "is_anomaly"] and np.isnan(found.loc[y.index[301], "p_value"])
    np.testing.assert_allclose(found.loc[y.index[302], "p_value"], 0.02**2)


def test_forecast_of_the_latest_origin_counts():
    result = backtest(
        Naive(horizon=3), steady(), cv=RollingOriginSplit(3, n_origins=20, step=1), quantiles=[0.05, 0.95]
    )
    found = detect_anomalies(result, window=1)
    assert found["time"].is_unique and len(found) == 22
    steps = result.forecasts.groupby("time")["step"].min()
    assert (steps[:20] == 1).all()
    first = result.forecasts[result.forecasts["step"] == 1].set_index("time")
    np.testing.assert_allclose(found.set_index("time").loc[first.index, "low"], first[0.05])


def test_intervals_that_are_far_too_narrow_give_a_warning():
    y = steady()
    y.iloc[250:] *= 10
    with pytest.warns(UserWarning, match="not calibrated"):
        monitored(y)


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ({"a": Naive(), "b": Naive()}, {}, "several models"),
        ({"a": Naive()}, {"model": "c"}, "none of the models"),
        ({"a": LinearRegression()}, {}, "has no interval"),
        ({"a": Naive()}, {"alpha": 2}, "alpha must be"),
        ({"a": Naive()}, {"window": 0}, "window must be"),
    ],
)
def test_bad_monitoring_gives_a_clear_error(models, options, message):
    y = series()
    result = backtest(models, y, weather(y), cv=RollingOriginSplit(1), quantiles=[0.1, 0.9])
    with pytest.raises(ValueError, match=message):
        detect_anomalies(result, **options)


# The windows of numenta/NAB, labels/combined_windows.json
FAILURES = [
    ("2013-12-15 09:55", "2013-12-18 00:55"),
    ("2014-01-27 06:25", "2014-01-29 21:25"),
    ("2014-02-07 07:00", "2014-02-09 22:00"),
]


@pytest.mark.skipif(not list_datasets().loc["machine_temperature", "ready"], reason="needs SEQCAST_DATA")
@pytest.mark.parametrize("model", [ETS(horizon=6, season_length=1), Naive(horizon=6)], ids=["ets", "naive"])
def test_failures_of_the_machine_are_found(model):
    y = load_dataset("machine_temperature").resample("1h").mean()
    n_origins = (len(y) - 13 * 24) // 6  # the first 13 days are without a failure
    result = backtest(model, y, cv=RollingOriginSplit(6, n_origins=n_origins), quantiles=[0.005, 0.995])
    marked = detect_anomalies(result).query("is_anomaly")["time"]
    inside = [marked.between(*window) for window in FAILURES]
    assert all(window.any() for window in inside)
    assert (~np.logical_or.reduce(inside)).sum() < 0.03 * n_origins * 6
