"""Forecasts from many origins beside their truth, laid out as chains of origins a stride apart."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from seqcast.ensembles._conformal import local_scales
from seqcast.panel import Floats, Integers, Panel

__all__ = ["Chain", "Rows", "lags_of", "latest_asked", "make_chain", "usual_errors"]


LEAST = 0.1  # of the usual errors, in local ones: while nothing moves, nothing is sure


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

    def errors(self, actual: Floats) -> Floats:
        """Errors (n, horizon) in widths."""
        error = actual - self.forecast
        return error / np.where(error < 0, self.width[..., 0], self.width[..., 1])


class Chain(NamedTuple):
    """Origins a stride apart as dense arrays; the last one is the latest that is asked for."""

    scores: Floats  # (n_series, n_origins, horizon)
    scale: Floats  # (n_series, n_origins, horizon)
    loss: Floats  # (n_origins,): how ill the scales foretold the errors


def lags_of(horizon: int, stride: int) -> Integers:
    """Origins of a chain until each step is known."""
    return -(-np.arange(1, horizon + 1) // stride)


def usual_errors(rows: Rows, actual: Floats, unit: Floats) -> Floats:
    """Mean absolute error (horizon,) by step, in units (n_series,) of the series; 1 where it is unknown or 0.

    It is what is known of a step before its first error: units alone are of another size than errors are, so that
    scores would change as errors arrive. An error counts ten times the median one of its series at most, and a series
    three times the median of all.
    """
    error = np.abs(rows.errors(actual)) / unit[rows.code, None]
    order = np.argsort(rows.code, kind="stable")
    parts = np.split(error[order], np.flatnonzero(np.diff(rows.code[order])) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of steps without an error
        means = np.array([np.nanmean(np.minimum(e, 10 * np.nanmedian(e, axis=0)), axis=0) for e in parts])
        usual = np.nanmean(np.minimum(means, 3 * np.nanmedian(means, axis=0)), axis=0)
    return np.where(usual > 0, usual, 1.0)


def make_chain(rows: Rows, actual: Floats, stride: int, last: int, half_life: float, prior: Floats) -> Chain:
    """Scores and local scales of the origins before `last`, `stride` apart."""
    mine = (rows.step <= last) & ((last - rows.step) % stride == 0)
    rows = rows.taken(mine)
    code, step = rows.code, rows.step
    begin = int(step.min()) if len(step) else last
    index = (step - begin) // stride
    shape = (len(prior), (last - begin) // stride + 1, rows.forecast.shape[1])
    error, size = np.full(shape, np.nan), np.ones(shape)
    error[code, index] = rows.errors(actual[mine])
    size[code, index] = rows.width.mean(axis=-1)
    scale = np.maximum(local_scales(error, lags_of(shape[2], stride), half_life, prior), LEAST * prior[:, None])
    score = error / scale
    loss = np.log(scale * size) + np.abs(score)
    known = ~np.isnan(loss)
    count = known.sum(axis=(0, 2))
    mean = np.where(known, loss, 0.0).sum(axis=(0, 2)) / np.maximum(count, 1)
    return Chain(score, scale, np.where(count > 0, mean, np.nan))


def latest_asked(panel: Panel, series: Integers, positions: Integers) -> Integers:
    """Return the last position that is asked for of each series, 0 where none is."""
    asked = np.zeros(panel.n_series, np.int64)
    np.maximum.at(asked, series, positions)
    return asked
