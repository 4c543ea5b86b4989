"""The contract of a forecaster as a list of checks, run over every forecaster of the package."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal, assert_series_equal
from sklearn.base import clone
from sklearn.utils import get_tags

import seqcast
from seqcast.exceptions import (
    FrequencyError,
    HorizonWarning,
    IrregularTimesError,
    LeakageWarning,
    LookaheadWarning,
    MissingFeaturesError,
    MissingFeaturesWarning,
    MissingTimesError,
    NonFiniteError,
    UnknownCategoryWarning,
    UnknownSeriesError,
)

N = 60
H = 3


def monthly(
    n: int = N, *, scale: float = 1.0, gaps: tuple = (), index: pd.Index | None = None, name: str = "sales"
) -> pd.Series:
    """A trend, a season of 12 and noise: every forecaster has something to learn."""
    t = np.arange(n)
    noise = np.random.RandomState(0).normal(scale=0.5, size=n)
    values = scale * (20 + 0.1 * t + 5 * np.sin(2 * np.pi * t / 12) + noise)
    values[list(gaps)] = np.nan
    return pd.Series(
        values, index=pd.date_range("2015-01-01", periods=n, freq="MS") if index is None else index, name=name
    )


def with_covariate(n: int = N) -> tuple[pd.DataFrame, pd.Series]:
    """A series and two covariates that run `H` steps longer."""
    y = monthly(n)
    times = pd.date_range(y.index[0], periods=n + H, freq="MS")
    random = np.random.RandomState(1)
    return pd.DataFrame({"promotion": random.normal(size=n + H), "weather": random.normal(size=n + H)}, index=times), y


def wide() -> pd.DataFrame:
    y = monthly()
    return pd.DataFrame({"north": y, "south": 3 * y.to_numpy()[::-1]}, index=y.index)


def panel() -> pd.Series:
    y = monthly()
    parts = {"north": y, "south": 3 * y.iloc[20:]}
    return pd.concat(parts, names=["region", "month"])


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


# What goes in and what comes out (rules 1, 10) ----------------------------------------------------------------------


def check_series_in_series_out(forecaster):
    y = monthly()
    forecast = forecaster.fit(y).forecast()
    expected = pd.date_range(y.index[-1], periods=H + 1, freq="MS")[1:]
    assert isinstance(forecast, pd.Series) and forecast.name == "sales" and np.isfinite(forecast).all()
    assert forecast.index.equals(expected)


def check_wide_in_wide_out(forecaster):
    y = wide().rename_axis(columns="region")
    forecast = forecaster.fit(y).forecast()
    assert forecast.columns.equals(y.columns) and forecast.columns.name == "region" and forecast.shape == (H, 2)


def check_panel_in_panel_out(forecaster):
    y = panel()
    forecast = forecaster.fit(y).forecast()
    assert list(forecast.index.names) == ["region", "month"] and forecast.name == "sales" and len(forecast) == 2 * H
    as_frame = clone(forecaster).fit(y.to_frame()).forecast()
    assert isinstance(as_frame, pd.DataFrame) and list(as_frame.columns) == ["sales"]


def check_array_in_array_out(forecaster):
    y = monthly().to_numpy()
    assert forecaster.fit(y).forecast().shape == (H,)
    both = np.stack([y, y[::-1]], axis=1)
    assert clone(forecaster).fit(both).forecast().shape == (H, 2)
    fitted = clone(forecaster).fit(both)
    assert fitted.predict(both).shape == (N, 2) and fitted.forecast(quantiles=[0.1, 0.9]).shape == (H, 2, 2)


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2020-03-25", periods=N, freq="D", tz="Europe/Berlin"),
        pd.date_range("2020-03-28 12:00", periods=N, freq="h", tz="Europe/Berlin"),
        pd.period_range("2015-01", periods=N, freq="M"),
        pd.RangeIndex(100, 100 + N),
        pd.bdate_range("2020-01-01", periods=N),
        pd.date_range("2015-01-31", periods=N, freq="ME", unit="s"),
        pd.date_range("2015-01-31", periods=N, freq="W-WED", unit="ns", name="week"),
    ],
    ids=["zone-days", "zone-hours", "periods", "integers", "business-days", "month-ends-s", "weeks-ns"],
)
def check_index_is_continued(forecaster, index):
    forecast = forecaster.fit(monthly(index=index)).forecast()
    step = index.freq if hasattr(index, "freq") else 1
    expected = index[-1] + step
    assert forecast.index[0] == expected and forecast.index.dtype == index.dtype and forecast.index.name == index.name
    assert_series_equal(
        quietly(forecaster.predict, seqcast.future_rows(monthly(index=index), H)), forecast, check_freq=False
    )


def check_input_is_never_modified(forecaster):
    X, y = with_covariate()
    X_before, y_before = X.copy(), y.copy()
    forecaster.fit(X[:N], y).predict(X)
    forecaster.forecast(X=X)
    assert_frame_equal(X, X_before)
    assert_series_equal(y, y_before)


# X, y and times (rules 2 to 5) --------------------------------------------------------------------------------------


def check_without_y_X_is_the_series(forecaster):
    y = monthly()
    forecast = clone(forecaster).fit(y).forecast()
    assert_series_equal(forecaster.fit(pd.DataFrame(index=y.index), y).forecast(), forecast)
    rows = seqcast.future_rows(y, H)
    for same in (rows, rows.index, pd.Series(np.nan, index=rows.index), rows.assign(anything="text")):
        assert_series_equal(forecaster.fit(y).predict(same), forecast, check_freq=False)


def check_explicit_none_raises(forecaster):
    with pytest.raises(ValueError, match="Give y"):
        forecaster.fit(monthly().to_frame(), None)


def check_different_indexes_raise(forecaster):
    X, y = with_covariate()
    with pytest.raises(ValueError, match="different indexes"):
        forecaster.fit(X[1 : N + 1], y)


def check_index_of_one_side_is_used_for_both(forecaster):
    X, y = with_covariate()
    forecaster.fit(X[:N], y.to_numpy())
    assert forecaster.freq_ == "MS" and isinstance(forecaster.predict(X), np.ndarray)


def check_lost_times_raise(forecaster):
    X, y = with_covariate()
    with pytest.raises(MissingTimesError, match="set_output"):
        forecaster.fit(X[:N].to_numpy(), y)
    forecaster.fit(X[:N], y)
    for lost in (X.to_numpy(), X.reset_index(drop=True)):
        with pytest.raises(MissingTimesError):
            quietly(forecaster.predict, lost)


def check_rows_without_times_follow_the_training_rows(forecaster):
    X, y = with_covariate()
    X, y = X.to_numpy(), y.to_numpy()
    forecaster.fit(X[:N], y)
    assert_allclose(forecaster.predict(X[N:]), forecaster.forecast(X=X[N:]), rtol=1e-6)
    frame = pd.DataFrame(X)
    named = clone(forecaster).fit(frame[:N], pd.Series(y))
    assert_allclose(named.predict(frame[N:]), forecaster.predict(X[N:]), rtol=1e-5)  # a RangeIndex keeps its positions
    assert_allclose(named.predict(frame[N:].reset_index(drop=True)), forecaster.predict(X[N:]), rtol=1e-5)
    assert len(forecaster.predict(X[:N])) == N
    with pytest.raises(MissingTimesError, match="without"):
        named.predict(frame[N:].set_axis(pd.date_range("2020", periods=H)))


def check_a_gap_in_the_index_is_masked(forecaster):
    y = monthly().drop(monthly().index[[20, 21, 40]])
    forecaster.fit(y)
    with_nan = clone(forecaster).fit(y.reindex(monthly().index))
    assert forecaster.freq_ == "MS"
    assert_series_equal(forecaster.forecast(), with_nan.forecast(), rtol=1e-5)


def check_irregular_times_raise(forecaster):
    y = monthly(index=pd.date_range("2020-01-01", periods=N, freq="h"))
    off = y.copy()
    off.index = off.index[:5].append(off.index[5:6] + pd.Timedelta("7min")).append(off.index[6:])
    with pytest.raises(IrregularTimesError, match="2020-01-01 05:07.*regularize"):
        forecaster.fit(off)
    with pytest.raises(IrregularTimesError, match="out of order.*sort_index"):
        forecaster.fit(y.iloc[::-1])
    with pytest.raises(IrregularTimesError, match="twice"):
        forecaster.fit(pd.concat([y.iloc[:5], y.iloc[4:]]))
    with pytest.raises(IrregularTimesError, match="mixed zones"):
        forecaster.fit(
            y.set_axis(
                pd.Index(
                    [t.tz_localize("UTC") if i % 2 else t.tz_localize("Asia/Tokyo") for i, t in enumerate(y.index)],
                    dtype=object,
                )
            )
        )
    with pytest.raises(IrregularTimesError, match="to_datetime"):
        forecaster.fit(y.set_axis(y.index.astype(str)))
    with pytest.raises(FrequencyError, match="h"):
        clone(forecaster).set_params(freq="H").fit(y)


# Covariates (rules 6 to 8) ------------------------------------------------------------------------------------------


def check_past_features_are_not_read_after_the_history(forecaster):
    X, y = with_covariate()
    forecaster.set_params(past_features=("weather",)).fit(X[:N], y)
    forecast = forecaster.forecast(X=X)
    for other in (
        X.assign(weather=X["weather"].where(X.index <= y.index[-1], 1e6)),
        X.assign(weather=X["weather"].where(X.index <= y.index[-1])),
    ):
        assert_series_equal(forecaster.forecast(X=other), forecast)
    assert_series_equal(forecaster.forecast(X=X[N:].drop(columns="weather")), forecast)
    with pytest.raises(ValueError, match="past_features"):
        clone(forecaster).set_params(past_features=("wether",)).fit(X[:N], y)


def check_covariates_of_a_wide_target_belong_to_all_columns(forecaster):
    X, _ = with_covariate()
    forecaster.fit(X[:N], wide())
    assert forecaster.forecast(X=X[N:]).shape == (H, 2)


def check_unknown_categories_warn(forecaster):
    X, y = with_covariate()
    X["kind"] = pd.Categorical(["a", "b", "c"] * (len(X) // 3))
    forecaster.fit(X[:N], y)
    new = X[N:].assign(kind=pd.Categorical(["z", "a", "b"]))
    with pytest.warns(UnknownCategoryWarning, match="z"):
        assert np.isfinite(forecaster.forecast(X=new)).all()


def check_a_covariate_constant_in_training_may_change_later(forecaster):
    X, y = with_covariate()
    X["promotion"] = (X.index > y.index[-1]).astype(float)
    assert np.isfinite(forecaster.fit(X[:N], y).forecast(X=X[N:])).all()


def check_missing_covariate_values_are_masked(forecaster):
    X, y = with_covariate()
    X.iloc[[5, 30, N + 1], 0] = np.nan
    assert np.isfinite(forecaster.fit(X[:N], y).forecast(X=X[N:])).all()


def check_leaks_are_named(forecaster):
    X, y = with_covariate()
    with pytest.warns(LeakageWarning, match="copy"):
        clone(forecaster).fit(X[:N].assign(copy=y), y)
    with pytest.raises(ValueError, match="bears the name of the target"):
        forecaster.fit(X[:N].assign(sales=1.0), y)


def check_wrong_columns_raise(forecaster):
    X, y = with_covariate()
    forecaster.fit(X[:N], y)
    for wrong in (X[N:].drop(columns="weather"), X[N:].assign(extra=1.0), X[N:][["weather", "promotion"]]):
        with pytest.raises(ValueError, match="feature names"):
            forecaster.predict(wrong)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        forecaster.fit(X, y.to_numpy())
    with pytest.raises(TypeError, match="covariates come first"):
        forecaster.fit(y, X[:N])


def check_bad_values_raise(forecaster):
    y = monthly()
    with pytest.raises(NonFiniteError, match="sales.*infinity.*2015-06-01"):
        forecaster.fit(y.where(y.index != "2015-06-01", np.inf))
    with pytest.raises(NonFiniteError, match="nothing but NaN"):
        forecaster.fit(y * np.nan)
    with pytest.raises(NonFiniteError, match="south"):
        forecaster.fit(wide().assign(south=np.nan))
    for bad in (y.astype(str), y > 20, y.astype(complex), y.astype(object).where(y > 21, "low"), y.index.to_series()):
        with pytest.raises((TypeError, ValueError), match="sales|month|target|numbers|Complex"):
            forecaster.fit(bad)
    with pytest.raises(ValueError, match="0 sample.*empty"):
        forecaster.fit(y.iloc[:0])
    with pytest.raises(NonFiniteError, match="too large.*2015-01-01"):
        forecaster.fit(y * 1e300)
    X, _ = with_covariate()
    with pytest.raises(NonFiniteError, match="promotion"):
        forecaster.fit(X[:N].assign(promotion=np.inf), y)


def check_bad_parameters_raise(forecaster):
    for bad in (
        {"horizon": 0},
        {"horizon": -1},
        {"horizon": 2.5},
        {"horizon": True},
        {"season_length": 0},
        {"bounds": 3},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            clone(forecaster).set_params(**bad).fit(monthly())
    with pytest.raises(TypeError, match="has no parameter 'steps'. It has: .*horizon"):
        type(forecaster)(steps=3)
    with pytest.raises(TypeError, match="takes parameters by name, as in horizon=..., got 2 by position"):
        type(forecaster)(None, 3)


def check_gaps_in_the_target_are_masked(forecaster):
    y = monthly(gaps=(0, 7, 8, 9, 30, N - 1))
    forecaster.fit(y)
    for answer in (forecaster.forecast(), forecaster.predict(y), forecaster.forecast(quantiles=[0.1, 0.9])):
        assert np.isfinite(answer).all(axis=None)


def check_constant_and_short_series_are_forecast(forecaster):
    constant = monthly() * 0 + 7
    assert_allclose(clone(forecaster).fit(constant).forecast(), 7, rtol=1e-3)
    for n_rows, horizon in ((8, H), (10, 24), (2, H), (N, 100)):
        assert np.isfinite(clone(forecaster).set_params(horizon=horizon).fit(monthly(n_rows)).forecast()).all()
    try:
        answer = forecaster.set_params(freq="MS").fit(monthly(1)).forecast()
    except ValueError as error:
        assert "sample" in str(error) or "values" in str(error)
    else:
        assert np.isfinite(answer).all()


# Predict and forecast (rules 11 to 13) ------------------------------------------------------------------------------


def check_training_rows_get_one_step_ahead_values(forecaster):
    y = monthly()
    fitted = forecaster.fit(y).predict(y)
    assert fitted.index.equals(y.index)
    assert np.isfinite(fitted).all()
    for row in (20, 41, N - 1):
        assert_allclose(fitted.iloc[row], forecaster.forecast(1, history=y.iloc[:row]).iloc[0], rtol=1e-4)


def check_no_fitted_value_knows_its_own_or_a_later_value(forecaster):
    y = monthly()
    forecaster.fit(y)
    fitted = forecaster.predict(y)
    changed = y.copy()
    changed.iloc[30:] = changed.iloc[30:] * 2 + 50
    forecaster.update(changed, overwrite=True)
    assert_allclose(forecaster.predict(y).iloc[:31], fitted.iloc[:31], rtol=1e-6)
    assert not np.allclose(forecaster.predict(y).iloc[31:], fitted.iloc[31:])


def check_training_rows_must_carry_their_covariates(forecaster):
    X, y = with_covariate()
    forecaster.fit(X[:N], y)
    with pytest.raises(ValueError, match="promotion.*2015-03-01"):
        forecaster.predict(X[:N].assign(promotion=X["promotion"].where(X.index != "2015-03-01", 9.0)))


def check_rows_in_holes_warn_of_lookahead(forecaster):
    y = monthly()
    forecaster.fit(y.drop(y.index[30:33]))
    with pytest.warns(LookaheadWarning, match="3 rows"):
        inside = forecaster.predict(y.iloc[30:33])
    changed = y.drop(y.index[30:33])
    changed.iloc[30:] += 40
    forecaster.update(changed, overwrite=True)
    assert_allclose(quietly(forecaster.predict, y.iloc[30:33]), inside, rtol=1e-6)


def check_rows_before_the_history_raise(forecaster):
    y = monthly()
    with pytest.raises(ValueError, match="before the history"):
        forecaster.fit(y.iloc[5:]).predict(y)


def check_rows_after_a_gap_are_forecast_through_it(forecaster):
    y = monthly()
    rows = seqcast.future_rows(y, H)
    forecast = forecaster.fit(y).predict(rows)
    assert_series_equal(forecaster.predict(rows.iloc[-1:]), forecast.iloc[-1:], check_freq=False)


def check_longer_horizons_go_block_by_block(forecaster):
    y = monthly()
    forecaster.fit(y)
    if forecaster._longest is None:
        assert len(forecaster.forecast(4 * H)) == 4 * H
        return
    with pytest.warns(HorizonWarning, match="3 blocks") as caught:
        far = forecaster.forecast(3 * H - 1)
    assert len([w for w in caught if w.category is HorizonWarning]) == 1
    near = forecaster.forecast()
    assert_allclose(far.iloc[:H], near)
    fed = clone(forecaster).fit(y).update(near).forecast()
    assert_allclose(far.iloc[H : 2 * H], fed, rtol=1e-4)


def check_any_horizon_is_answered(forecaster):
    y = monthly()
    forecast = forecaster.fit(y).forecast()
    assert_series_equal(forecaster.forecast(1), forecast.iloc[:1], check_freq=False)
    for bad in (0, -1, 2.5, "3", True):
        with pytest.raises(ValueError, match="horizon"):
            forecaster.forecast(bad)


def check_forecast_needs_the_covariates_ahead(forecaster):
    X, y = with_covariate()
    forecaster.fit(X[:N], y)
    forecast = forecaster.forecast(X=X[N:])
    assert_series_equal(forecaster.forecast(X=X), forecast)  # X may reach back
    assert_series_equal(forecaster.forecast(H, X), forecast)
    assert_series_equal(forecaster.predict(X[N:]), forecast, check_freq=False)
    with pytest.raises(MissingFeaturesError, match="2020-02-01"):
        forecaster.forecast(2, X[: N + 1])
    with pytest.raises(MissingFeaturesError, match="2020-01-01"):
        forecaster.forecast()


def check_history_starts_elsewhere(forecaster):
    y = monthly()
    forecaster.fit(y)
    assert_series_equal(forecaster.forecast(history=y), forecaster.forecast(), rtol=1e-5)
    early = forecaster.forecast(history=y.iloc[:40])
    assert early.index[0] == y.index[40]
    other = monthly(30, scale=100, index=pd.date_range("1990-05-01", periods=30, freq="MS"), name="other")
    forecast = forecaster.forecast(history=other)
    assert forecast.name == "other" and forecast.index[0] == pd.Timestamp("1992-11-01") and (forecast > 500).all()


def check_history_takes_its_covariates_from_X(forecaster):
    X, y = with_covariate()
    forecaster.fit(X[:N], y)
    assert_series_equal(forecaster.forecast(X=X, history=y), forecaster.forecast(X=X), rtol=1e-5)
    assert forecaster.forecast(H, X, history=y.iloc[:50]).index[0] == y.index[50]


def check_history_takes_its_covariates_from_fit_else_warns(forecaster):
    X, y = with_covariate()
    forecaster.fit(X[:N], y)
    expected = forecaster.forecast(X=X[: 50 + H], history=y.iloc[:50])
    assert_series_equal(forecaster.forecast(X=X[50 : 50 + H], history=y.iloc[:50]), expected)
    with pytest.warns(MissingFeaturesWarning, match="latest rows of series 'other'") as caught:
        forecaster.forecast(X=X[50 : 50 + H], history=y.iloc[:50].rename("other"))
    assert caught[0].filename == __file__


def check_covariates_lost_ahead_warn(forecaster):
    X, y = with_covariate()
    forecaster.fit(X[:N], y)
    with pytest.warns(MissingFeaturesWarning, match="NaN in all rows ahead") as caught:
        forecast = forecaster.forecast(X=X[N:] * np.nan)
    assert caught[0].filename == __file__ and len(forecast) == len(X) - N


def check_columns_that_fit_had_not_raise(forecaster):
    X, y = with_covariate()
    forecaster.fit(y)
    for rows in (X[N:], X[N:].to_numpy(), y.iloc[:40]):
        with pytest.raises(ValueError, match="would not be read"):
            forecaster.forecast(H, rows)
    assert len(forecaster.forecast(X=X[N:].index)) == H


def check_quantiles_are_named_and_do_not_cross(forecaster):
    y = monthly()
    forecaster.fit(y)
    levels = np.linspace(0.1, 0.9, 9)
    frame = forecaster.forecast(quantiles=levels)
    assert (np.diff(frame.to_numpy(), axis=1) >= 0).all() and len(frame[0.3]) == H and frame.columns.name == "quantile"
    assert_frame_equal(forecaster.forecast(quantiles=[0.9, 0.1]), frame[[0.9, 0.1]], rtol=1e-6)
    assert_frame_equal(forecaster.predict(seqcast.future_rows(y, H), quantiles=[0.5]), frame[[0.5]], check_freq=False)
    for bad in ([0], [1.0], ["0.5"], [0.5, 0.5], [], 0.5):
        with pytest.raises(ValueError, match="quantiles"):
            forecaster.forecast(quantiles=bad)
    with pytest.raises(ValueError, match="interval"):
        forecaster.forecast(interval=90)


def check_interval_has_three_columns(forecaster):
    frame = forecaster.fit(monthly()).forecast(interval=0.8)
    assert list(frame.columns) == ["lower", "forecast", "upper"] and (frame["lower"] <= frame["upper"]).all()


def check_wide_and_panel_quantiles_are_labelled(forecaster):
    frame = clone(forecaster).fit(wide()).forecast(quantiles=[0.1, 0.9])
    assert frame.columns.tolist() == [("north", 0.1), ("north", 0.9), ("south", 0.1), ("south", 0.9)]
    rows = clone(forecaster).fit(panel()).forecast(quantiles=[0.1, 0.9])
    assert rows.shape == (2 * H, 2) and rows.index.names == ["region", "month"]


def check_paths_are_labelled_and_repeatable(forecaster):
    forecaster.fit(monthly())
    paths = forecaster.sample(5, random_state=0)
    assert paths.shape == (H, 5) and list(paths.columns) == list(range(5)) and np.isfinite(paths).all(axis=None)
    assert_frame_equal(forecaster.sample(5, random_state=0), paths)
    assert clone(forecaster).fit(wide()).sample(2, random_state=0).columns.tolist() == [
        ("north", 0),
        ("north", 1),
        ("south", 0),
        ("south", 1),
    ]
    assert clone(forecaster).fit(panel()).sample(2, random_state=0).shape == (2 * H, 2)
    with pytest.raises(ValueError, match="n_paths"):
        forecaster.sample(0)


def check_bounds_hold(forecaster):
    low = 20 if get_tags(forecaster).target_tags.positive_only else 0
    y = monthly() - 19 + low
    forecaster.set_params(bounds=(low, None)).fit(y)
    assert (forecaster.forecast() >= low).all() and (forecaster.forecast(interval=0.95) >= low).all(axis=None)
    assert (forecaster.sample(20, random_state=0) >= low).all(axis=None) and (forecaster.predict(y) >= low).all()


# Score, update, state (rules 14 to 16) ------------------------------------------------------------------------------


def check_score_is_the_mean_over_series(forecaster):
    y = wide()
    forecaster.fit(y.iloc[:50])
    rows = y.iloc[50:].copy()
    rows.iloc[0, 0] = np.nan
    one_by_one = [_r2(rows[c], quietly(forecaster.predict, rows)[c]) for c in y]
    assert_allclose(quietly(forecaster.score, rows), np.mean(one_by_one))
    with pytest.raises(ValueError, match="two known rows"):
        forecaster.score(y.iloc[50:51])


def _r2(actual, forecast):
    known = actual.notna()
    return 1 - ((actual - forecast)[known] ** 2).sum() / ((actual[known] - actual[known].mean()) ** 2).sum()


def check_update_takes_new_rows_and_fills_gaps(forecaster):
    y = monthly(gaps=(30,))
    forecaster.fit(y.iloc[:50])
    before = forecaster.forecast()
    forecaster.update(y.iloc[50:])
    assert forecaster.forecast().index[0] == y.index[-1] + y.index.freq
    assert_series_equal(forecaster.forecast(history=y.iloc[:50]), before, rtol=1e-5)
    forecaster.update(monthly().iloc[30:31])
    with pytest.raises(ValueError, match="overwrite=True"):
        forecaster.update(monthly().iloc[10:12] + 1)
    forecaster.update(monthly().iloc[10:12] + 1, overwrite=True)
    later = monthly(N + 1).iloc[N:].rename(None)
    assert forecaster.update(later).forecast().index[0] == later.index[0] + y.index.freq


def check_second_fit_forgets_the_first(forecaster):
    y = monthly()
    once = clone(forecaster).fit(y).forecast()
    X, _ = with_covariate()
    forecaster.fit(X[:N], y * 100)
    assert_series_equal(forecaster.fit(y).forecast(), once)


def check_same_seed_same_forecast(forecaster):
    y = monthly()
    state = np.random.get_state()[1].copy()
    assert_array_equal(clone(forecaster).fit(y).forecast(), forecaster.fit(y).forecast())
    assert_array_equal(np.random.get_state()[1], state)


def check_pickle_keeps_the_forecast(forecaster):
    forecaster.fit(monthly())
    assert_series_equal(pickle.loads(pickle.dumps(forecaster)).forecast(), forecaster.forecast())


def check_saved_file_keeps_the_forecast(forecaster, tmp_path):
    X, y = with_covariate()
    X["kind"] = pd.Categorical(["a", "b", "c"] * (len(X) // 3))
    forecaster.fit(X[:N], y)
    if isinstance(forecaster, seqcast.RegressionForecaster):  # its regressor may be any object
        with pytest.raises(TypeError, match="joblib"):
            forecaster.save(tmp_path / "model.seqcast")
        return
    forecaster.save(tmp_path / "model.seqcast")
    loaded = seqcast.load(tmp_path / "model.seqcast")
    assert repr(loaded) == repr(forecaster)
    assert_series_equal(loaded.forecast(X=X), forecaster.forecast(X=X), check_exact=True)
    assert_frame_equal(
        loaded.forecast(X=X, quantiles=[0.1, 0.9]), forecaster.forecast(X=X, quantiles=[0.1, 0.9]), check_exact=True
    )


def check_unseen_series_raise(forecaster):
    y = panel()
    forecaster.fit(y)
    unseen = y.rename({"north": "east"})
    with pytest.raises(UnknownSeriesError, match="east.*TimeSeriesSplit"):
        forecaster.predict(unseen)
    with pytest.raises(UnknownSeriesError, match="east"):
        forecaster.update(unseen)
    assert np.isfinite(forecaster.forecast(history=unseen)).all()


def check_no_attribute_is_named_like_a_method_of_scikit_learn(forecaster):
    forecaster.fit(monthly())
    for name in ("transform", "inverse_transform", "classes_", "predict_proba", "decision_function", "n_outputs_"):
        assert not hasattr(forecaster, name)


def check_residuals_are_rolling_origin_errors(forecaster):
    y = monthly()
    frame = forecaster.fit(y).residuals(4)
    assert frame.shape == (4, H) and frame.columns.tolist() == [1, 2, 3] and frame.index[-1] == y.index[-H - 1]
    later = forecaster.forecast(history=y.iloc[: N - H])
    assert_allclose(frame.iloc[-1], y.iloc[N - H :] - later, rtol=1e-4, atol=1e-4)


def check_later_covariates_do_not_change_a_forecast(forecaster):
    X, y = with_covariate(N)
    forecaster.fit(X[:N], y)
    fitted = forecaster.predict(X[:N])
    changed = X[:N].copy()
    changed.iloc[40:] += 5.0
    forecaster.update(changed, y, overwrite=True)
    assert_allclose(forecaster.predict(changed).iloc[: 41 - H], fitted.iloc[: 41 - H], rtol=1e-6)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
