"""EnsembleForecaster: the mean, the median or a ridge combination of several forecasters."""

from copy import copy
from typing import Any, Self

import numpy as np
from sklearn.utils.metaestimators import _BaseComposition

from seqcast._parameters import any_of, instance_of, is_none, one_of, option, parameters
from seqcast.base import BaseForecaster
from seqcast.baselines import SeasonalNaive, Theta
from seqcast.ensembles._members import asked, fitted
from seqcast.models import RidgeForecaster
from seqcast.panel import Floats, Integers, Panel
from seqcast.paths import stepper_of
from seqcast.rolling import latest_origins, scales

__all__ = ["EnsembleForecaster"]

_N_ORIGINS = 50  # rolling origins, at most, whose forecasts decide the weights
_STRENGTH = 0.1  # of the pull towards equal weights, as a share of the forecasts' mean square


@parameters
class EnsembleForecaster(_BaseComposition, BaseForecaster):
    """Combine forecasters: their mean, median, or a ridge regression on their rolling-origin forecasts [1]_.

    The ridge pulls the weights towards equal ones. It sees forecasts of the last fifth of the history by members that
    were fitted before it; then the members are fitted again on everything.

    References
    ----------
    .. [1] Granger and Ramanathan, "Improved methods of combining forecasts", Journal of Forecasting 3, 1984.

    Examples
    --------
    >>> from seqcast import Drift, EnsembleForecaster, Naive
    >>> import pandas as pd
    >>> y = pd.Series([1.0, 2.0, 3.0], index=pd.period_range("2024-01", periods=3, freq="M"))
    >>> EnsembleForecaster([("naive", Naive()), ("drift", Drift())]).fit(y).forecast().tolist()
    [3.5]
    """

    forecasters: list | tuple | None = option(
        None,
        any_of(is_none(), instance_of((list, tuple), "a list of (name, forecaster) pairs")),
        "The members; None: ridge, theta, seasonal naive.",
        wraps=True,
    )
    combination: str = option("mean", one_of("mean", "median", "ridge"), "How the members' forecasts are combined.")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those of the members as name__parameter."""
        is_given = isinstance(self.forecasters, (list, tuple))
        return self._get_params("forecasters", deep=deep) if is_given else super().get_params(deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the members as name__parameter."""
        is_given = isinstance(params.get("forecasters", self.forecasters), (list, tuple))
        return self._set_params("forecasters", **params) if is_given else super().set_params(**params)

    def _fit_panel(self, panel: Panel) -> None:
        members = self.forecasters or [
            ("ridge", RidgeForecaster()),
            ("theta", Theta()),
            ("seasonal_naive", SeasonalNaive()),
        ]
        self._validate_names([name for name, _ in members])
        foreign = [name for name, member in members if not isinstance(member, BaseForecaster)]
        if foreign:
            raise TypeError(
                f"Members {foreign} are no forecasters of seqcast. Wrap a scikit-learn regressor in "
                "RegressionForecaster."
            )
        self.weights_ = self._ridge_weights([m for _, m in members], panel) if self.combination == "ridge" else None
        self.members_ = [fitted(self, member, panel) for _, member in members]

    def _ridge_weights(self, members: list[BaseForecaster], panel: Panel) -> Floats:
        """Weights w that minimise |y - F w|² + λ |w - 1/k|² over forecasts F of what the members were not fitted on."""
        k = len(members)
        held = np.minimum(np.maximum(panel.lengths // 5, self.horizon), panel.lengths - 1)
        before = panel.cut(np.arange(panel.n_series), np.zeros(panel.n_series, np.int64), panel.lengths - held)
        series, positions = latest_origins(panel, int(min(_N_ORIGINS, held.max() - self.horizon + 1)), self.horizon)
        honest = positions >= (panel.lengths - held)[series]
        series, positions = series[honest], positions[honest]
        if len(series) == 0 or np.isnan(before.values).all():
            return np.full(k, 1 / k)
        unit = scales(self, panel)[series, None]
        forecasts = [asked(fitted(self, m, before), panel, series, positions, self.horizon) / unit for m in members]
        actual = panel.values_at(series, positions, self.horizon) / unit
        known = ~np.isnan(actual)
        centre = np.mean(forecasts, axis=0)
        F = np.stack([(f - centre)[known] for f in forecasts], axis=1)  # (n_known, k)
        strength = _STRENGTH * np.mean(F**2) * len(F) + np.finfo(float).eps
        return 1 / k + np.linalg.solve(F.T @ F + strength * np.eye(k), F.T @ (actual - centre)[known])

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        each = [asked(member, panel, series, positions, horizon) for member in self.members_]
        forecasts = np.stack(each, axis=-1)  # (n, horizon, n_members)
        if self.combination == "median":
            return np.median(forecasts, axis=-1)
        centre = forecasts.mean(axis=-1)
        if self.weights_ is None:
            return centre
        return centre + (forecasts - centre[..., None]) @ (self.weights_ - 1 / len(self.members_))

    @property
    def _longest(self) -> int | None:
        limits = [m._longest for m in self.members_ if m._longest is not None]
        return min(limits) if limits else None

    @property
    def _reach(self) -> int | None:
        reaches = [m._reach for m in self.members_]
        return None if None in reaches else max(r for r in reaches if r is not None)

    def _stepper(self) -> "EnsembleForecaster":
        """What writes a path on: the members as they do."""
        stepper = copy(self)
        stepper.members_ = [stepper_of(member) for member in self.members_]
        return stepper
