"""What the measures share: masked means, ratios, shapes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import r2_score

__all__ = [
    "Axis",
    "Floats",
    "increasing",
    "mean_known",
    "mean_r2",
    "pair",
    "plain",
    "ratio",
    "scaled",
    "with_quantiles",
    "with_samples",
]

Axis = int | tuple[int, ...] | None
Floats = float | npt.NDArray[np.float64]


def pair(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both as float64; they must have one shape."""
    actual, forecast = np.asarray(actual, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if actual.shape != forecast.shape:
        raise ValueError(f"actual and forecast must have one shape, got {actual.shape} and {forecast.shape}.")
    return actual, forecast


def with_quantiles(
    actual: npt.ArrayLike, forecast: npt.ArrayLike, quantiles: Sequence[float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """All as float64, of shapes (...), (..., n_quantiles) and (n_quantiles,)."""
    actual, levels = np.asarray(actual, dtype=np.float64), np.asarray(quantiles, dtype=np.float64)
    forecast = np.asarray(forecast, dtype=np.float64)
    if forecast.shape != (*actual.shape, *levels.shape):
        raise ValueError(
            f"Quantile forecasts of shape {forecast.shape} do not fit actual of shape {actual.shape} "
            f"and {levels.size} quantiles: give one value a quantile along the last axis."
        )
    return actual, forecast, levels


def increasing(levels: npt.NDArray[np.float64], at_least: int = 1) -> npt.NDArray[np.float64]:
    """The levels, if they increase between 0 and 1."""
    if len(levels) < at_least or not (np.diff(levels, prepend=0.0, append=1.0) > 0).all():
        raise ValueError(
            f"quantiles must be at least {at_least} level(s) that increase between 0 and 1, got {levels.tolist()}."
        )
    return levels


def with_samples(
    actual: npt.ArrayLike, samples: npt.ArrayLike, *, at_least: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both as float64, of shapes (...) and (..., n_samples)."""
    actual, samples = np.asarray(actual, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    if samples.shape[:-1] != actual.shape or samples.ndim != actual.ndim + 1:
        raise ValueError(
            f"samples of shape {samples.shape} do not fit actual of shape {actual.shape}: give one value a sample "
            "along the last axis."
        )
    if samples.shape[-1] < at_least:
        raise ValueError(f"At least {at_least} sample(s) are needed, got {samples.shape[-1]}.")
    return actual, samples


def mean_known(loss: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], axis: Axis) -> Floats:
    """Mean of `loss` where `actual` is known."""
    known = ~np.isnan(actual)
    return plain(ratio(np.where(known, loss, 0.0).sum(axis=axis), known.sum(axis=axis), empty=np.nan))


def scaled(loss: Floats, scale: npt.ArrayLike) -> Floats:
    """The quotient, NaN where the scale is not positive."""
    scale = np.asarray(scale, dtype=np.float64)
    return plain(np.asarray(loss) / np.where(scale > 0, scale, np.nan))


def ratio(above: npt.NDArray, below: npt.NDArray, empty: float = 0.0) -> npt.NDArray[np.float64]:
    """The quotient, with 0 / 0 = `empty`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((above == 0) & (below == 0), empty, np.divide(above, below))


def plain(value: npt.ArrayLike) -> Floats:
    """A float for a single number, else the array."""
    value = np.asarray(value, dtype=np.float64)
    return value if value.ndim else float(value)


def mean_r2(actual: npt.NDArray, forecast: npt.NDArray, groups: npt.NDArray, weight: npt.NDArray) -> float:
    """Mean R² over series: columns, and groups of rows; NaN where none has two known rows."""
    scores = []
    for column in range(actual.shape[1]):
        for group in np.unique(groups):
            rows = (groups == group) & ~np.isnan(actual[:, column])
            if rows.sum() > 1:
                scores.append(r2_score(actual[rows, column], forecast[rows, column], sample_weight=weight[rows]))
    return float(np.mean(scores)) if scores else np.nan
