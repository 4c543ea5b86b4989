"""LocalSmoothing: exponential smoothing of each short series for itself, beside what is learned from all of them."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqcast.networks.normalization import fill_gaps
from seqcast.networks.smoothing import WEEK, decomposed, smoothed, smoothing_errors, smoothing_forms
from seqcast.panel import Panel

__all__ = ["LocalSmoothing"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_ROWS = 1000  # of a usual series: in longer ones there is enough to learn more than smoothing
LONGEST_SEASON = 24  # of which exponential smoothing can keep a profile
N_FORMS = 5  # of each kind, that are kept for a series
FAR = 0.5  # weight of the errors of a whole horizon beside those of one step
NEGLIGIBLE = 1e-4  # a share that is left out
CHUNK, ORIGINS = 128, 1024  # series that are fitted, and origins that are forecast, at a time


@dataclass(frozen=True)
class LocalSmoothing:
    """For each series the most likely forms of exponential smoothing, averaged by Akaike's weights [1]_.

    A kind has a season or none, and smooths values or, where all are positive, their logarithms; a form of it is given
    by the shares of an error that its states take. They are compared by the squared errors of one step and of whole
    horizons, whose likelihoods count alike.

    References
    ----------
    .. [1] Burnham, K. P. and Anderson, D. R. (2002). Model Selection and Multimodel Inference. Springer.
    """

    ids: tuple[Any, ...]
    season_length: int
    kinds: list[tuple[int, bool]]  # season, and whether of logarithms
    forms: NDArray[np.float32]  # (n_kinds, N_FORMS, n_series, 5)
    shares: NDArray[np.float32]  # (n_kinds, N_FORMS, n_series)

    @staticmethod
    def suits(ends: Integers, season_length: int) -> bool:
        """Whether the usual series is short, and its season not too long."""
        return bool(np.median(ends) <= MAX_ROWS and season_length <= LONGEST_SEASON)

    @classmethod
    def fitted(cls, panel: Panel, ends: Integers, season_length: int, horizon: int) -> "LocalSmoothing":
        """Learn the forms of each series from its rows before `ends`."""
        seasons = [1, season_length, WEEK * season_length] if season_length > 1 else [1]
        if 4 * seasons[-1] > min(np.median(ends), MAX_ROWS):
            seasons = seasons[:2]
        kinds = list(product(seasons, (False, True)))
        found = [_likely(_Windows.of(panel, *part, season_length), kinds, horizon) for part in _chunks(panel, ends)]
        forms, shares = (torch.cat(parts, 2).numpy() for parts in zip(*found, strict=True))
        return cls(panel.ids, season_length, kinds, forms, shares)

    @property
    def reach(self) -> int:
        """Rows before the origin that a forecast reads, at most."""
        return MAX_ROWS

    def forecast(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        """Forecasts (n, horizon); NaN for a series that was not there in fit, or of which too little is known yet."""
        numbers = {label: i for i, label in enumerate(self.ids)}
        number = np.array([numbers.get(label, -1) for label in panel.ids], dtype=np.int64)[series]
        out = np.full((len(series), horizon), np.nan)
        known = np.flatnonzero(number >= 0)
        for part in np.array_split(known, -(-len(known) // ORIGINS) or 1):
            windows = _Windows.of(panel, series[part], positions[part], self.season_length)
            out[part] = self._smoothed(windows, number[part], horizon)
        return out

    @torch.inference_mode()
    def _smoothed(self, windows: "_Windows", number: Integers, horizon: int) -> Floats:
        total, weight = torch.zeros(len(number), horizon), torch.zeros(len(number), 1)
        for (season, is_log), forms, shares in zip(self.kinds, self.forms, self.shares, strict=True):
            own = torch.from_numpy(shares[:, number]) * windows.allow(season, is_log)  # (N_FORMS, n)
            used = (own > 0).any(1)
            if not used.any():
                continue
            own, z = own[used], windows.values(is_log)
            start = decomposed(z, season, windows.lengths)
            mine = torch.from_numpy(forms[:, number])[used]
            forecast = smoothed(z, season, mine, horizon, start, windows.lengths)
            forecast = forecast.exp() if is_log else forecast
            total += torch.where(own[..., None] > 0, own[..., None] * forecast, 0.0).sum(0)
            weight += own.sum(0)[:, None]
        low, high = windows.z.nan_to_num(nan=torch.inf).amin(1), windows.z.nan_to_num(nan=-torch.inf).amax(1)
        width = (high - low)[:, None]  # a forecast lies no farther outside the values than these are apart
        mean = torch.clip(total / weight, low[:, None] - width, high[:, None] + width)
        return (mean * windows.unit[:, None]).double().numpy()


@dataclass(frozen=True)
class _Windows:
    """Rows from the first known one to an origin, at the start of each row of a matrix; gaps are filled."""

    z: torch.Tensor  # (n, length), in units of the mean absolute value, NaN from the origin on
    lengths: torch.Tensor  # (n,)
    unit: torch.Tensor  # (n,)

    @classmethod
    def of(cls, panel: Panel, series: Integers, positions: Integers, season_length: int) -> "_Windows":
        length = max(int(min(positions.max(initial=1), MAX_ROWS)), 1)
        values = panel.values_at(series, positions - length, length)
        known = ~np.isnan(values)
        lead = np.where(known.any(1), known.argmax(1), length)
        index = np.arange(length) + lead[:, None]
        values = np.take_along_axis(values, np.minimum(index, length - 1), 1)
        values[index >= length] = np.nan
        unit = np.nansum(np.abs(values), axis=1) / np.maximum((~np.isnan(values)).sum(1), 1)
        unit = np.where(unit > 0, unit, 1.0)
        z = torch.from_numpy((values / unit[:, None]).astype(np.float32))
        filled = fill_gaps(z.nan_to_num(), (~z.isnan()).float(), season_length)
        filled[torch.from_numpy(index >= length)] = torch.nan
        return cls(filled, torch.from_numpy(length - lead), torch.from_numpy(unit))

    def values(self, is_log: bool) -> torch.Tensor:
        """The values, or their logarithms; where these are not all positive, they are not allowed."""
        return self.z.clamp(min=1e-6).log() if is_log else self.z

    def allow(self, season: int, is_log: bool) -> torch.Tensor:
        """Whether windows (n,) are positive, if that is needed, and hold two seasons and something more."""
        enough = self.lengths >= 2 * season + 2
        return enough & ~(self.z <= 0).any(1) if is_log else enough


def _chunks(panel: Panel, ends: Integers) -> list[tuple[Integers, Integers]]:
    series = np.arange(panel.n_series)
    return [(part, ends[part]) for part in np.array_split(series, -(-len(series) // CHUNK))]


@torch.inference_mode()
def _likely(windows: _Windows, kinds: list[tuple[int, bool]], horizon: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The most likely forms (n_kinds, N_FORMS, n_series, 5) of the series, and their shares."""
    n, found, lowest = windows.lengths.clamp(min=1), [], []
    for season, is_log in kinds:
        forms, z = smoothing_forms(season), windows.values(is_log)
        start = decomposed(z, season, windows.lengths)
        errors = smoothing_errors(z, season, forms[:, None], horizon, start, windows.lengths)
        near, far = ((error.double() + 1e-12).log() for error in errors)  # (n_forms, n)
        k = _n_parameters(forms, season)[:, None]
        scores = n * torch.lerp(near, far, FAR) + 2 * k * n / (n - k - 1).clamp(min=1)  # AICc, up to a constant
        if is_log:
            scores += 2 * z.nan_to_num().sum(1)
        scores[:, ~windows.allow(season, is_log)] = torch.inf
        best, index = scores.topk(N_FORMS, dim=0, largest=False)
        found.append(forms[index])
        lowest.append(best)
    scores = torch.stack(lowest)  # (n_kinds, N_FORMS, n)
    shares = (-scores / 2).flatten(0, 1).softmax(0).nan_to_num()  # NaN where nothing is allowed
    return torch.stack(found), torch.where(shares > NEGLIGIBLE, shares, 0.0).view_as(scores).float()


def _n_parameters(forms: torch.Tensor, season: int) -> torch.Tensor:
    """Level and variance, and what a form has besides: trend, damping, return, season, and the shares of these."""
    to_level, _, to_season, damping, left = forms.T
    has_trend, is_damped = damping > 0, (damping > 0) & (damping < 1)
    of_season = season + (to_season > 0) if season > 1 else 0
    return 2.0 + (to_level < 1) + 2 * has_trend + is_damped + (left < 1) + of_season
