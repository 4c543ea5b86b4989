"""Scores for scikit-learn's `scoring=` that mask missing values and average over series."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqcast import metrics
from seqcast.evaluation.pipelines import final_forecaster, transformed
from seqcast.frames import in_order_of, read_target, shared_index
from seqcast.times import season_length_of

__all__ = ["scorer"]

Floats = NDArray[np.float64]

_POINT = ("mae", "mse", "rmse", "mape", "smape", "mase", "rmsse")
_QUANTILE = ("pinball", "crps_quantiles", "scaled_quantile_loss", "weighted_quantile_loss")
_SCALED = ("mase", "rmsse", "scaled_quantile_loss")


def scorer(
    metric: str, *, quantiles: tuple[float, ...] = (0.1, 0.5, 0.9), season_length: int | str = "auto"
) -> "Scorer":
    """Return a callable for ``scoring=`` in searches, `cross_val_score` and `learning_curve`.

    The metric is computed for each series over the steps whose truth is known, averaged over the series, and negated,
    since scikit-learn takes greater for better. scikit-learn's own scorers refuse NaN, or give NaN, and with NaN a
    search takes its first candidate in silence.

    Parameters
    ----------
    metric : str
        A name in `seqcast.metrics`: "mae", "mse", "rmse", "mape", "smape", "mase", "rmsse", "pinball",
        "crps_quantiles", "scaled_quantile_loss" or "weighted_quantile_loss".
    quantiles : tuple of float, default=(0.1, 0.5, 0.9)
        Levels asked of the forecaster by the last four; increasing for the CRPS.
    season_length : int or "auto", default="auto"
        Season of the scaled metrics; "auto" takes it from the frequency, never from a parameter of the forecaster, so
        that candidates of a search are measured in one unit.

    Returns
    -------
    Scorer
        Called as ``(estimator, X, y)``; can be pickled.

    Raises
    ------
    ValueError
        For an unknown metric; from the call, if no value of `y` is known or the forecast is NaN where it is.
    TypeError
        From the call, if the metric needs quantiles or training values and the estimator gives none.

    Notes
    -----
    The scaled metrics take their scale, `seqcast.metrics.seasonal_scale`, from the training values that the forecaster
    keeps; so the estimator must be a forecaster, or a Pipeline or search that ends in one. Series without a scale
    (constant in training) are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> model = DummyRegressor().fit([[0], [0]], [1.0, 3.0])
    >>> scorer("mae")(model, [[0], [0]], np.array([4.0, np.nan]))
    -2.0
    """
    if metric not in _POINT + _QUANTILE:
        raise ValueError(f"metric must be one of {', '.join(_POINT + _QUANTILE)}, got {metric!r}.")
    return Scorer(metric, tuple(quantiles), season_length)


@dataclass(frozen=True)
class Scorer:
    """A negated metric, called as ``(estimator, X, y)``; made by `scorer`."""

    metric: str
    quantiles: tuple[float, ...]
    season_length: int | str

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the mean over series of minus the metric."""
        _, actual, index = read_target(y)
        index = shared_index(X, index)
        if not np.isfinite(actual).any():
            raise ValueError("No value of y is known in the rows to score. Leave this fold out, or take longer ones.")
        found = self._forecast(estimator, X)
        y = in_order_of(found, y)
        actual = read_target(y)[1]
        forecast = _finite(np.asarray(found, dtype=np.float64), estimator)
        forecast = forecast.reshape(*actual.shape, *([-1] if self.metric in _QUANTILE else []))
        losses = []
        for label, rows, column in _series_of(y, index, actual):
            truth = actual[rows, column]
            if not np.isnan(truth).all():
                losses.append(self._loss(truth, forecast[rows, column], estimator, label))
        if np.isnan(losses).all():
            raise ValueError(
                f"{self.metric} has no scale: every series is constant in training. Score by 'mae' instead."
            )
        return -float(np.nanmean(losses))

    def _forecast(self, estimator: Any, X: Any) -> Any:
        """Forecasts, or their quantiles, as the estimator gives them."""
        if self.metric in _POINT:
            return estimator.predict(X)
        transformers, forecaster = final_forecaster(estimator)
        if forecaster is None:
            raise TypeError(
                f"{self.metric} needs quantiles, which {type(estimator).__name__} does not give. Use 'mae'."
            )
        return forecaster.predict(transformed(transformers, X), quantiles=list(self.quantiles))

    def _loss(self, actual: Floats, forecast: Floats, estimator: Any, label: Any) -> float:
        options: dict[str, Any] = {"quantiles": self.quantiles} if self.metric in _QUANTILE else {}
        if self.metric in _SCALED:
            options["scale"] = self._scale(estimator, label)
        return getattr(metrics, self.metric)(actual, forecast, **options)

    def _scale(self, estimator: Any, label: Any) -> float:
        _, forecaster = final_forecaster(estimator)
        if forecaster is None:
            raise TypeError(
                f"{self.metric} needs training values for its scale, and {type(estimator).__name__} keeps none. "
                "Use 'mae', or a forecaster as the last step."
            )
        panel = forecaster.panel_
        history = panel.values[panel.series(panel.ids.index(label) if len(panel.ids) > 1 else 0)]
        season = season_length_of(panel.axis.freq) if self.season_length == "auto" else int(self.season_length)
        return float(metrics.seasonal_scale(history, season, squared=self.metric == "rmsse"))


def _series_of(y: Any, index: pd.Index | None, actual: Floats) -> list[tuple[Any, Any, int]]:
    """Label, rows and column of each series."""
    if isinstance(index, pd.MultiIndex):
        codes, labels = pd.factorize(index.get_level_values(0))
        return [(label, codes == k, 0) for k, label in enumerate(labels)]
    labels = y.columns if isinstance(y, pd.DataFrame) else range(actual.shape[1])
    return [(label, slice(None), column) for column, label in enumerate(labels)]


def _finite(forecast: Floats, estimator: Any) -> Floats:
    if not np.isfinite(forecast).all():
        raise ValueError(f"{type(estimator).__name__} gave NaN or infinite forecasts: no score can be trusted.")
    return forecast
