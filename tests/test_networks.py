import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from seqcast.models.recurrent import RecurrentBackbone
from seqcast.models.transformer import TransformerBackbone
from seqcast.networks.dropout import Dropout
from seqcast.networks.embedding import PatchEmbedding
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.heads import Head, QuantileHead
from seqcast.networks.linear import RidgePath
from seqcast.networks.normalization import NORMALIZATIONS, fill_gaps, window_center, window_scale

BACKBONES = {
    "RNN": lambda: RecurrentBackbone(nn.RNN, 8, 2, 0.0),
    "LSTM": lambda: RecurrentBackbone(nn.LSTM, 8, 1, 0.0),
    "GRU": lambda: RecurrentBackbone(nn.GRU, 8, 1, 0.0),
    "Transformer": lambda: TransformerBackbone(8, 2, 2, 16, 0.0),
}
LOOKBACK, HORIZON = 7, 4


def make_network(backbone="GRU", *, patch_length=3, levels=0, past_only=(False, True), normalization="mean_std"):
    torch.manual_seed(0)
    head = Head(8, HORIZON, len(past_only) - sum(past_only), patch_length=patch_length, n_outputs=levels or 1)
    network = ForecastNetwork(
        lookback=LOOKBACK,
        horizon=HORIZON,
        past_only=past_only,
        normalization=normalization,
        backbone=BACKBONES[backbone](),
        embedding=PatchEmbedding(LOOKBACK, HORIZON, len(past_only), patch_length=patch_length, width=8, dropout=0.0),
        head=QuantileHead(head, levels // 2) if levels else head,
    )
    return network.eval()


def trained(network):
    """Weights as after training: none is zero."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    network.linear.weight.normal_()
    return network


def some_windows(n=5):
    rng = torch.Generator().manual_seed(2)
    windows = torch.randn(n, LOOKBACK + HORIZON, 4, generator=rng)
    windows[..., 1] = (torch.rand(n, LOOKBACK + HORIZON, generator=rng) < 0.8).float()
    windows[..., 0] *= windows[..., 1]
    return windows


def forecast(network, windows):
    past = network.normalise(windows)
    return network.restore(network(past), past).detach()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("patch_length", [1, 3])
def test_future_values_and_past_features_are_never_read(backbone, patch_length):
    network = trained(make_network(backbone, patch_length=patch_length))
    windows = some_windows()
    other = windows.clone()
    other[:, LOOKBACK:, :2] = 9.0
    other[:, LOOKBACK:, 3] = -7.0  # the second covariate is known only up to the origin
    assert torch.equal(forecast(network, windows), forecast(network, other))
    other[:, LOOKBACK:, 2] += 1.0  # the first is known
    assert not torch.equal(forecast(network, windows), forecast(network, other))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_forecast_starts_at_the_linear_one(backbone):
    network = make_network(backbone)
    network.linear.weight.normal_()
    past = network.normalise(some_windows())
    assert torch.equal(network(past), network.linear_forecast(past))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_past_step_reaches_every_forecast(backbone):
    network = trained(make_network(backbone, past_only=()))
    windows = some_windows()[..., :2]
    windows[..., 1] = 1.0
    windows.requires_grad_()
    network(network.normalise(windows))[:, -1].sum().backward()
    assert (windows.grad[:, :LOOKBACK, 0] != 0).all()


def test_recurrent_backbone_takes_one_step_per_future_token_from_the_final_state():
    backbone = BACKBONES["LSTM"]()
    past, future = torch.randn(3, 5, 8), torch.randn(3, 2, 8)
    out = backbone(past, future)
    for k in range(2):
        step = backbone.layers[0](torch.cat((past, future[:, k : k + 1]), 1))[0][:, -1]
        assert_allclose(out[:, k].detach(), step.detach(), rtol=1e-5, atol=1e-6)


def test_recurrent_weights_are_orthogonal_and_forget_gates_open():
    layers = BACKBONES["LSTM"]().layers[0]
    for block in layers.weight_hh_l0.detach().split(8):
        assert_allclose(block @ block.T, np.eye(8), atol=1e-5)
    assert layers.bias_ih_l0[8:16].tolist() == [1.0] * 8
    assert layers.bias_ih_l0.sum() == 8


def test_future_tokens_of_the_transformer_do_not_see_each_other():
    backbone = BACKBONES["Transformer"]()
    past, future = torch.randn(3, 5, 8), torch.randn(3, 2, 8)
    other = torch.cat((future[:, :1], torch.randn(3, 1, 8)), 1)
    assert_allclose(backbone(past, future)[:, 0].detach(), backbone(past, other)[:, 0].detach(), rtol=1e-5)


def test_quantiles_never_cross():
    network = trained(make_network(levels=5))
    assert (forecast(network, some_windows(50)).diff(dim=2) > 0).all()


def test_shrinkage_moves_the_median_towards_the_linear_forecast_and_keeps_the_spread():
    network = trained(make_network(levels=3))
    network.shrinkage.fill_(0.25)
    past = network.normalise(some_windows())
    full, kept, linear = network(past), network.shrunk(past), network.linear_forecast(past)[..., 0]
    assert_allclose((kept[..., 1] - linear).detach(), 0.25 * (full[..., 1] - linear).detach(), rtol=1e-4, atol=1e-5)
    assert_allclose(kept.diff(dim=2).detach(), full.diff(dim=2).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_forecast_moves_with_the_level_of_the_window(kind):
    network = trained(make_network(normalization=kind))
    windows = some_windows()
    moved = windows.clone()
    moved[..., 0] += 100 * moved[..., 1]
    assert_allclose(forecast(network, moved), forecast(network, windows) + 100, rtol=1e-3)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_windows_of_masks_or_of_one_level_stay_finite(kind):
    value = torch.tensor([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0], [0.0, 2.0, 0.0]])
    observed = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    center = window_center(value, observed, kind)
    scale = window_scale(value, observed, center, kind, torch.tensor(1.0))
    assert center[:, 0].tolist() == [0.0, 5.0, 2.0]
    assert scale[0, 0] == 1
    assert (scale > 0.05).all()


def test_last_is_the_newest_observed_value():
    value, observed = torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert window_center(value, observed, "last").item() == 3.0
    assert window_center(value, observed, "mean").item() == 2.0


@pytest.mark.parametrize("n_columns", [3, 601])  # many are multiplied half by half
def test_ridge_equals_its_normal_equations(n_columns):
    rng = torch.Generator().manual_seed(0)
    z, y = torch.randn(40, n_columns, generator=rng), torch.randn(40, 2, generator=rng)
    sizes = torch.linspace(0.5, 1.0, n_columns)  # of the coefficients
    batches = [(z[:25], y[:25], torch.ones(25, 2)), (z[25:], y[25:], torch.ones(15, 2))]
    prior = torch.randn(n_columns, 2, generator=rng)
    path = RidgePath(lambda: batches, sizes, prior)
    z, y, prior = z.double(), y.double(), prior.double()
    unit = ((z * sizes) ** 2).sum(0).mean()
    shrinking = 0.3 * unit * torch.diag(sizes.double() ** -2)
    expected = torch.linalg.solve(z.T @ z + shrinking, z.T @ y + shrinking @ prior)
    assert_allclose(path.weight(0.3), expected, rtol=1e-9)
    assert_allclose(prior + path.vectors @ path.projected_weight(0.3), expected, rtol=1e-9)
    assert (path.weight(float("inf")) == prior).all()


def test_ridge_with_missing_targets_comes_close_to_each_steps_own_regression():
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 3, generator=rng)
    truth = torch.randn(3, 2, generator=rng)
    y = z @ truth + 0.01 * torch.randn(4000, 2, generator=rng)
    known = (torch.rand(4000, 2, generator=rng) < 0.7).float()
    path = RidgePath(lambda: [(z, y * known, known)], torch.ones(3), torch.zeros(3, 2), imputing_penalty=1e-6)
    assert_allclose(path.weight(1e-6), truth, atol=0.01)


def test_older_seasons_are_expected_to_count_less():
    network = ForecastNetwork(lookback=25, horizon=2, past_only=(False,), season_length=12)
    past = [1 / 3, *[1 / 2] * 12, *[1.0] * 12]
    assert_allclose(network.linear.expected, [*past, 1.0, *past, 1.0, 1.0])  # window, constant, covariate


def test_many_covariates_are_averaged_over_steps():
    network = ForecastNetwork(lookback=100, horizon=20, past_only=(False,) * 50)
    assert network.linear.steps == 4
    assert network.linear.weight.shape == (100 + 1 + 30 * 50, 20)


def test_dropout_leaves_out_its_share_and_keeps_the_mean():
    dropout = Dropout(0.25)
    dropout.generator = torch.Generator().manual_seed(0)
    before = torch.get_rng_state()
    out = dropout(torch.ones(300, 301))
    assert_allclose((out == 0).float().mean(), 0.25, atol=0.005)
    assert_allclose(out.mean(), 1.0, atol=0.01)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(dropout.eval()(out), out)


def test_gaps_of_a_window_without_seasons_become_straight_lines():
    z, observed = torch.tensor([[0.0, 1.0, 0.0, 3.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0]])
    assert fill_gaps(z, observed, 1).tolist() == [[1.0, 1.0, 2.0, 3.0, 3.0]]


def test_gaps_of_a_season_are_filled_by_the_season():
    season = torch.tensor([0.0, 5.0, 1.0, 7.0]).repeat(4)[None]
    observed = torch.ones(1, 16)
    observed[0, [0, 5, 6, 15]] = 0
    torch.testing.assert_close(fill_gaps(season * observed, observed, 4), season)


def test_observed_steps_and_empty_windows_stay_as_they_are():
    z = torch.randn(3, 12)
    observed = (torch.rand(3, 12) < 0.6).float()
    observed[2] = 0
    filled = fill_gaps(z * observed, observed, 3)
    assert torch.equal(filled[observed > 0], z[observed > 0])
    assert not filled[2].any()


def test_a_filled_window_looks_at_itself_alone():
    z, observed = torch.randn(4, 12), (torch.rand(4, 12) < 0.5).float()
    z = z * observed
    alone = torch.cat([fill_gaps(z[i : i + 1], observed[i : i + 1], 4) for i in range(4)])
    torch.testing.assert_close(fill_gaps(z, observed, 4), alone)
