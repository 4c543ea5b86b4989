"""What only a GPU can show: all of it runs there, and gives what the CPU gives."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import seqcast
from seqcast import (
    ConformalForecaster,
    GRUForecaster,
    LSTMForecaster,
    RidgeForecaster,
    RNNForecaster,
    TransformerForecaster,
)
from seqcast.training import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

NETWORKS = (RNNForecaster, LSTMForecaster, GRUForecaster, TransformerForecaster)
every_network = pytest.mark.parametrize("kind", NETWORKS)
QUANTILES = [0.1, 0.5, 0.9]
H = 12


def hourly(n=2200, seed=0):
    """What an hour says of the next depends on the hour; a covariate that is known ahead, and gaps."""
    random, index = np.random.default_rng(seed), pd.date_range("2024-01-01", periods=n + H, freq="h")
    factors, rest = 0.9 * random.choice([-1, 1], 24)[index.hour], random.normal(size=n + H)
    for k in range(1, n + H):
        rest[k] += factors[k] * rest[k - 1]
    X = pd.DataFrame({"wind": random.normal(size=n + H)}, index)
    y = (20 + rest + X["wind"]).rename("load").where(random.uniform(size=n + H) > 0.002)
    return y.iloc[:n], X


def small(kind, **options):
    own = {"horizon": H, "device": "cuda"}
    if kind is not RidgeForecaster:
        own |= {"hidden_size": 16, "max_steps": 200, "n_members": 2, "lookback": 48, "random_state": 0}
    return kind(**{**own, **options})


@pytest.mark.parametrize("kind", [RidgeForecaster, *NETWORKS])
def test_a_forecast_of_the_gpu_is_that_of_the_cpu(kind, tmp_path):
    y, X = hourly()
    model = small(kind, calendar="auto").fit(X.iloc[: len(y)], y)
    expected = model.forecast(X=X, quantiles=QUANTILES)
    assert np.isfinite(expected.to_numpy()).all()
    assert model.members_[0].model.device.type == "cuda"
    assert model.members_[0].architecture["n_phases"] == 24
    model.save(tmp_path / "model")
    for copy in (seqcast.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert_array_equal(copy.forecast(X=X, quantiles=QUANTILES), expected)
    on_cpu = pickle.loads(pickle.dumps(model.set_params(device="cpu")))
    assert on_cpu.members_[0].model.device.type == "cpu"
    assert_allclose(on_cpu.forecast(X=X, quantiles=QUANTILES), expected, rtol=1e-4, atol=1e-4)


def test_a_ridge_is_the_same_wherever_it_was_fitted():
    y, X = hourly()
    on_gpu, on_cpu = (
        small(RidgeForecaster, device=device).fit(X.iloc[: len(y)], y).forecast(X=X) for device in ("cuda", "cpu")
    )
    assert_allclose(on_gpu, on_cpu, rtol=1e-3)


@every_network
def test_a_recorded_step_is_the_step(kind, monkeypatch):
    y, X = hourly()
    recorded = small(kind, dropout=0.0).fit(X.iloc[: len(y)], y).forecast(X=X)
    monkeypatch.setattr(Trainer, "fastest_step", lambda self, generator: self.train_step)
    assert_allclose(small(kind, dropout=0.0).fit(X.iloc[: len(y)], y).forecast(X=X), recorded, rtol=1e-5)


@every_network
@pytest.mark.parametrize("loss", ["huber", "student_t", "negative_binomial"])
def test_distributions_and_paths(kind, loss):
    y, _ = hourly(900)
    model = small(kind, loss=loss, n_members=1).fit(np.round(y.clip(lower=0)))
    assert model.sample(7, random_state=0).notna().all(axis=None)
    assert model.sample(3, horizon=60, strategy="recursive", random_state=0).notna().all(axis=None)


@every_network
def test_training_goes_on(kind):
    y, _ = hourly(900)
    model = small(kind, warm_start=True).partial_fit(y.iloc[:800]).partial_fit(y.iloc[800:])
    assert model.fit(y).forecast().notna().all()


def test_textbook_networks_panels_and_vectors_of_series():
    y, _ = hourly(600)
    both = pd.concat({"north": y, "south": 3 * y.iloc[200:]}, names=["region", "time"])
    for kind in NETWORKS:
        model = small(kind, patch_length=1, linear_skip=False, series_embedding=True, max_steps=20).fit(both)
        assert model.forecast().notna().all()


def test_intervals_learn_from_what_arrives():
    y, _ = hourly()
    model = ConformalForecaster(small(GRUForecaster, n_members=1), horizon=H, method="adaptive").fit(y.iloc[:-48])
    bounds = model.update(y.iloc[-48:]).forecast(interval=0.8)
    assert np.isfinite(bounds.to_numpy()).all()
