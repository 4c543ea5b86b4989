"""Regressors of a series: covariates without gaps and the Fourier terms of a long season."""

from dataclasses import dataclass

import numpy as np

from seqcast.baselines._arima import choose_differences
from seqcast.panel import Floats

__all__ = ["Regressors", "count_waves"]

_MOST_WAVES = 8


@dataclass(frozen=True)
class Regressors:
    """How the regressors of any step are made."""

    means: Floats  # (n_covariates,): stand in for unknown values
    period: float = 1.0
    n_waves: int = 0

    @classmethod
    def of(cls, covariates: Floats, period: float = 1.0, n_waves: int = 0) -> "Regressors":
        """Learn the means of the known covariates."""
        known = ~np.isnan(covariates)
        means = np.where(known, covariates, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return cls(means, period, n_waves)

    def table(self, covariates: Floats, n_steps: int) -> Floats:
        """Return the regressors of the first steps, (n_steps, n_covariates + 2 n_waves)."""
        padded = np.full((n_steps, len(self.means)), np.nan)
        padded[: len(covariates)] = covariates[:n_steps]
        return np.hstack([np.where(np.isnan(padded), self.means, padded), _waves(self.period, self.n_waves, n_steps)])


def count_waves(values: Floats, period: float) -> int:
    """Return the number of Fourier pairs of least AICc for the differenced values, 0 below two periods."""
    if len(values) < 2 * period:
        return 0
    d = choose_differences(values)
    target, waves = np.diff(values, n=d), np.diff(_waves(period, _MOST_WAVES, len(values)), n=d, axis=0)
    n = len(target)

    def score(n_waves: int) -> float:
        inputs = np.column_stack([np.ones(n), waves[:, : 2 * n_waves]])
        rest = target - inputs @ np.linalg.lstsq(inputs, target, rcond=None)[0]
        k = 2 * n_waves + 2
        return n * np.log(max(np.mean(rest**2), np.finfo(float).tiny)) + 2 * k * n / (n - k - 1)

    return min(range(_MOST_WAVES + 1), key=score)


def _waves(period: float, n_waves: int, n_steps: int) -> Floats:
    """Sine and cosine of each wave, (n_steps, 2 n_waves)."""
    angles = 2 * np.pi / period * np.outer(np.arange(n_steps), np.arange(1, n_waves + 1))  # (n_steps, n_waves)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(n_steps, -1)
