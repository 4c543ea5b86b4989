"""AutoARIMA, AutoETS and AutoTheta of the package statsforecast behind the contract of all forecasters."""

import importlib
import warnings
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri

from seqcast._parameters import parameters
from seqcast.baselines._values import is_constant, without_gaps
from seqcast.panel import Floats, Integers
from seqcast.series import Moments, SeriesForecaster, State

__all__ = ["AutoARIMA", "AutoETS", "AutoTheta"]

_FEWEST = 8  # known values below which these models fail or mean nothing
_LEVEL = 80.0  # interval from which the standard deviation is read


@parameters
class AutoForecaster(SeriesForecaster):
    """Forecaster by a model of statsforecast."""

    _model: ClassVar[str]  # its name there

    def _fit_series(self, values: Floats, features: Floats) -> State:
        """The fitted model as plain data, None where the last value is repeated."""
        model, known = _new(self._model, self.season_length_), without_gaps(values)
        state: State = {"mean": float(known.mean()), "spread": float(known.std()), "season_length": self.season_length_}
        state["sigma"] = float(np.sqrt(np.mean(np.diff(known) ** 2))) if len(known) > 1 else 0.0
        if (~np.isnan(values)).sum() < _FEWEST or is_constant(known):
            return {**state, "model": None}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                return {**state, "model": _plain(model.fit(known).model_)}
            except (TypeError, AttributeError, MemoryError):
                raise
            except Exception as error:  # statsforecast raises bare ones
                raise ValueError(f"statsforecast: {error}") from error

    def _moments_series(
        self, state: State, values: Floats, features: Floats, positions: Integers, horizon: int
    ) -> Moments:
        """Mean and standard deviation (n, horizon), one origin after the other."""
        model = _new(self._model, state["season_length"])
        model.model_ = state["model"]
        n_known = np.concatenate([[0], np.cumsum(~np.isnan(values))])[positions]
        mean, spread = np.empty((2, len(positions), horizon))
        for k, position in enumerate(positions):
            if n_known[k] == 0:
                mean[k], spread[k] = state["mean"], state["spread"]
                continue
            known = without_gaps(values[:position])
            mean[k], spread[k] = known[-1], state["sigma"] * np.sqrt(np.arange(1, horizon + 1))
            if state["model"] is not None and n_known[k] >= _FEWEST:
                mean[k], spread[k] = _apply(model, known, horizon, mean[k], spread[k])
        return mean, spread


@parameters
class AutoARIMA(AutoForecaster):
    """ARIMA with orders searched by statsforecast; covariates are not used.

    Notes
    -----
    Parameters stay as fitted: forecasts from other origins apply them to the values before. Gaps are filled by straight
    lines between known values. Origins with fewer than 8 known values, and constant series, repeat the last value.
    Needs ``pip install "seqcast[statsforecast]"``.
    """

    _model = "AutoARIMA"


@parameters
class AutoETS(AutoForecaster):
    """Exponential smoothing with the form chosen by statsforecast; see ``AutoARIMA`` for gaps and short histories."""

    _model = "AutoETS"


@parameters
class AutoTheta(AutoForecaster):
    """Theta model of the variant chosen by statsforecast; see ``AutoARIMA`` for gaps and short histories."""

    _model = "AutoTheta"


def _new(name: str, season_length: int) -> Any:
    try:
        models = importlib.import_module("statsforecast.models")
    except ImportError as error:
        raise ImportError(f'{name} needs statsforecast: pip install "seqcast[statsforecast]".') from error
    return getattr(models, name)(season_length=season_length)


def _plain(value: Any) -> Any:
    """Fitted dicts with None for the optimiser's records, which are never read, and numbers as Python's."""
    if isinstance(value, dict):
        return {key: None if hasattr(item, "_fields") else _plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _apply(model: Any, known: Floats, horizon: int, mean: Floats, spread: Floats) -> Moments:
    """Moments (horizon,) of the model over these values, or the given ones where it has too few of them."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = model.forward(known, h=horizon, level=[_LEVEL])
        except (ValueError, IndexError):  # too few values for the orders
            return mean, spread
    low, high = (np.asarray(found[f"{side}-{_LEVEL}"], dtype=np.float64) for side in ("lo", "hi"))
    found_mean, found_spread = np.asarray(found["mean"], dtype=np.float64), (high - low) / (2 * ndtri(0.9))
    is_sound = np.isfinite(found_mean) & np.isfinite(found_spread)
    return np.where(is_sound, found_mean, mean), np.where(is_sound, found_spread, spread)
