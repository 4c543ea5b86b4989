"""What the measures share: masked means, ratios, shapes."""

import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "Floats", "mean_known", "pair", "plain", "ratio", "scaled"]

Axis = int | tuple[int, ...] | None
Floats = float | npt.NDArray[np.float64]


def pair(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both as float64; they must have one shape."""
    actual, forecast = np.asarray(actual, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if actual.shape != forecast.shape:
        raise ValueError(f"actual and forecast must have one shape, got {actual.shape} and {forecast.shape}.")
    return actual, forecast


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
