"""Forecasts from many origins beside their truth, laid out as chains of origins a stride apart."""

from typing import Any, NamedTuple

import numpy as np

from seqcast.ensembles._conformal import local_scales
from seqcast.panel import Floats, Integers

__all__ = ["Chain", "Rows", "lags_of", "make_chain"]


class Rows(NamedTuple):
    """Forecasts of origins, one a row, beside the truth as far as it is known."""

    code: Integers  # (n,) number of the series
    step: Integers  # (n,) grid step of the first step ahead
    forecast: Floats  # (n, horizon)
    width: Floats  # (n, horizon or 1, 2): what a score counts below and above the forecast, before the local scale

    def joined(self, other: "Rows") -> "Rows":
        """Return these rows and then the others."""
        parts: Any = (np.concatenate(pair) for pair in zip(self, other, strict=True))
        return Rows(*parts)

    def taken(self, which: Any) -> "Rows":
        """Return some of the rows."""
        return Rows(*(part[which] for part in self))


class Chain(NamedTuple):
    """Origins a stride apart as dense arrays; the last one is the latest that is asked for."""

    scores: Floats  # (n_series, n_origins, horizon)
    scale: Floats  # (n_series, n_origins, horizon)
    loss: Floats  # (n_origins,): how ill the scales foretold the errors


def lags_of(horizon: int, stride: int) -> Integers:
    """Origins of a chain until each step is known."""
    return -(-np.arange(1, horizon + 1) // stride)


def make_chain(rows: Rows, actual: Floats, stride: int, last: int, half_life: float, prior: Floats) -> Chain:
    """Scores and local scales of the origins before `last`, `stride` apart."""
    mine = (rows.step <= last) & ((last - rows.step) % stride == 0)
    code, step, forecast, width = rows.taken(mine)
    begin = int(step.min()) if len(step) else last
    index = (step - begin) // stride
    shape = (len(prior), (last - begin) // stride + 1, forecast.shape[1])
    error, size = np.full(shape, np.nan), np.ones(shape)
    error[code, index] = actual[mine] - forecast
    error[code, index] /= np.where(error[code, index] < 0, width[..., 0], width[..., 1])
    size[code, index] = width.mean(axis=-1)
    scale = local_scales(error, lags_of(shape[2], stride), half_life, prior)
    score = error / scale
    loss = np.log(scale * size) + np.abs(score)
    known = ~np.isnan(loss)
    count = known.sum(axis=(0, 2))
    mean = np.where(known, loss, 0.0).sum(axis=(0, 2)) / np.maximum(count, 1)
    return Chain(score, scale, np.where(count > 0, mean, np.nan))
