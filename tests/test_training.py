import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from seqcast.models.recurrent import RecurrentBackbone
from seqcast.networks.embedding import PatchEmbedding
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.heads import Head
from seqcast.training import Sample, Trainer, TrainingOptions, evaluate, fit_network, loss_function
from seqcast.windows import make_windows

OPTIONS = TrainingOptions(
    loss=loss_function("mse"),
    learning_rate=0.01,
    weight_decay=0.0,
    batch_size=100,
    max_steps=60,
    early_stopping=True,
    n_iter_no_change=3,
)


def make_network(n_series=0):
    torch.manual_seed(0)
    return ForecastNetwork(
        lookback=6,
        horizon=2,
        backbone=RecurrentBackbone(nn.LSTM, 8, 1, 0.0),
        embedding=PatchEmbedding(6, 2, 0, patch_length=1, width=8, dropout=0.0, n_series=n_series),
        head=Head(8, 2, 0, patch_length=1),
        linear_skip=False,
    )


def samples():
    windows = make_windows(np.sin(np.arange(200) / 2), np.empty((200, 0)), np.array([0, 200]), lookback=6, horizon=2)
    rows = windows.rows(np.zeros(190, int), np.arange(6, 196))
    return Sample(windows, rows[:150]), Sample(windows, rows[150:])


def generator():
    return torch.Generator().manual_seed(0)


def test_training_lowers_the_validation_loss():
    network, (train, validation) = make_network(), samples()
    options = dataclasses.replace(OPTIONS, max_steps=250)
    before = evaluate(network, validation, OPTIONS.loss)
    history, best_step = fit_network(network, train, validation, options, generator())
    assert evaluate(network, validation, OPTIONS.loss) < 0.5 * before
    assert best_step == 250
    assert history["step"] == [100, 200, 250]
    assert len(history["train_loss"]) == len(history["validation_loss"]) == 3


def test_rounds_double_until_none_is_better():
    """Where validation can only get worse, the round after the first is the last, and the first one's weights stay."""
    train, validation = samples()
    opposite = dataclasses.replace(validation.windows, data=-validation.windows.data.abs())
    hopeless = dataclasses.replace(OPTIONS, max_steps=1600, n_iter_no_change=1)
    network, other = make_network(), Sample(opposite, validation.rows)
    history, best_step = fit_network(network, train, other, hopeless, generator())
    assert best_step in (200, 400)
    assert history["step"][-1] == 2 * best_step
    at_best = history["validation_loss"][history["step"].index(best_step)]
    assert_allclose(evaluate(network, other, OPTIONS.loss), at_best, rtol=1e-5)


def test_learning_rate_falls_to_zero_in_every_round(monkeypatch):
    rates = []
    step = Trainer.train_step
    monkeypatch.setattr(
        Trainer, "train_step", lambda self, b: (rates.append(self.optimizer.param_groups[0]["lr"]), step(self, b))[1]
    )
    endless = dataclasses.replace(OPTIONS, max_steps=800, n_iter_no_change=9)
    fit_network(make_network(), *samples(), endless, generator())
    assert len(rates) == 800
    assert max(rates[199], rates[399], rates[799]) < 0.01 * max(rates[:200])
    assert_allclose([max(rates[:200]), max(rates[200:400]), max(rates[400:])], 0.01, rtol=1e-3)


def test_parts_of_a_batch_sum_to_the_same_step(monkeypatch):
    batch = samples()[0].windows.gather(samples()[0].rows[:16])
    weights = []
    for limit in (16, 5):
        monkeypatch.setattr(RecurrentBackbone, "batch_limit", lambda self, n, limit=limit: limit)
        network = make_network()
        loss = Trainer(network, OPTIONS).train_step(batch)
        weights.append([loss, *(p.detach() for p in network.parameters())])
    for whole, parts in zip(*weights, strict=True):
        assert_allclose(whole, parts, rtol=1e-4, atol=1e-6)


def test_same_generator_gives_the_same_weights():
    ends = []
    for _ in range(2):
        network = make_network()
        fit_network(network, *samples(), OPTIONS, generator())
        ends.append(torch.cat([p.detach().ravel() for p in network.parameters()]))
    assert torch.equal(*ends)


def test_masked_targets_count_for_nothing():
    network, (train, _) = make_network(), samples()
    batch = train.windows.gather(train.rows[:8])
    batch[:, -1, 1] = 0.0
    other = batch.clone()
    other[:, -1, 0] = 1e6
    loss = [Trainer(network, dataclasses.replace(OPTIONS, learning_rate=0.0)).train_step(b) for b in (batch, other)]
    assert loss[0] == loss[1]


@pytest.mark.parametrize(
    ("name", "error", "expected"), [("mse", 2.0, 4.0), ("mae", -2.0, 2.0), ("huber", 2.0, 1.5), ("huber", 0.5, 0.125)]
)
def test_pointwise_losses(name, error, expected):
    loss = loss_function(name)(torch.zeros(1, 1, 1), torch.full((1, 1), error))
    assert loss.item() == expected


def test_quantile_loss_is_twice_the_pinball_loss():
    loss = loss_function("quantile", (0.1, 0.5))
    outputs = torch.zeros(1, 1, 2)
    assert_allclose(loss(outputs, torch.full((1, 1), 3.0)).item(), 2 * (0.1 * 3 + 0.5 * 3) / 2)
    assert_allclose(loss(outputs, torch.full((1, 1), -3.0)).item(), 2 * (0.9 * 3 + 0.5 * 3) / 2)


def test_series_that_look_the_same_are_told_apart_by_their_vectors():
    past = np.random.default_rng(0).normal(size=(100, 6))  # of both; after it one goes up, the other down
    values = np.concatenate([np.hstack([past, np.full((100, 2), future)]).ravel() for future in (1.0, -1.0)])
    number = np.repeat([1.0, 2.0], 800)[:, None]
    windows = make_windows(values, number, np.array([0, 800, 1600]), lookback=6, horizon=2)
    rows = windows.rows(np.repeat([0, 1], 100), np.tile(np.arange(6, 800, 8), 2))
    network = make_network(n_series=2)
    fit_network(network, Sample(windows, rows), None, dataclasses.replace(OPTIONS, max_steps=200), generator())
    window = windows.gather(rows[:1])
    forecasts = []
    for series in range(3):
        window[..., 2] = series
        forecasts.append(network(network.normalise(window))[0, 0, 0].item())
    assert forecasts[1] > forecasts[2] + 1
    assert np.isfinite(forecasts[0])


def test_the_quantile_loss_and_its_slopes_are_those_of_the_operations_one_by_one():
    levels = (0.1, 0.5, 0.8)
    outputs = torch.randn(5, 4, 3, requires_grad=True)
    target = torch.randn(5, 4)
    weight = torch.rand(5, 4)
    error = target.unsqueeze(2) - outputs
    expected = torch.maximum(torch.tensor(levels) * error, (torch.tensor(levels) - 1) * error).mean(2) * 2
    found = loss_function("quantile", levels)(outputs, target)
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad((loss * weight).sum(), outputs, retain_graph=True)[0] for loss in (found, expected)]
    torch.testing.assert_close(*slopes)
