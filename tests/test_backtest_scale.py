"""Backtests over several processes and over restarts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression, Ridge

import seqcast
from seqcast._parameters import option, parameters, text
from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.evaluation.cells import Work
from seqcast.exceptions import CorruptFileError
from seqcast.panel import Panel
from seqcast.series import SeriesForecaster

CV = RollingOriginSplit(3, n_origins=4)
TESTS = Path(__file__).parent


def panel(n_series=6, n=60):
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=n, name="day")
    series = {f"s{k}": pd.Series(50 + rng.normal(size=n).cumsum(), index, name="load") for k in range(n_series)}
    return pd.concat(series, names=["series"])


def covariates(y):
    return pd.DataFrame({"day": y.index.get_level_values("day").day_of_year.astype(float)}, index=y.index)


def models():  # loaded here, so that the processes that only count and die start soon
    return {
        "theta": seqcast.Theta(horizon=3, season_length=1),
        "ridge": seqcast.RegressionForecaster(Ridge(), horizon=3, lags=8),
        "line": LinearRegression(),
    }


class FatalOnce(RegressorMixin, BaseEstimator):
    """Kills its process at the second fit of all; counts the fits in a folder."""

    def __init__(self, folder=None, fatal_fit=1, sleep=0.0):
        self.folder = folder
        self.fatal_fit = fatal_fit
        self.sleep = sleep

    def fit(self, X, y):
        time.sleep(self.sleep)
        (Path(self.folder) / f"fit{len(y)}-{os.getpid()}-{time.time_ns()}").touch()
        if fits(self.folder) > self.fatal_fit and not (Path(self.folder) / "killed").exists():  # two may fit at once
            (Path(self.folder) / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


@parameters
class FatalSeries(SeriesForecaster):
    """The last value; the second fit kills its process, once."""

    folder: str = option("", text(), "Counts the fits.")

    def _fit_series(self, values, features):
        FatalOnce(self.folder).fit(None, values)
        return {}

    def _forecast_series(self, state, values, features, positions, horizon):
        return np.repeat(values[positions - 1][:, None], horizon, axis=1)


class LastValue(FatalSeries):
    def _fit_series(self, values, features):
        return {}


class Fatal(FatalOnce):
    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


class Mean(FatalOnce):
    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self


def fits(folder):
    return len(list(Path(folder).glob("fit*")))


# Processes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_dask_gives_the_numbers_of_one_process(cluster):
    y = panel()
    one = backtest(models(), y, covariates(y), cv=CV, refit=2, quantiles=[0.1, 0.9])
    with joblib.parallel_config(backend="dask"):
        many = backtest(models(), y, covariates(y), cv=CV, refit=2, quantiles=[0.1, 0.9])
    pd.testing.assert_frame_equal(one.forecasts, many.forecasts, rtol=1e-9)


def test_dask_fits_series_with_the_numbers_of_one_process(cluster):
    one = seqcast.Theta(horizon=3).fit(panel()).forecast()
    with joblib.parallel_config(backend="dask"):
        many = seqcast.Theta(horizon=3).fit(panel()).forecast()
    pd.testing.assert_series_equal(one, many)


def test_data_travel_once_to_the_cluster(cluster, monkeypatch):
    sent = {Work: 0, Panel: 0}
    for kind in sent:

        def counted(self, kind=kind):
            sent[kind] += 1
            return self.__dict__

        monkeypatch.setattr(kind, "__getstate__", counted, raising=False)
    y, models = panel(20, 200), {"a": LinearRegression(), "b": Ridge()}
    with joblib.parallel_config(backend="dask"):
        backtest(models, y, covariates(y), cv=RollingOriginSplit(3, n_origins=10), refit=True)
    assert sent == {Work: 1, Panel: 1}
    with joblib.parallel_config(backend="dask"):
        seqcast.Theta(season_length=1).fit(y)
    assert sent == {Work: 1, Panel: 1}  # each series went alone


def test_worker_of_dask_that_is_killed_loses_nothing(cluster, tmp_path):
    y = panel(4)
    with joblib.parallel_config(backend="dask"):
        result = backtest(FatalOnce(tmp_path), y, covariates(y), cv=RollingOriginSplit(3, n_origins=8), refit=True)
    expected = backtest(Mean(), y, covariates(y), cv=RollingOriginSplit(3, n_origins=8), refit=True)
    np.testing.assert_allclose(result.forecasts["forecast"], expected.forecasts["forecast"])
    assert 8 < fits(tmp_path) <= 8 + 4


def test_worker_that_is_killed_loses_nothing(tmp_path):
    y, folders = panel(6), [tmp_path / "rows", tmp_path / "series"]
    for folder in folders:
        folder.mkdir()
    fatal = {"mean": FatalOnce(folders[0]), "last": FatalSeries(horizon=3, folder=str(folders[1]))}
    result = backtest(fatal, y, covariates(y), cv=CV, refit=2, n_jobs=2)
    expected = backtest({"mean": Mean(), "last": LastValue(horizon=3)}, y, covariates(y), cv=CV, refit=2)
    np.testing.assert_allclose(result.forecasts["forecast"], expected.forecasts["forecast"])
    assert fits(folders[0]) > 2 and fits(folders[1]) > 12


def test_worker_that_always_dies_is_an_error():
    y = panel(2)
    with pytest.raises(Exception, match="worker process"):
        backtest(Fatal(), y, covariates(y), cv=CV, refit=True, n_jobs=2)


def test_backend_that_hands_back_a_list_gives_the_same_numbers():
    y = panel(2)
    one = backtest(LinearRegression(), y, covariates(y), cv=CV, refit=True)
    with joblib.parallel_config(backend="multiprocessing", n_jobs=2):
        many = backtest(LinearRegression(), y, covariates(y), cv=CV, refit=True)
    pd.testing.assert_frame_equal(one.forecasts, many.forecasts)


def test_few_fits_of_many_series_are_shared_out_by_series(monkeypatch):
    seen, call = [], joblib.Parallel.__call__
    monkeypatch.setattr(joblib.Parallel, "__call__", lambda self, calls: seen.append(self.n_jobs) or call(self, calls))
    with joblib.parallel_config(backend="threading"):
        backtest(LastValue(horizon=3), panel(6), cv=CV, n_jobs=2)
    assert seen == [2]


# Restarts ------------------------------------------------------------------------------------------------------------


class Counting(Mean):
    fits = 0

    def fit(self, X, y):
        Counting.fits += 1
        return super().fit(X, y)


def fits_of(**arguments):
    before = Counting.fits
    y = panel(2)
    result = backtest(**({"models": Counting(), "y": y, "X": covariates(y), "cv": CV, "refit": True} | arguments))
    return result, Counting.fits - before


def test_finished_cells_are_taken_up(tmp_path):
    first, n = fits_of(folder=tmp_path / "new" / "cells", quantiles=[0.5])
    again, n_again = fits_of(folder=tmp_path / "new" / "cells", quantiles=[0.5])
    assert (n, n_again) == (4, 0)
    pd.testing.assert_frame_equal(first.forecasts, again.forecasts)
    pd.testing.assert_frame_equal(first.seconds, again.seconds)


@pytest.mark.parametrize(
    "change",
    [
        {"models": Counting(sleep=0.001)},
        {"y": panel(2) + 1},
        {"X": covariates(panel(2)) + 1},
        {"quantiles": [0.5]},
        {"cv": RollingOriginSplit(3, n_origins=4, window=40)},
        {"delay": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_stale_cells_are_not_taken_up(tmp_path, change):
    fits_of(folder=tmp_path)
    assert fits_of(folder=tmp_path, **change)[1] == 4
    assert fits_of(folder=tmp_path)[1] == 0


def test_cells_of_a_further_model_or_origin_are_added(tmp_path):
    fits_of(folder=tmp_path)
    assert fits_of(folder=tmp_path, models={"a": Counting(), "b": LinearRegression()})[1] == 0
    assert fits_of(folder=tmp_path, cv=RollingOriginSplit(3, n_origins=6))[1] == 2


def test_failed_fits_are_not_kept(tmp_path):
    y = panel(2)
    X = covariates(y)
    with pytest.raises(ValueError, match="NaN"):
        backtest(LinearRegression(), y, X.where(X > 1), cv=CV, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_broken_cell_is_named(tmp_path):
    fits_of(folder=tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CorruptFileError, match=f"{path.name} is not a finished cell.*Delete it"):
        fits_of(folder=tmp_path)


def test_model_that_cannot_be_pickled_is_named(tmp_path):
    with pytest.raises(TypeError, match="Model 'Counting' cannot be pickled"):
        fits_of(models=Counting(folder=lambda: 0), folder=tmp_path)


def test_backtest_goes_on_after_a_kill(tmp_path):
    cells, log = tmp_path / "cells", tmp_path / "log"
    log.mkdir()
    code = f"""
from test_backtest_scale import *
y = panel(3)
y.index.is_unique
backtest(FatalOnce({str(log)!r}, fatal_fit=5), y, covariates(y), cv=RollingOriginSplit(3, n_origins=8), refit=True,
         folder={str(cells)!r})
"""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL and fits(log) == 6 and len(list(cells.glob("*.npz"))) == 5
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "2"}, check=False)
    assert done.returncode == 0 and fits(log) == 9


def test_key_does_not_depend_on_what_was_looked_up_in_the_data(tmp_path):
    y = panel(2)
    backtest(seqcast.Naive(horizon=3), y, cv=CV, folder=tmp_path)
    assert y.index.is_unique and y.index.get_loc(("s1", y.index[5][1])) and y.loc["s1"].shape
    backtest(seqcast.Naive(horizon=3), y, cv=CV, folder=tmp_path)
    backtest(seqcast.Naive(horizon=3), panel(2), cv=CV, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    backtest(seqcast.SeasonalNaive(horizon=3), y, cv=CV, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
