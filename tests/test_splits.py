import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsRegressor

from seqcast import Naive, RegressionForecaster
from seqcast.evaluation import backtest, scorer
from seqcast.exceptions import ShortSeriesError
from seqcast.splits import CombinatorialPurgedSplit, RollingOriginSplit


def slow_split(n, horizon, n_origins, step, gap, window):
    """Walk back from the end, one origin after the other."""
    folds = []
    for k in range(n_origins):
        end = n - k * step
        test = list(range(end - horizon, end))
        train = [t for t in range(n) if t < test[0] - gap and (window is None or t >= test[0] - gap - window)]
        folds.insert(0, (train, test))
    return folds


@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("step", [1, 3, 5])
def test_split_equals_its_loop(step, gap, window):
    splitter = RollingOriginSplit(3, n_origins=4, step=step, gap=gap, window=window)
    folds = [(train.tolist(), test.tolist()) for train, test in splitter.split(np.zeros((30, 2)))]
    assert folds == slow_split(30, 3, 4, step, gap, window)
    assert len(folds) == splitter.get_n_splits() == 4


def test_step_defaults_to_horizon():
    tests = [test.tolist() for _, test in RollingOriginSplit(2, n_origins=3).split(np.arange(9))]
    assert tests == [[3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize("needed", [7, 12])
def test_too_few_times_say_how_many_are_needed(needed):
    splitter = (
        RollingOriginSplit(2, n_origins=2, gap=2)
        if needed == 7
        else RollingOriginSplit(2, n_origins=2, gap=2, window=6)
    )
    assert len(list(splitter.split(np.arange(needed)))) == 2
    with pytest.raises(ShortSeriesError, match=f"at least {needed} times, got {needed - 1}"):
        list(splitter.split(np.arange(needed - 1)))


@pytest.mark.parametrize(
    "fault", [{"horizon": 0}, {"horizon": 2.5}, {"horizon": True}, {"gap": -1}, {"window": 0}, {"n_origins": "all"}]
)
def test_faulty_parameter_is_named(fault):
    (name, value), *_ = fault.items()
    with pytest.raises(ValueError, match=f"{name} must be .* got {value!r}"):
        list(RollingOriginSplit(**fault).split(np.arange(50)))


def panel_of_unequal_starts():
    times = pd.date_range("2024-01-01", periods=6)
    index = pd.MultiIndex.from_tuples([("a", t) for t in times] + [("b", t) for t in times[3:]])
    return pd.Series(np.arange(9.0), index=index)


def test_panel_is_cut_at_one_moment_through_all_series():
    y = panel_of_unequal_starts()
    for train, test in RollingOriginSplit(1, n_origins=2).split(y):
        assert y.index[train].get_level_values(1).max() < y.index[test].get_level_values(1).min()
        assert set(y.index[test].get_level_values(0)) == {"a", "b"}


def test_panel_rows_may_stand_in_any_order():
    y = panel_of_unequal_starts().sample(frac=1, random_state=0)
    train, test = next(RollingOriginSplit(2, n_origins=1).split(y))
    assert sorted(y.index[test].get_level_values(1).unique().day) == [5, 6]
    assert len(train) == 5


def test_times_of_y_count_where_x_lost_them():
    y = panel_of_unequal_starts()
    by_y = list(RollingOriginSplit(1).split(np.zeros((9, 1)), y))
    by_x = list(RollingOriginSplit(1).split(y.to_frame(), y))
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(by_y, by_x, strict=True))


@pytest.mark.parametrize(
    "index", [pd.period_range("2024-01", periods=12, freq="M"), pd.RangeIndex(12), pd.Index(range(5, 29, 2))]
)
def test_periods_and_integers_are_cut(index):
    train, test = next(RollingOriginSplit(4, n_origins=1).split(pd.Series(range(12), index=index)))
    assert (train.tolist(), test.tolist()) == (list(range(8)), [8, 9, 10, 11])


def test_scikit_learn_takes_the_splitter():
    scores = cross_val_score(
        DummyRegressor(), np.zeros((20, 1)), np.arange(20.0), cv=RollingOriginSplit(4, n_origins=3)
    )
    assert scores.shape == (3,)


def slow_combinatorial_split(n, n_groups, n_test, purge, embargo):
    """Ask of each time whether it shares a value with any time of the test."""
    for tested in itertools.combinations(range(n_groups), n_test):
        test = [t for t in range(n) if t * n_groups // n in tested]
        targets = {t + k for t in test for k in range(purge + 1)}  # values that the test is to forecast
        train = [
            t
            for t in range(n)
            if t not in test
            and not targets & {t + k for k in range(purge + 1)}  # its own targets
            and not targets & {t - k for k in range(1, embargo + 1)}  # its inputs
        ]
        yield train, test


@pytest.mark.parametrize(("purge", "embargo"), [(0, 0), (2, 0), (0, 3), (2, 3)])
@pytest.mark.parametrize("n_test", [1, 2, 3])
def test_combinatorial_split_equals_its_loop(n_test, purge, embargo):
    splitter = CombinatorialPurgedSplit(n_groups=5, n_test_groups=n_test, purge=purge, embargo=embargo)
    folds = [(train.tolist(), test.tolist()) for train, test in splitter.split(np.zeros((60, 2)))]
    assert folds == list(slow_combinatorial_split(60, 5, n_test, purge, embargo))
    assert len(folds) == splitter.get_n_splits()


def test_every_group_is_tested_as_often_as_any_other():
    tests = [test for _, test in CombinatorialPurgedSplit(n_groups=5, n_test_groups=2).split(np.arange(23))]
    assert np.bincount(np.concatenate(tests)).tolist() == [4] * 23


def test_first_group_can_be_kept_for_training():
    splitter = CombinatorialPurgedSplit(n_groups=4, n_test_groups=2, train_first=True)
    folds = list(splitter.split(np.arange(12)))
    assert len(folds) == splitter.get_n_splits() == 3
    assert all({0, 1, 2} <= set(train) for train, _ in folds)


def test_combinations_cut_a_panel_at_one_moment_through_all_series():
    y = panel_of_unequal_starts()
    times = y.index.get_level_values(1)
    for train, test in CombinatorialPurgedSplit(n_groups=3, n_test_groups=1).split(y):
        assert not set(times[train]) & set(times[test])
    assert set(y.index[test].get_level_values(0)) == {"a", "b"}


@pytest.mark.parametrize(
    ("fault", "n", "message"),
    [
        ({"n_groups": 2, "n_test_groups": 2}, 20, "no group to train on"),
        ({"n_groups": 2, "n_test_groups": 2, "train_first": True}, 20, "no group to train on"),
        ({"n_groups": 9}, 8, "at least 9 times, got 8"),
        ({"n_groups": 4, "embargo": 9}, 12, "leaves none of 12 times"),
        ({"n_groups": 1}, 12, "n_groups must be"),
    ],
)
def test_combinations_that_leave_nothing_say_so(fault, n, message):
    with pytest.raises(ValueError, match=message):
        list(CombinatorialPurgedSplit(**fault).split(np.arange(n)))


def test_purging_takes_away_what_overlapping_targets_give():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=1010)
    y = np.convolve(steps, np.ones(10), "valid")[:1000]  # sums of ten steps to come: nothing tells them beforehand
    X = np.arange(1000.0)[:, None]
    scores = {}
    for purge in (0, 9):
        cv = CombinatorialPurgedSplit(n_groups=100, n_test_groups=1, purge=purge)
        scores[purge] = cross_val_score(KNeighborsRegressor(3), X, y, cv=cv, scoring="neg_mean_absolute_error").mean()
    assert -scores[0] < 0.75 * -scores[9]


def test_a_backtest_refuses_combinations_and_says_where_they_go():
    y = pd.Series(np.arange(30.0), index=pd.date_range("2024-01-01", periods=30))
    with pytest.raises(ValueError, match="cross_val_score"):
        backtest(Naive(), y, cv=CombinatorialPurgedSplit())


@pytest.mark.filterwarnings("ignore::seqcast.exceptions.LookaheadWarning")
def test_a_forecaster_is_cross_validated_after_a_first_group_of_training():
    y = pd.Series(np.sin(np.arange(120.0)), index=pd.date_range("2024-01-01", periods=120))
    cv = CombinatorialPurgedSplit(n_groups=4, n_test_groups=1, embargo=5, train_first=True)
    model = RegressionForecaster(LinearRegression(), lags=5, horizon=30)
    scores = cross_val_score(model, y.to_frame("x")[[]], y, cv=cv, scoring=scorer("mae"))
    assert scores.shape == (3,)
    assert (scores > -0.05).all()
