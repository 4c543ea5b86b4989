"""What known covariates do to the target, the same at every step.

The linear skip is shrunk to it, and local smoothing is of what it leaves.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqcast.models._curves import NO_CURVES, Curves
from seqcast.models._model import FeatureScaling
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.smoothing import smoothing_weight
from seqcast.panel import Panel
from seqcast.training import Sample
from seqcast.transforms import TargetScaling

__all__ = ["Effects", "smoothing_and_slopes"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_SMOOTHED = 256  # windows by which smoothing is chosen
MAX_WINDOWS, MAX_VALUES = 2000, 2**24  # by which effects are found, and their values of covariates
MAX_KNOWN = 200  # covariates whose effects can be told apart
N_ROUNDS = 2  # of effects and smoothing in turn
FEWEST, MOST = 3, 32  # stretches of time that say how sure an effect is
FLOOR = 1e-6  # of the variance of a covariate, which is 1 overall: less is no news


@dataclass(frozen=True)
class Effects:
    """What covariates add to the target of each series of fit.

    It lies no farther outside what it was in fit than that is wide. A past row is missing where it lies half as far
    outside, or where a covariate is missing; ahead it is then the last that is known.
    """

    scaling: TargetScaling
    features: FeatureScaling
    slopes: Floats  # (n_features,), in standard units of the target, for one of the covariate
    low: float  # in fit, like `high`
    high: float
    curves: Curves = NO_CURVES  # whose columns are among these

    def removed(self, panel: Panel, number: Integers) -> Panel:
        """The panel without them; `number` (n_series,) is the place of its series among those of fit."""
        effect, width, own = self._at(self.curves.extended(panel.features)), self.high - self.low, number[panel.codes()]
        is_usual = (effect >= self.low - width / 2) & (effect <= self.high + width / 2)
        rest = self.scaling.apply(panel.values, own) - np.where(is_usual, effect, 0.0)
        return replace(panel, values=np.where(is_usual, self.scaling.invert(rest, own), np.nan))

    def added(self, forecast: Floats, panel: Panel, series: Integers, positions: Integers, number: Integers) -> Floats:
        """Forecasts (n, horizon) of what is left, with them; `number` (n,) is the place of the series in fit."""
        ahead = positions[:, None] + np.arange(forecast.shape[1])
        is_there, width = ahead < panel.lengths[series, None], self.high - self.low
        rows = panel.indptr[series, None] + np.where(is_there, ahead, 0)
        effect = np.nan_to_num(self._at(self.curves.extended(_kept(panel))))[rows]
        effect = np.where(is_there, effect.clip(self.low - width, self.high + width), 0.0)
        return self.scaling.invert(self.scaling.apply(forecast.T, number).T + effect, number)

    def _at(self, features: Floats) -> Floats:
        used = np.flatnonzero(self.slopes)
        standard = (features[:, used] - self.features.center[used]) / self.features.scale[used]
        return standard @ self.slopes[used]

    @classmethod
    def of(
        cls, learnt: Floats, scaling: TargetScaling, features: FeatureScaling, slopes: Floats, curves: Curves
    ) -> "Effects | None":
        """Effects with their range where they were learned, by covariates (n_rows, n_features); None if there are none.

        Before the first origin an effect can be anything: no error has told it.
        """
        effect = cls(scaling, features, slopes, 0.0, 0.0)._at(learnt)
        effect = effect[~np.isnan(effect)]
        if not np.any(effect):
            return None
        return cls(scaling, features, slopes, float(effect.min()), float(effect.max()), curves)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Effects":
        """Undo ``asdict``."""
        scaling, features = TargetScaling(**state["scaling"]), FeatureScaling(**state["features"])
        curves = Curves.from_state(state.get("curves"))
        return cls(**{**state, "scaling": scaling, "features": features, "curves": curves})


def _kept(panel: Panel) -> Floats:
    """Covariates of a panel (n_rows, n_features); where one is missing, the last of its series that is known."""
    row, start = np.arange(len(panel.features))[:, None], np.repeat(panel.indptr[:-1], panel.lengths)[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(panel.features), start, row), axis=0)
    return np.take_along_axis(panel.features, last, axis=0)


@torch.inference_mode()
def smoothing_and_slopes(network: ForecastNetwork, train: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Exponential smoothing S (lookback, horizon) of what covariates leave, and their effects b (n_features,).

    The effects, one for all steps, are those of ``b x(t + h) + S(y - b x)``, a regression with errors that are
    smoothed, in units of the windows; they are 0 for covariates that are not known ahead.
    """
    n_known = len(network.known) - network.linear.n_calendar
    known = network.known[:n_known] if n_known <= MAX_KNOWN else []  # calendar columns are the last
    most = min(
        MAX_WINDOWS, max(MAX_SMOOTHED, MAX_VALUES // ((network.lookback + network.horizon) * max(len(known), 1)))
    )
    order = torch.randperm(len(train.rows), generator=torch.Generator().manual_seed(0))  # evenly spaced miss hours
    rows = train.rows[order[: most if known else MAX_SMOOTHED].to(train.rows.device)]
    windows = train.windows.gather(rows)
    past = network.normalise(windows)
    target, weight = network.targets(windows, past)
    x, season, few = past.features[..., known], network.season_length or 1, slice(MAX_SMOOTHED)
    x = x - x[:, network.lookback - 1 : network.lookback]  # smoothing leaves constants as they are, but for rounding
    when = train.windows.positions(rows) // network.horizon
    smoothing = smoothing_weight(past.z[few], target[few], weight[few], season)
    slopes = x.new_zeros(len(known))
    for _ in range(N_ROUNDS if known else 0):
        news = x[:, network.lookback :] - torch.einsum("ntk,th->nhk", x[:, : network.lookback], smoothing)
        slopes = _slopes(news, target - past.z @ smoothing, weight, when)
        before, ahead = (x[few] @ slopes).tensor_split((network.lookback,), 1)
        smoothing = smoothing_weight(past.z[few] - before, (target[few] - ahead) * weight[few], weight[few], season)
    effects = x.new_zeros(past.features.shape[2] - network.linear.n_calendar)
    effects[known] = slopes
    return smoothing, effects


def _slopes(news: torch.Tensor, rest: torch.Tensor, known: torch.Tensor, when: torch.Tensor) -> torch.Tensor:
    """Least squares of errors (n, horizon) on what is new in covariates (n, horizon, k), less what may be noise, (k,).

    How sure slopes are is what they are without each stretch of time in turn (jackknife), as `when` (n,) numbers them:
    in unrelated directions, of each slope the share stays that its square has beyond its variance.
    """
    k, n = news.shape[2], min(len(when.unique()), MOST)
    if n < FEWEST:
        return news.new_zeros(k)
    stretch = when.unique(return_inverse=True)[1] * n // len(when.unique())
    w = known.double()
    x, y = news.double() * w[..., None], rest.double() * w
    data = torch.cat((x, y[..., None]), 2)  # (n_windows, horizon, k + 1)
    parts = [data[stretch == part] for part in range(n)]
    squares = torch.stack([part.flatten(0, 1).T @ part.flatten(0, 1) for part in parts])  # (n, k + 1, k + 1)
    sums = torch.stack([part.sum(0) for part in parts])  # (n, horizon, k + 1)
    counts = torch.stack([w[stretch == part].sum(0) for part in range(n)])  # (n, horizon)

    def fit(squares: torch.Tensor, sums: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means = sums / counts.clamp(min=1)[..., None]
        squares = squares - sums.mT @ means  # with an intercept for every step: a drift is no effect
        gram = squares[..., :k, :k] + FLOOR * w.sum() * torch.eye(k).to(squares)
        return gram, torch.linalg.solve(gram, squares[..., :k, k])

    gram, slopes = fit(squares.sum(0), sums.sum(0), counts.sum(0))
    _, others = fit(squares.sum(0) - squares, sums.sum(0) - sums, counts.sum(0) - counts)  # each without one stretch
    size, vectors = torch.linalg.eigh(gram)
    root = vectors * size.rsqrt()  # gram is one of root' gram root
    moved = torch.linalg.solve(root, (others - slopes).T)  # (k, n)
    noise = moved @ moved.T  # of a slope that one stretch alone gives, its square
    even = noise.diagonal().mean() * torch.eye(k).to(noise)
    variance, turn = torch.linalg.eigh(torch.lerp(noise, even, k / (k + n)))  # few stretches do not tell all directions
    along = torch.linalg.solve(root @ turn, slopes)
    kept = (1 - variance / (along**2).clamp(min=1e-300)).clamp(0, 1)
    return (root @ turn @ (kept * along)).to(news)
