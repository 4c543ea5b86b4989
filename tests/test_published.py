"""Published numbers of simple forecasts, from the public files: the metrics and protocols are those of others."""

import os
from pathlib import Path

import numpy as np
import pytest
from statsmodels.tsa.seasonal import seasonal_decompose
from statsmodels.tsa.stattools import acf

import seqcast
from seqcast.datasets import load_dataset
from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.metrics import mae, mase, mse, scaled_quantile_loss, seasonal_scale, smape


def needs(name):
    folder = os.environ.get("SEQCAST_DATA")
    return pytest.mark.skipif(
        not folder or not (Path(folder) / name).exists(), reason=f"{name} is in no folder named by SEQCAST_DATA"
    )


@pytest.fixture(scope="module")
def m4_hourly():
    """Train and test values of each series."""
    panel = load_dataset("m4_hourly")
    parts = [part.to_numpy() for _, part in panel.groupby(level=0, sort=False)]
    return [(part[:-48], part[-48:]) for part in parts]


def m4_scores(data, forecast_of):
    """Mean sMAPE, mean MASE and OWA."""
    scores = []
    for train, test in data:
        forecast = forecast_of(train)
        scores.append((smape(test, forecast), mase(test, forecast, scale=seasonal_scale(train, 24))))
    percent, scaled = np.mean(scores, axis=0)
    return percent, scaled, (percent / 18.383 + scaled / 2.395) / 2


def naive2(train):
    """M4's benchmark: last value of the seasonally adjusted series, where its test finds a season."""
    n, r = len(train), acf(train, nlags=24, fft=False)[1:]
    limit = 1.645 * np.sqrt((1 + 2 * (r[:-1] ** 2).sum()) / n)
    if abs(r[-1]) <= limit:
        return np.full(48, train[-1])
    seasonal = seasonal_decompose(train, model="multiplicative", period=24).seasonal
    return train[-1] / seasonal[-1] * np.tile(seasonal[-24:], 2)


@needs("M4-Hourly-train.csv")
def test_naive2_of_the_m4_competition(m4_hourly):
    percent, scaled, owa = m4_scores(m4_hourly, naive2)
    assert (round(percent, 3), round(scaled, 3), round(owa, 3)) == (18.383, 2.395, 1.0)


@needs("M4-Hourly-train.csv")
def test_seasonal_naive_of_the_m4_competition(m4_hourly):
    owa = m4_scores(m4_hourly, lambda train: np.tile(train[-24:], 2))[2]
    assert round(owa, 3) == 0.628


@needs("exchange_rate.txt.gz")
def test_last_value_of_the_exchange_rates():
    frame = load_dataset("exchange_rate")
    n, horizon = len(frame), 96
    train = frame.iloc[: int(0.7 * n)]
    frame = (frame - train.mean()) / train.std(ddof=0)
    n_origins = n - int(0.8 * n) - horizon + 1
    cv = RollingOriginSplit(horizon, n_origins=n_origins, step=1)
    forecasts = backtest(seqcast.Naive(horizon=horizon), frame, cv=cv).forecasts
    assert round(mse(forecasts["actual"], forecasts["forecast"]), 3) == 0.081
    assert round(mae(forecasts["actual"], forecasts["forecast"]), 3) == 0.196


DECILES = [k / 10 for k in range(1, 10)]
GASES = ["CO(GT)", "NOx(GT)", "C6H6(GT)", "NO2(GT)"]


@pytest.mark.parametrize(
    ("name", "targets", "horizon", "published"),
    [
        pytest.param("epf_np", ["OT"], 24, (1.761, 1.530), marks=needs("EPF-NP.csv")),
        pytest.param("epf_de", ["OT"], 24, (1.709, 1.388), marks=needs("EPF-DE.csv")),
        pytest.param("air_quality", GASES, 168, (1.442, 1.384), marks=needs("AirQuality.csv")),
    ],
)
def test_seasonal_naive_of_fev_bench(name, targets, horizon, published):
    """Fitted in each of 20 windows on the last 1,000 values, gaps filled with the last value; scored with the gaps."""
    frame = load_dataset(name).asfreq("h")[targets]
    filled = frame.ffill().fillna(0.0)
    scores = []
    for stop in range(len(frame) - 20 * horizon, len(frame), horizon):
        past, actual = frame.iloc[:stop], frame.iloc[stop : stop + horizon]
        fitted = seqcast.SeasonalNaive(horizon=horizon, season_length=24).fit(filled.iloc[stop - 1000 : stop])
        point, spread = fitted.forecast(), fitted.forecast(quantiles=DECILES)
        for target in targets:
            scale = seasonal_scale(past[target], 24)
            loss = scaled_quantile_loss(actual[target], spread[target], quantiles=DECILES, scale=scale)
            scores.append((mase(actual[target], point[target], scale=scale), loss))
    found = np.nanmean(scores, axis=0)
    assert tuple(found.round(3)) == published
