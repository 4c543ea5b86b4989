import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from test_contract import FORECASTERS

from seqcast import (
    CalendarFeatures,
    FourierFeatures,
    HolidayFeatures,
    LagFeatures,
    RegressionForecaster,
    RidgeForecaster,
    RollingFeatures,
    SeasonalNaive,
)
from seqcast.evaluation import check_no_lookahead
from seqcast.evaluation.perturbation import perturbed
from seqcast.exceptions import LeakageError, LeakageWarning, ShortSeriesError

H = 3
KNOWN = ["promo", "forecast", "kind"]


def data(n=120, seed=0):
    """A load that follows the temperature and a promotion; "forecast" is the weather as it was told days before."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2024-01-01", periods=n, name="day")
    temp = pd.Series(10 + 5 * np.sin(np.arange(n) / 9) + rng.normal(size=n), index)
    X = pd.DataFrame(
        {
            "temp": temp,
            "promo": rng.integers(0, 2, n),
            "forecast": temp + rng.normal(0, 2, n),
            "kind": pd.Categorical(rng.choice(["a", "b"], n)),
        }
    )
    load = 40 + 2 * temp + 5 * X["promo"] + rng.normal(size=n) + np.repeat(rng.normal(0, 3, n // 4), 4)
    return X, load.rename("load")


def gappy():
    X, y = data()
    y.iloc[80:86] = np.nan
    X.loc[X.index[70:75], ["temp", "forecast"]] = np.nan
    return X, y


class Step(TransformerMixin, BaseEstimator):
    """A step of a user: any function of the rows."""

    def __init__(self, function=None):
        self.function = function

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return self.function(X.copy())


class BatchScaledRidge(RegressorMixin, BaseEstimator):
    """Scales the rows to predict by their own mean and spread."""

    def fit(self, X, y):
        self.ridge_ = Ridge().fit((X - X.mean()) / X.std(), y)
        return self

    def predict(self, X):
        return self.ridge_.predict((X - X.mean()) / X.std())


def numbers(X):
    return X.drop(columns="kind")


def known(X):
    return X[["promo", "forecast"]]


def pipe(*steps, model=None):
    return Pipeline([*steps, ("model", Ridge() if model is None else model)])


def lagged(frame, lag):
    X = frame[["promo"]].assign(load_lag=frame["load"].shift(lag), temp_lag=frame["temp"].shift(lag))
    return X.iloc[lag:], frame["load"].iloc[lag:]


# Planted: pipeline, prepare, options, step, column ------------------------------------------------------------------


def with_copy(X, y):
    return X.assign(meter=y * 0.1 + 3), y


def with_next_value(X, y):
    return X.assign(meter=np.log(y.shift(-2)).ffill()), y


def scaled_everywhere(frame):
    X = frame[["promo", "forecast"]]
    return (X - X.mean()) / X.std(), frame["load"]


def target_scaled_everywhere(frame):
    return known(frame), (frame["load"] - frame["load"].mean()) / frame["load"].std()


def centred(frame):
    return known(frame).assign(smooth=frame["temp"].rolling(7, center=True, min_periods=1).mean().shift(3)).iloc[
        3:
    ], frame["load"].iloc[3:]


def interpolated(frame):
    return known(frame).fillna(0.0), frame["load"].interpolate()


def covariates_interpolated(frame):
    return known(frame).assign(temp=frame["temp"].interpolate().shift(H)).iloc[H:], frame["load"].iloc[H:]


def best_columns_of_everything(frame):
    X = pd.DataFrame(PCA(1).fit_transform(numbers(frame).drop(columns="load")), index=frame.index, columns=["pc"])
    return X.shift(H).iloc[H:], frame["load"].iloc[H:]


def clipped_everywhere(frame):
    X = known(frame)
    return X.clip(X.quantile(0.1), X.quantile(0.9), axis=1), frame["load"]


def group_means(frame):
    means = frame.groupby("promo")["load"].transform("mean")
    return known(frame).assign(usual=means), frame["load"]


def backfilled(X):
    return X.bfill().ffill()


LEAKS = {
    "future covariate": (pipe(("numbers", Step(numbers))), None, data, {}, "model", "temp"),
    "future covariate of a forecaster": (RidgeForecaster(horizon=H, lookback=8), None, data, {}, None, "temp"),
    "future covariate in a search": (
        GridSearchCV(pipe(("numbers", Step(numbers))), {"model__alpha": [1.0, 2.0]}, cv=TimeSeriesSplit(2)),
        None,
        data,
        {},
        "model",
        "temp",
    ),
    "future covariate in columns": (
        pipe(("columns", ColumnTransformer([("scale", StandardScaler(), ["temp", "promo"])]))),
        None,
        data,
        {},
        "model",
        "temp",
    ),
    "target among the covariates": (
        pipe(("numbers", Step(lambda X: X[["meter", "promo"]]))),
        None,
        lambda: with_copy(*data()),
        {},
        "model",
        "meter",
    ),
    "target declared known": (
        pipe(("numbers", Step(lambda X: X[["meter", "promo"]]))),
        None,
        lambda: with_copy(*data()),
        {"known_features": [*KNOWN, "meter"]},
        "model",
        "meter",
    ),
    "later target declared known": (
        pipe(("numbers", Step(lambda X: X[["meter", "promo"]]))),
        None,
        lambda: with_next_value(*data()),
        {"known_features": [*KNOWN, "meter"]},
        "model",
        "meter",
    ),
    "next row": (pipe(("lead", Step(lambda X: known(X).shift(-1).ffill()))), None, data, {}, "lead", "forecast"),
    "next row of a covariate": (
        pipe(("lead", Step(lambda X: X[["temp"]].shift(-1).ffill()))),
        None,
        data,
        {},
        "lead",
        "temp",
    ),
    "centred mean in a step": (
        pipe(("select", Step(known)), ("smooth", Step(lambda X: X.rolling(5, center=True, min_periods=1).mean()))),
        None,
        data,
        {},
        "smooth",
        "forecast",
    ),
    "scaling by the rows to predict": (
        pipe(("select", Step(known)), ("scale", Step(lambda X: (X - X.mean()) / X.std()))),
        None,
        data,
        {},
        "scale",
        "forecast",
    ),
    "scaling inside the regressor": (
        pipe(("select", Step(known)), model=BatchScaledRidge()),
        None,
        data,
        {},
        "model",
        "forecast",
    ),
    "filling backwards": (
        pipe(("select", Step(known)), ("fill", FunctionTransformer(backfilled))),
        None,
        gappy,
        {},
        "fill",
        "forecast",
    ),
    "scaler of everything": (pipe(), scaled_everywhere, data, {}, "prepare", "forecast"),
    "scaler of everything before a line": (LinearRegression(), scaled_everywhere, data, {}, "prepare", "forecast"),
    "target scaled by everything": (pipe(), target_scaled_everywhere, data, {}, "prepare", "load"),
    "centred mean": (pipe(), centred, data, {}, "prepare", "temp"),
    "target interpolated": (pipe(), interpolated, gappy, {}, "prepare", "load"),
    "covariate interpolated": (
        pipe(("fill", SimpleImputer())),
        covariates_interpolated,
        gappy,
        {},
        "prepare",
        "temp",
    ),
    "components of everything": (pipe(), best_columns_of_everything, data, {}, "prepare", "temp"),
    "clipped by everything": (pipe(), clipped_everywhere, data, {}, "prepare", "forecast"),
    "means of groups": (pipe(), group_means, data, {}, "prepare", "load"),
    "lag shorter than the horizon": (
        pipe(),
        lambda frame: lagged(frame, H - 1),
        data,
        {},
        "prepare",
        "load",
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_planted_leak_is_found_with_its_step_and_column(name):
    pipeline, prepare, load, options, step, column = LEAKS[name]
    X, y = load()
    options = {"known_features": KNOWN, "horizon": H, "n_origins": 2, "on_fail": None} | options
    report = check_no_lookahead(pipeline, X, y, prepare=prepare, **options)
    assert (step or type(pipeline).__name__, (column,)) in {(leak.step, leak.columns) for leak in report.leaks}


# Clean ones ----------------------------------------------------------------------------------------------------------


def numbers_known(X):
    return known(X).fillna(0.0)


def trailing(frame):
    X = known(frame).assign(smooth=frame["temp"].rolling(5).mean().shift(H), usual=frame["load"].shift(7))
    return X.iloc[8:], frame["load"].iloc[8:]


def past_scaled(frame):
    steps = frame["load"].expanding().mean().shift(H)
    return known(frame).assign(level=steps).iloc[4:], frame["load"].iloc[4:]


def filled_forwards(frame):
    return known(frame).ffill(), frame["load"].ffill()


def with_unused_column(frame):
    return known(frame).assign(unused=frame["temp"].rolling(5, center=True).mean()), frame["load"]


def with_calendar(X, y):
    return X.assign(trend=np.arange(len(X)) * 1.0, sine=np.sin(X.index.day_of_week * 2 * np.pi / 7)), y


def periodic():
    X, _ = data()
    wave = np.sin(2 * np.pi * np.arange(120) / 12)
    return X.assign(wave=wave), pd.Series(20 + 3 * wave, X.index, name="load")


def lag_of_the_target():
    X, y = data()
    return X.assign(week_before=y.shift(7).bfill()), y


PAST = ("temp",)
CLEAN = {
    "known columns": (pipe(("select", Step(known)), ("scale", StandardScaler())), None, data, {}),
    "constant": (pipe(("none", Step(lambda X: X[["promo"]] * 0))), None, data, {}),
    "categories": (
        pipe(
            (
                "columns",
                ColumnTransformer(
                    [("one", OneHotEncoder(), make_column_selector(dtype_include="category"))], remainder="drop"
                ),
            )
        ),
        None,
        data,
        {},
    ),
    "forest without a seed": (pipe(("select", Step(known)), model=RandomForestRegressor(5)), None, data, {}),
    "boosting": (pipe(("select", Step(known)), model=HistGradientBoostingRegressor(max_iter=5)), None, data, {}),
    "neighbours": (
        pipe(("select", Step(known)), ("robust", RobustScaler()), model=KNeighborsRegressor()),
        None,
        data,
        {},
    ),
    "polynomials": (pipe(("select", Step(known)), ("powers", PolynomialFeatures())), None, data, {}),
    "selection inside": (
        pipe(("select", Step(known)), ("best", SelectKBest(f_regression, k=1))),
        None,
        data,
        {},
    ),
    "components inside": (
        pipe(("select", Step(known)), ("both", FeatureUnion([("pca", PCA(1)), ("scale", StandardScaler())]))),
        None,
        data,
        {},
    ),
    "gaps filled inside": (pipe(("select", Step(known)), ("fill", SimpleImputer())), None, gappy, {}),
    "gaps filled with zero": (pipe(("zero", Step(numbers_known))), None, gappy, {}),
    "target transformed": (
        TransformedTargetRegressor(pipe(("select", Step(known))), transformer=QuantileTransformer(n_quantiles=20)),
        None,
        data,
        {},
    ),
    "search": (
        GridSearchCV(pipe(("select", Step(known))), {"model__alpha": [0.1, 10.0]}, cv=TimeSeriesSplit(2)),
        None,
        data,
        {},
    ),
    "lags at the horizon": (pipe(), lambda frame: lagged(frame, H), data, {}),
    "trailing means": (pipe(), trailing, data, {}),
    "running mean": (pipe(), past_scaled, data, {}),
    "filled forwards": (pipe(("fill", SimpleImputer())), filled_forwards, gappy, {}),
    "leaking column that is not used": (pipe(("select", Step(known))), with_unused_column, data, {}),
    "calendar": (
        pipe(("select", Step(lambda X: X[["trend", "sine"]]))),
        None,
        lambda: with_calendar(*data()),
        {"known_features": [*KNOWN, "trend", "sine"]},
    ),
    "target that is a known wave": (
        pipe(("select", Step(lambda X: X[["wave"]]))),
        None,
        periodic,
        {"known_features": [*KNOWN, "wave"]},
    ),
    "known lag of the target": (
        pipe(("select", Step(lambda X: X[["week_before"]]))),
        None,
        lag_of_the_target,
        {"known_features": [*KNOWN, "week_before"]},
    ),
    "past covariate of a forecaster": (
        RidgeForecaster(horizon=H, lookback=8, past_features=PAST),
        None,
        data,
        {},
    ),
    "past covariate of a regression": (
        RegressionForecaster(Ridge(), horizon=H, lags=5, past_features=PAST),
        None,
        gappy,
        {},
    ),
    "series alone": (SeasonalNaive(horizon=H), None, lambda: (None, gappy()[1]), {"known_features": ()}),
    "arrays": (
        Ridge(),
        None,
        lambda: (known(data()[0]).to_numpy(), data()[1].to_numpy()),
        {"known_features": [0, 1]},
    ),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_pipeline_passes(name):
    pipeline, prepare, load, options = CLEAN[name]
    X, y = load()
    options = {"known_features": KNOWN, "horizon": H} | options
    assert check_no_lookahead(pipeline, X, y, prepare=prepare, **options).leaks == ()


# The package's own -------------------------------------------------------------------------------------------------


def own_data():
    X, y = data(60)
    return X[["temp", "promo", "forecast"]], y


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=lambda f: type(f).__name__)
def test_forecaster_of_the_package_passes(forecaster):
    X, y = own_data()
    forecaster = clone(forecaster).set_params(horizon=H, past_features=PAST)
    report = check_no_lookahead(forecaster, X, y, known_features=["promo", "forecast"], n_origins=1)
    assert report.leaks == () and report.horizon == H


@pytest.mark.parametrize(
    "transformer",
    [
        CalendarFeatures(keep=False),
        FourierFeatures(keep=False, periods=(7,)),
        HolidayFeatures(keep=False, country="DE"),
        LagFeatures(keep=False, columns=("temp",), lags=(H, H + 4)),
        LagFeatures(keep=False, columns=("forecast",)),
        RollingFeatures(keep=False, columns=("forecast",), windows=(5,)),
    ],
    ids=lambda t: f"{type(t).__name__} {getattr(t, 'columns', '')}",
)
def test_transformer_of_the_package_passes(transformer):
    X, y = own_data()
    pipeline = pipe(("features", transformer), model=HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=2))
    assert check_no_lookahead(pipeline, X, y, known_features=["promo", "forecast"], horizon=H).leaks == ()


@pytest.mark.parametrize(
    "transformer", [LagFeatures(keep=False, columns=("temp",), lags=(1,)), RollingFeatures(keep=False, windows=(3,))]
)
def test_lag_below_the_horizon_is_found(transformer):
    X, y = own_data()
    pipeline = pipe(("features", transformer), model=HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=2))
    with pytest.raises(LeakageError, match="column 'temp'"):
        check_no_lookahead(pipeline, X[["temp"]], y, horizon=H)


# What it says --------------------------------------------------------------------------------------------------------


def test_leak_raises_warns_or_is_only_reported():
    X, y = data()
    X = X[["temp"]]
    with pytest.raises(
        LeakageError, match="1 leak in forecasts of 1 steps from 3 origins:\nstep 'Ridge', column 'temp'"
    ):
        check_no_lookahead(Ridge(), X, y)
    with pytest.warns(LeakageWarning, match="'temp'"):
        check_no_lookahead(Ridge(), X, y, on_fail="warn")
    (leak,) = check_no_lookahead(Ridge(), X, y, on_fail=None).leaks
    assert leak.columns == ("temp",) and leak.origin in y.index


def test_every_guilty_column_is_named():
    X, y = data()
    report = check_no_lookahead(Ridge(), numbers(X), y, known_features=["promo"], on_fail=None)
    assert {leak.columns for leak in report.leaks} == {("temp",), ("forecast",)}


def test_panel_is_cut_by_time():
    X, y = (pd.concat({"b": part, "a": part.iloc[20:]}, names=["series"]) for part in data())
    assert check_no_lookahead(Ridge(), known(X), y, known_features=["promo", "forecast"], horizon=H).leaks == ()
    with pytest.raises(LeakageError, match="'temp'"):
        check_no_lookahead(Ridge(), X[["temp"]], y, horizon=H)


def test_inputs_stay_as_they_are():
    X, y = gappy()
    before = X.copy(), y.copy()

    def prepare(frame):
        frame["load"] = frame["load"].ffill()
        return known(frame).fillna(0.0), frame["load"]

    check_no_lookahead(Ridge(), X, y, known_features=KNOWN, prepare=prepare)
    pd.testing.assert_frame_equal(X, before[0])
    pd.testing.assert_series_equal(y, before[1])


def test_fits_that_differ_by_themselves_are_refused():
    random, (X, y) = np.random.default_rng(0), data()
    noisy = pipe(("noise", Step(lambda X: X + random.normal(size=X.shape))))
    with pytest.raises(ValueError, match="Two equal fits give different forecasts"):
        check_no_lookahead(noisy, X[["temp"]], y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"known_features": ["rain"]}, r"known_features \['rain'\] are not among the columns of X"),
        ({"on_fail": "ignore"}, "on_fail must be"),
        ({"horizon": 0}, "horizon must be an integer of at least 1"),
        ({"n_origins": 0}, "n_origins must be"),
        ({"X": data()[0][:5]}, "X has 5 rows, y has 120"),
    ],
)
def test_bad_arguments_give_a_clear_error(change, message):
    X, y = data()
    arguments = {"X": X[["promo"]]} | change
    with pytest.raises(ValueError, match=message):
        check_no_lookahead(Ridge(), arguments.pop("X"), y, **arguments)


def test_too_short_series_says_how_many_times_are_needed():
    X, y = data()
    with pytest.raises(ShortSeriesError, match="needs at least 8 times, got 7"):
        check_no_lookahead(Ridge(), X[["promo"]][:7], y[:7], horizon=H)


@pytest.mark.parametrize("variant", ["beyond", "drawn"])
def test_perturbed_values_differ_where_asked_and_keep_their_kind(variant):
    frame = pd.DataFrame(
        {
            "number": np.linspace(1.0, 2.0, 60),
            "code": np.arange(60) % 24,
            "count": np.arange(60),
            "flag": np.arange(60) % 2 == 0,
            "kind": pd.Categorical(["a"] * 60, categories=["a", "b"]),
            "text": ["x", "y"] * 30,
            "time": pd.date_range("2024", periods=60),
            "gap": [np.nan] * 59 + [1.0],
        }
    )
    rows = np.arange(60) >= 40
    out = perturbed(frame, dict.fromkeys(range(8), rows), variant)
    assert (out.dtypes == frame.dtypes).all()
    assert out[:40].equals(frame[:40])
    assert (out[40:].drop(columns="gap") != frame[40:].drop(columns="gap")).all(axis=None)
    assert out["gap"].isna().sum() == 59 and out["gap"].iloc[-1] != 1.0
    assert (out["number"] > 0).all() and out["code"].between(0, 23).all()
    assert (out["number"].max() > 2.4) == (variant == "beyond")
