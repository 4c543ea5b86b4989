"""Each metric against a slow second implementation in plain loops, and worked values."""

import math
from functools import partial

import numpy as np
import pytest

from seqcast import metrics

NAN = float("nan")
QUANTILES = (0.1, 0.5, 0.9)


def slow_mean(losses):
    losses = [loss for loss in losses if loss is not None]
    return sum(losses) / len(losses) if losses else NAN


def per_step(loss):
    """Return a slow metric: the mean of loss(y, f) over the known steps of one window."""
    return lambda actual, forecast: slow_mean(
        None if math.isnan(y) else loss(y, f) for y, f in zip(actual, forecast, strict=True)
    )


def slow_pinball(y, forecasts):
    return slow_mean(q * (y - f) if y >= f else (1 - q) * (f - y) for q, f in zip(QUANTILES, forecasts, strict=True))


def slow_smape(y, f):
    return 0.0 if y == f == 0 else 200 * abs(y - f) / (abs(y) + abs(f))


POINT = {
    "mae": (metrics.mae, per_step(lambda y, f: abs(y - f))),
    "mse": (metrics.mse, per_step(lambda y, f: (y - f) ** 2)),
    "rmse": (metrics.rmse, lambda a, f: math.sqrt(per_step(lambda y, g: (y - g) ** 2)(a, f))),
    "bias": (metrics.bias, per_step(lambda y, f: f - y)),
    "mape": (metrics.mape, per_step(lambda y, f: 100 * abs(y - f) / abs(y))),
    "smape": (metrics.smape, per_step(slow_smape)),
    "mase": (partial(metrics.mase, scale=2.0), per_step(lambda y, f: abs(y - f) / 2)),
    "rmsse": (partial(metrics.rmsse, scale=2.0), lambda a, f: math.sqrt(per_step(lambda y, g: (y - g) ** 2 / 4)(a, f))),
    "coverage": (
        lambda a, f, axis: metrics.coverage(a, lower=f - 1, upper=f + 1, axis=axis),
        per_step(lambda y, f: float(f - 1 <= y <= f + 1)),
    ),
    "interval_score": (
        lambda a, f, axis: metrics.interval_score(a, lower=f - 1, upper=f + 1, level=0.8, axis=axis),
        per_step(lambda y, f: 2 + 10 * max(f - 1 - y, 0) + 10 * max(y - f - 1, 0)),
    ),
}


@pytest.fixture
def windows():
    rng = np.random.default_rng(0)
    actual, forecast = rng.normal(5, 2, (3, 4, 6)), rng.normal(5, 2, (3, 4, 6))
    actual[rng.random(actual.shape) < 0.2] = NAN
    actual[0, 0], forecast[0, 0, 0] = NAN, NAN  # a window without any truth
    return actual, forecast


@pytest.mark.parametrize("name", POINT)
def test_metric_equals_its_loop(name, windows):
    fast, slow = POINT[name]
    actual, forecast = windows
    expected = [[slow(a, f) for a, f in zip(aa, ff, strict=True)] for aa, ff in zip(*windows, strict=True)]
    np.testing.assert_allclose(fast(actual, forecast, axis=-1), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["pinball", "scaled_quantile_loss", "weighted_quantile_loss"])
def test_quantile_metric_equals_its_loop(name, windows):
    actual, forecast = windows
    forecasts = np.stack([forecast - 1, forecast, forecast + 2], axis=-1)
    options = {"scale": np.full((3, 4), 4.0)} if name == "scaled_quantile_loss" else {}
    fast = getattr(metrics, name)(actual, forecasts, quantiles=QUANTILES, axis=-1, **options)
    for i, j in np.ndindex(3, 4):
        loss = per_step(slow_pinball)(actual[i, j], forecasts[i, j])
        size = slow_mean(None if math.isnan(y) else abs(y) for y in actual[i, j])
        expected = {"pinball": loss, "scaled_quantile_loss": 2 * loss / 4, "weighted_quantile_loss": 2 * loss / size}[
            name
        ]
        np.testing.assert_allclose(fast[i, j], expected, rtol=1e-12)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("season_length", [1, 3, 40])
def test_seasonal_scale_equals_its_loop(season_length, squared):
    rng = np.random.default_rng(1)
    history = rng.normal(size=(2, 20))
    history[:, [4, 11]] = NAN
    for row, scale in zip(history, metrics.seasonal_scale(history, season_length, squared=squared), strict=True):
        lag = season_length if season_length < 20 else 1  # too short for one season: scaled by single steps
        steps = [abs(row[t] - row[t - lag]) ** (2 if squared else 1) for t in range(lag, 20)]
        mean = slow_mean(None if math.isnan(s) else s for s in steps)
        assert scale == pytest.approx(math.sqrt(mean) if squared else mean)


def test_m4_measures_worked_by_hand():
    scale = metrics.seasonal_scale([1.0, 5.0, 2.0, 7.0, 4.0], 2)  # |2-1|, |7-5|, |4-2|
    assert scale == pytest.approx(5 / 3)
    assert metrics.mase([9.0, 6.0], [7.0, 4.0], scale=scale) == pytest.approx(2 / (5 / 3))
    assert metrics.smape([100.0], [300.0]) == 100.0


def test_scaled_quantile_loss_of_the_median_is_mase():
    rng = np.random.default_rng(2)
    actual, forecast = rng.normal(size=10), rng.normal(size=10)
    loss = metrics.scaled_quantile_loss(actual, forecast[:, None], quantiles=[0.5], scale=0.7)
    assert loss == pytest.approx(metrics.mase(actual, forecast, scale=0.7))


def test_pinball_is_least_at_the_true_quantile():
    actual = np.random.default_rng(3).normal(size=4000)
    losses = [metrics.pinball(actual, np.full((4000, 1), f), quantiles=[0.9]) for f in (1.0, 1.2816, 1.6)]
    assert losses[1] == min(losses)


@pytest.mark.parametrize("name", ["mae", "rmse", "bias", "smape"])
def test_missing_forecast_of_known_truth_is_not_hidden(name):
    assert math.isnan(getattr(metrics, name)([1.0, 2.0], [1.0, NAN]))


def test_missing_interval_of_known_truth_is_not_hidden():
    assert math.isnan(metrics.coverage([1.0], lower=[0.0], upper=[NAN]))


def test_constant_history_gives_no_scaled_error():
    assert math.isnan(metrics.mase([1.0], [2.0], scale=metrics.seasonal_scale([3.0, 3.0, 3.0])))
    assert math.isnan(metrics.seasonal_scale([3.0]))


def test_percentage_errors_at_zero():
    assert metrics.mape([0.0, 1.0], [0.0, 2.0]) == 50.0
    assert math.isinf(metrics.mape([0.0], [1.0]))
    assert metrics.smape([0.0], [1.0]) == 200.0


def test_shapes_that_do_not_fit_raise():
    with pytest.raises(ValueError, match="one shape"):
        metrics.mae([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="2 quantiles"):
        metrics.pinball([1.0], [[1.0]], quantiles=[0.1, 0.9])
