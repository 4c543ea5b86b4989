import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone

import seqcast
from seqcast import GRUForecaster, LSTMForecaster, RidgeForecaster, RNNForecaster, TransformerForecaster
from seqcast.networks.distributions import DISTRIBUTIONS
from seqcast.networks.heads import DistributionHead, Head, QuantileHead
from seqcast.rolling import answer

NETWORKS = [RNNForecaster, LSTMForecaster, GRUForecaster, TransformerForecaster]
TINY = {"hidden_size": 8, "max_steps": 20, "n_members": 1, "lookback": 12, "random_state": 0}
PARAMETERS = {
    "normal": (1.5, 0.7),
    "student_t": (1.5, 0.7, 5.0),
    "negative_binomial": (3.0, 0.4),
}


def noise(n=300, count=False):
    random = np.random.default_rng(0)
    season = 2 + np.sin(2 * np.pi * np.arange(n) / 12)
    values = random.poisson(season).astype(float) if count else season + 0.3 * random.standard_t(5, n)
    return pd.Series(values, index=pd.date_range("2024-01-01", periods=n, freq="D"), name="y")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_loss_is_the_negative_log_likelihood_of_scipy(name):
    family, parameters = DISTRIBUTIONS[name], np.array(PARAMETERS[name])
    values = np.array([0.0, 1.0, 2.0, 7.0])
    frozen = family.frozen(np.broadcast_to(parameters, (4, len(parameters))))
    expected = -(frozen.logpmf(values) if family.is_count else frozen.logpdf(values))
    if family.is_count:
        parameters[0] -= 0.01 / (
            4 * parameters[0]
        )  # the first one is free: where (x + sqrt(x² + 0.01)) / 2 is the mean
    given = torch.tensor(parameters, dtype=torch.float32).expand(4, -1)
    assert_allclose(family.loss(given, torch.tensor(values, dtype=torch.float32)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_parameters_are_in_their_range_for_any_output(name):
    raw = torch.linspace(-50, 50, 30).view(-1, 1).expand(-1, len(PARAMETERS[name]))
    found = DISTRIBUTIONS[name].parameters(raw)
    assert torch.isfinite(found).all()
    assert (found[:, 1:] > 0).all()


def test_negative_binomial_has_the_mean_and_variance_that_it_names():
    frozen = DISTRIBUTIONS["negative_binomial"].frozen(np.array([[3.0, 0.4]]))
    assert_allclose([frozen.mean()[0], frozen.var()[0]], [3.0, 3.0 + 0.4 * 9.0])


def test_widening_moves_quantiles_away_from_the_middle_and_scales_scale():
    head = Head(4, 2, 0, patch_length=2, n_outputs=3)
    outputs = torch.tensor([[[1.0, 2.0, 4.0]]])
    assert QuantileHead(head, 1).widened(outputs, 2.0).tolist() == [[[0.0, 2.0, 6.0]]]
    family = DISTRIBUTIONS["student_t"]
    assert DistributionHead(head, family).widened(outputs, 2.0).tolist() == [[[1.0, 4.0, 4.0]]]


@pytest.mark.parametrize("loss", DISTRIBUTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_gives_every_distribution(network, loss, tmp_path):
    family = DISTRIBUTIONS[loss]
    y = noise(count=family.is_count)
    model = network(horizon=3, loss=loss, **TINY).fit(y)
    parameters = model.distribution()
    assert parameters.columns.tolist() == list(family.names)
    assert_array_equal(parameters.index, model.forecast().index)
    quantiles = model.forecast(quantiles=[0.1, 0.5, 0.9])
    if model.target_transform_ in ("none", "count"):
        assert_allclose(quantiles, family.quantiles(parameters.to_numpy(), np.array([0.1, 0.5, 0.9])), rtol=1e-6)
    assert_array_equal(model.forecast(), quantiles[0.5])
    model.save(tmp_path / "model")
    assert_array_equal(seqcast.load(tmp_path / "model").forecast(), model.forecast())


@pytest.mark.parametrize("transform", ["none", "log", "asinh"])
def test_log_likelihood_is_that_of_the_target_in_its_own_unit(transform):
    y = noise() + 3
    model = GRUForecaster(horizon=4, loss="normal", target_transform=transform, **TINY).fit(y[:-4])
    new, step = y[-4:], 1e-4
    levels = np.linspace(0.001, 0.999, 1999)
    quantiles = model.forecast(quantiles=levels).to_numpy()  # (4, n_levels)
    density = [
        np.diff(np.interp([v - step, v + step], q, levels))[0] / (2 * step) for v, q in zip(new, quantiles, strict=True)
    ]
    assert_allclose(model.log_likelihood(new), np.log(density).mean(), atol=0.05)


def test_log_likelihood_leaves_missing_values_out_and_ranks_the_truth_above_a_shift():
    y = noise()
    model = GRUForecaster(horizon=3, loss="student_t", **TINY).fit(y[:-3])
    gap = y[-3:].where([True, False, True])
    assert np.isfinite(model.log_likelihood(gap))
    assert model.log_likelihood(y[-3:]) > model.log_likelihood(y[-3:] + 5)


def test_members_share_one_transform_so_that_their_parameters_can_be_averaged():
    y = noise() + 5
    model = GRUForecaster(horizon=3, loss="normal", **{**TINY, "n_members": 3}).fit(y)
    assert len({member.choice.target_transform for member in model.members_}) == 1
    parts = [m.model.parameters(model.panel_, np.zeros(1, int), model.panel_.lengths)[0] for m in model.members_]
    assert_allclose(model.distribution(), np.mean(parts, axis=0))


def test_the_spread_of_a_distribution_is_that_of_the_noise():
    model = GRUForecaster(horizon=2, loss="normal", random_state=0, n_members=1, target_transform="none")
    made = [pd.Series(np.random.default_rng(seed).normal(10, 2, 800)) for seed in range(3)]
    scales = [model.fit(y).distribution()["scale"] for y in made]
    assert_allclose(np.mean(scales, axis=0), 2.0, rtol=0.15)


@pytest.mark.parametrize("bad", [-1.0, 0.5])
def test_counts_are_asked_for_where_the_loss_needs_them(bad):
    y = noise(count=True)
    y.iloc[7] = bad
    with pytest.raises(ValueError, match=r"needs counts.*series 'y' at 2024-01-08"):
        GRUForecaster(loss="negative_binomial", **TINY).fit(y)
    with pytest.raises(ValueError, match="target_transform"):
        GRUForecaster(loss="negative_binomial", target_transform="log", **TINY).fit(noise(count=True))


@pytest.mark.parametrize("rate", [0.1, 5.0])
def test_a_distribution_of_counts_fits_rare_and_usual_ones_and_answers_with_counts(rate):
    y = pd.Series(np.random.default_rng(0).poisson(rate, 600), pd.date_range("2022", periods=600))
    model = GRUForecaster(horizon=3, loss="negative_binomial", n_members=2, max_steps=200, random_state=0).fit(y)
    mean = model.distribution()["mean"]
    assert_allclose(mean, y.mean(), rtol=0.1, atol=0.06)
    quantiles = model.forecast(quantiles=[0.5, 0.9, 0.99])
    assert_allclose(quantiles.to_numpy()[0], stats.poisson(rate).ppf([0.5, 0.9, 0.99]), atol=1)
    assert_allclose(model.forecast(), quantiles[0.5])
    for strategy in ("direct", "recursive"):
        paths = model.sample(500, random_state=0, strategy=strategy).to_numpy()
        assert (paths == np.rint(paths)).all()
        assert (paths >= 0).all()
    assert_allclose(paths.mean(), mean.mean(), rtol=0.15, atol=0.03)


def test_log_likelihood_is_one_of_what_came_after():
    model = GRUForecaster(horizon=3, loss="negative_binomial", **TINY).fit(noise(count=True)[:-3])
    assert np.isfinite(model.log_likelihood(noise(count=True)[-3:]))
    with pytest.raises(ValueError, match="do not follow the history"):
        model.log_likelihood(noise(count=True)[-6:-3])
    with pytest.raises(ValueError, match="needs counts"):
        model.log_likelihood(-noise(count=True)[-3:])
    with pytest.raises(ValueError, match="gives no distribution"):
        GRUForecaster(horizon=3, **TINY).fit(noise()).log_likelihood(noise()[-3:])


def test_a_loss_without_distribution_says_so():
    model = GRUForecaster(horizon=2, **TINY).fit(noise())
    with pytest.raises(ValueError, match="gives no distribution"):
        model.distribution()


def test_a_longer_horizon_than_fitted_has_no_distribution():
    model = GRUForecaster(horizon=2, loss="normal", **TINY).fit(noise())
    with pytest.raises(ValueError, match="lies outside 1 to 2"):
        model.distribution(3)


def test_quantiles_of_student_t_are_those_of_scipy():
    found = DISTRIBUTIONS["student_t"].quantiles(np.array([[1.0, 2.0, 5.0]]), np.array([0.1, 0.9]))
    assert_allclose(found[0], stats.t(5, 1, 2).ppf([0.1, 0.9]))


WIDTHS = {
    "ridge": RidgeForecaster(horizon=1, lookback=30, normalization="last", target_transform="none"),
    "quantile": GRUForecaster(
        horizon=1,
        lookback=30,
        normalization="last",
        target_transform="none",
        max_steps=300,
        n_members=1,
        random_state=0,
    ),
}
WIDTHS["mae"] = clone(WIDTHS["quantile"]).set_params(loss="mae")
WIDTHS["student_t"] = clone(WIDTHS["quantile"]).set_params(loss="student_t")


@pytest.mark.parametrize("kind", WIDTHS)
def test_intervals_are_as_wide_as_errors_are_large_not_as_the_window(kind):
    """Errors of a random walk are alike, however far it went in the window; in calm and in wild times they are not."""
    random = np.random.default_rng(0)
    noise = random.standard_normal(3000)
    index = pd.date_range("2020-01-01", periods=3000, freq="D")
    walk = pd.Series(noise.cumsum(), index=index)
    turns = pd.Series((noise * np.where(np.arange(3000) // 150 % 2, 5.0, 1.0)).cumsum(), index=index)
    narrow, wide = np.quantile(_widths(kind, walk), [0.1, 0.9])
    assert wide < 2.3 * narrow
    wide = _widths(kind, turns)
    is_wild = (3000 - len(wide) + np.arange(len(wide))) // 150 % 2 == 1
    assert np.median(wide[is_wild]) > 2 * np.median(wide[~is_wild])


def test_a_short_calm_tail_does_not_make_intervals_narrow():
    y = noise(300)
    y.iloc[-60:] = y.iloc[-60:].mean() + 0.1 * (y.iloc[-60:] - y.iloc[-60:].mean())
    for loss in ("quantile", "student_t"):
        model = GRUForecaster(horizon=1, loss=loss, **TINY).fit(y)
        assert all(float(member.model.network.width) >= 0.99 for member in model.members_)


@pytest.mark.parametrize("kind", ["ridge", "quantile"])
def test_intervals_of_a_series_that_was_not_in_fit_go_by_its_own_window(kind):
    random = np.random.default_rng(0)
    index = pd.date_range("2020-01-01", periods=1000, freq="D")
    model = clone(WIDTHS[kind]).fit(pd.Series(random.standard_normal(1000).cumsum(), index=index, name="old"))
    walks = [pd.Series(random.standard_normal(1000).cumsum(), index=index, name=f"new {k}") for k in range(80)]
    found = pd.concat([model.forecast(history=walk.iloc[:-1], interval=0.8) for walk in walks])
    actual = np.array([walk.iloc[-1] for walk in walks])
    assert ((found["lower"] <= actual) & (actual <= found["upper"])).mean() > 0.65


def _widths(kind, y):
    model = clone(WIDTHS[kind]).fit(y)
    series, positions = np.zeros(600, int), len(y) - 600 + np.arange(600)
    low, high = answer(model, model.panel_, series, positions, 1, [0.1, 0.9])[:, 0].T
    return high - low
