"""LocalSmoothing: exponential smoothing of each series for itself, beside what is learned from all of them."""

from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from seqcast.models._calibration import set_typical_scale
from seqcast.models._effects import Effects, smoothing_and_slopes
from seqcast.models._split import Split
from seqcast.models._task import Choice, make_task
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.normalization import fill_gaps
from seqcast.networks.smoothing import (
    Start,
    decomposed,
    drift_forms,
    largest_error,
    smoothed,
    smoothing_errors,
    smoothing_forms,
)
from seqcast.panel import Panel
from seqcast.seasons import WEEK
from seqcast.training import Sample

__all__ = ["MAX_ROWS", "LocalSmoothing", "effects_of", "is_mostly_at_its_end"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_ROWS = 1000  # the last of a series, that are read
MAX_VALUES = 2**22  # of all series together, that are read; more would take longer than all else
LONGEST_SEASON = 24  # of which exponential smoothing can keep a profile
SHORT = 512  # rows of a usual series; the line through many more says little of the next steps
N_FORMS = 5  # of each kind, that are kept for a series
FOR_CLIPPING = 6.0  # in AICc: where both are about as likely, an outlier is no new level
FAR = 0.5  # weight of the errors of a whole horizon beside those of one step
BETWEEN = 0.05  # weight of the likelihoods between methods: their errors are dependent, and drift is a prior
NEGLIGIBLE = 1e-4  # share of a form that is left out
CHUNK, ORIGINS = 128, 1024  # series that are fitted, and origins that are forecast, at a time


class Kind(NamedTuple):
    """What forms of exponential smoothing have in common."""

    season: int  # in steps; 1 is none
    is_log: bool  # logarithms are smoothed
    drifts: bool = False  # the trend is half the slope of the line through the series
    clips: bool = False  # no error counts as more than `largest_error`; files of 0.1.0 have neither this nor the last


@dataclass(frozen=True)
class LocalSmoothing:
    """For each series the most likely forms of exponential smoothing, averaged by Akaike's weights [1]_.

    A kind has a season or none, and smooths values or, where all are positive, their logarithms; a form of it is given
    by the shares of an error that its states take. They are compared by the squared errors of one step and of whole
    horizons, whose likelihoods count alike. Short series are also smoothed with drift, as the Theta method does [2]_;
    between both methods the likelihoods count little. There, forms that clip outliers [3]_ stand beside those that do
    not. What is smoothed is what known covariates leave of a series.

    References
    ----------
    .. [1] Burnham, K. P. and Anderson, D. R. (2002). Model Selection and Multimodel Inference. Springer.
    .. [2] Hyndman, R. J. and Billah, B. (2003). Unmasking the Theta method. International Journal of Forecasting,
       19(2), 287-290.
    .. [3] Gelper, S., Fried, R. and Croux, C. (2010). Robust forecasting with exponential and Holt-Winters smoothing.
       Journal of Forecasting, 29(3), 285-300.
    """

    ids: tuple[Any, ...]
    season_length: int
    kinds: list[Kind]
    forms: NDArray[np.float32]  # (n_kinds, N_FORMS, n_series, 5)
    shares: NDArray[np.float32]  # (n_kinds, N_FORMS, n_series)
    share: Floats  # (n_series,), in the forecast
    effects: Effects | None = None  # of covariates
    width: Floats | None = None  # (n_series,), what the spread of a forecast with it is multiplied by

    @staticmethod
    def suits(ends: Integers, season_length: int) -> bool:
        """Whether the season is not too long, and the values not too many."""
        return bool(season_length <= LONGEST_SEASON and np.minimum(ends, MAX_ROWS).sum() <= MAX_VALUES)

    @staticmethod
    def are_short(ends: Integers) -> bool:
        """Whether the usual series is: it is smoothed with drift too, and with outliers clipped."""
        return bool(np.median(ends) <= SHORT)

    @classmethod
    def fitted(
        cls,
        panel: Panel,
        ends: Integers,
        effects: Effects | None = None,
        *,
        season_length: int,
        horizon: int,
        are_short: bool = False,
    ) -> "LocalSmoothing":
        """Learn the forms of each series from its last rows before `ends`."""
        panel = effects.removed(panel, np.arange(panel.n_series)) if effects else panel
        seasons = [1, season_length, WEEK * season_length] if season_length > 1 else [1]
        if 4 * seasons[-1] > min(np.median(ends), MAX_ROWS):
            seasons = seasons[:2]
        either = (False, True) if are_short else (False,)
        kinds = [
            Kind(season, is_log, *more) for *more, season, is_log in product(either, either, seasons, (False, True))
        ]
        order = np.argsort(ends, kind="stable")  # series of about one length make a part
        parts = np.array_split(order, -(-len(order) // CHUNK))
        found = [_likely(_Windows.of(panel, part, ends[part], season_length), kinds, horizon) for part in parts]
        back = torch.from_numpy(np.argsort(order))
        forms, shares = (torch.cat(parts, 2)[:, :, back].numpy() for parts in zip(*found, strict=True))
        return cls(panel.ids, season_length, kinds, forms, shares, np.ones(panel.n_series), effects)

    def forecast(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        """Forecasts (n, horizon); NaN for a label without a share or that fit did not see, or with too few rows."""
        number = self._number(panel)
        rest, number = self.effects.removed(panel, number) if self.effects else panel, number[series]
        out = np.full((len(series), horizon), np.nan)
        known = np.flatnonzero((number >= 0) & (self.share[number] > 0))
        for part in np.array_split(known, -(-len(known) // ORIGINS) or 1):
            windows = _Windows.of(rest, series[part], positions[part], self.season_length)
            out[part] = self._smoothed(windows, number[part], horizon)
        return self.effects.added(out, panel, series, positions, number) if self.effects else out

    @property
    def n_methods(self) -> int:
        """With and without drift."""
        return len({Kind(*kind).drifts for kind in self.kinds})

    def moved(self, forecast: Floats, panel: Panel, series: Integers, positions: Integers) -> tuple[Floats, Floats]:
        """Forecasts (n, horizon) with smoothing by its share, and what their spread is to be multiplied by."""
        smoothed, number = self.forecast(panel, series, positions, forecast.shape[1]), self._number(panel)[series]
        share, width = (x[number, None] for x in (self.share, self._widths))
        is_moved = ~np.isnan(smoothed)
        bounded = self.bounded(forecast, panel, series, positions)
        center = np.where(is_moved, bounded + share * (smoothed - bounded), forecast)
        return center, np.where(is_moved, width, 1.0)

    def bounded(self, forecast: Floats, panel: Panel, series: Integers, positions: Integers) -> Floats:
        """Forecasts (n, horizon) of others, those of short series no farther outside the values than smoothing goes.

        A ridge of a few windows may explode. Known covariates may rightly ask for more.
        """
        if self.n_methods == 1 or self.effects:
            return forecast
        low, high = np.empty((2, len(panel.values)))
        for rows in map(panel.series, range(panel.n_series)):
            low[rows], high[rows] = (f.accumulate(panel.values[rows]) for f in (np.fmin, np.fmax))
        last = panel.indptr[series, None] + np.maximum(positions[:, None] - 1, 0)
        low, high = low[last], high[last]  # (n, 1) each, NaN where nothing is known
        return np.fmax(np.fmin(forecast, high + (high - low)), low - (high - low))

    @property
    def _widths(self) -> Floats:
        return np.ones(len(self.share)) if self.width is None else self.width

    def to_state(self) -> dict[str, Any]:
        """Give everything as plain data and arrays."""
        return {**asdict(self), "kinds": [tuple(kind) for kind in self.kinds]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "LocalSmoothing":
        """Undo ``to_state``; files of 0.1.0 have neither effects nor widths."""
        effects, kinds = state.get("effects"), [Kind(*kind) for kind in state["kinds"]]
        return cls(**{**state, "kinds": kinds, "effects": Effects.from_state(effects) if effects else None})

    def _number(self, panel: Panel) -> Integers:
        """The place of each series of a panel among those of fit, else -1."""
        numbers = {label: i for i, label in enumerate(self.ids)}
        return np.array([numbers.get(label, -1) for label in panel.ids], dtype=np.int64)

    @torch.inference_mode()
    def _smoothed(self, windows: "_Windows", number: Integers, horizon: int) -> Floats:
        total = torch.zeros(len(number), horizon, dtype=torch.float64)
        weight = torch.zeros(len(number), 1, dtype=torch.float64)
        kinds = (Kind(*kind) for kind in self.kinds)  # pickles of 0.1.0 have pairs
        for kind, forms, shares in zip(kinds, self.forms, self.shares, strict=True):
            own = torch.from_numpy(shares[:, number]).double() * windows.allow(kind)  # (N_FORMS, n)
            used = (own > 0).any(1)
            if not used.any():
                continue
            own, (z, center, unit) = own[used, :, None], windows.values(kind.is_log)
            mine = torch.from_numpy(forms[:, number])[used]
            ahead = smoothed(z, kind.season, mine, horizon, windows.start(z, kind), windows.lengths)
            ahead = ahead.double() * unit + center
            total += torch.where(own > 0, own * (ahead.exp() if kind.is_log else ahead), 0.0).sum(0)
            weight += own.sum(0)
        values = windows.z * windows.unit + windows.center
        low = values.nan_to_num(nan=torch.inf).amin(1, keepdim=True)
        high = values.nan_to_num(nan=-torch.inf).amax(1, keepdim=True)
        width = high - low  # a forecast lies no farther outside the values than these are apart
        return torch.clip(total / weight, low - width, high + width).numpy()


@dataclass(frozen=True)
class _Windows:
    """The last MAX_ROWS rows before an origin, from the first known one on, at the start of each row of a matrix.

    Gaps are filled.
    """

    z: torch.Tensor  # (n, length), less their center, in units of their spread, float64; NaN from the origin on
    observed: torch.Tensor  # (n, length)
    lengths: torch.Tensor  # (n,)
    center: torch.Tensor  # (n, 1)
    unit: torch.Tensor  # (n, 1)

    @classmethod
    def of(cls, panel: Panel, series: Integers, positions: Integers, season_length: int) -> "_Windows":
        length = max(int(min(positions.max(initial=1), MAX_ROWS)), 1)
        values = panel.values_at(series, positions - length, length)
        known = ~np.isnan(values)
        lead = np.where(known.any(1), known.argmax(1), length)
        index = np.arange(length) + lead[:, None]
        y = torch.from_numpy(np.take_along_axis(values, np.minimum(index, length - 1), 1))
        y[torch.from_numpy(index >= length)] = torch.nan
        observed = ~y.isnan()
        count = observed.sum(1, keepdim=True).clamp(min=1)
        center = y.nansum(1, keepdim=True) / count
        spread = (y - center).abs().nansum(1, keepdim=True) / count
        unit = torch.where(spread > 0, spread, 1.0)
        z = fill_gaps(((y - center) / unit).nan_to_num(), observed.double(), season_length)
        z[torch.from_numpy(index >= length)] = torch.nan
        return cls(z, observed, torch.from_numpy(length - lead), center, unit)

    def are_positive(self) -> torch.Tensor:
        """Whether all known values are, (n,)."""
        return ((self.z * self.unit + self.center > 0) | ~self.observed).all(1)

    def values(self, is_log: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The values or their logarithms (n, length), and the center and unit that they are given in, (n, 1) each."""
        if not is_log:
            return self.z.float(), self.center, self.unit
        values = self.z * self.unit + self.center
        least = torch.where(self.observed & (values > 0), values, torch.inf).amin(1, keepdim=True)
        logs = values.clamp(min=torch.where(least.isinf(), 1.0, least)).log()  # a gap may be filled below 0
        count = self.lengths.clamp(min=1)[:, None]
        center = logs.nansum(1, keepdim=True) / count
        spread = (logs - center).abs().nansum(1, keepdim=True) / count
        unit = torch.where(spread > 0, spread, 1.0)
        return ((logs - center) / unit).float(), center, unit

    def start(self, z: torch.Tensor, kind: Kind) -> Start:
        """The states before the first of these values."""
        start = decomposed(z, kind.season, self.lengths, drifts=kind.drifts)
        return start._replace(limit=largest_error(z, start.profile, self.observed)) if kind.clips else start

    def allow(self, kind: Kind) -> torch.Tensor:
        """Whether windows (n,) are positive, if that is needed, and hold two seasons and something more."""
        enough = self.lengths >= 2 * kind.season + 2
        return enough & self.are_positive() if kind.is_log else enough


def is_mostly_at_its_end(panel: Panel) -> NDArray[np.bool_]:
    """Whether more than half of the values of each series, but not all, are its lowest or its highest: rare demand.

    A mean is not what to expect there, and it would move all quantiles away from where most values are.
    """
    y = pd.Series(panel.values).groupby(panel.codes())
    low, middle, high = y.min(), y.median(), y.max()
    return (((middle == low) | (middle == high)) & (low < high)).to_numpy()


def effects_of(
    split: Split, choice: Choice, past_only: tuple[bool, ...], *, season_length: int, horizon: int
) -> tuple[Effects | None, Effects | None]:
    """What known covariates do, if there are any, by what lies before the tail and by everything."""
    if all(past_only):
        return None, None
    task = make_task(split, replace(choice, normalization="mean"), horizon)
    network = ForecastNetwork(
        lookback=choice.lookback, horizon=horizon, past_only=past_only, season_length=season_length
    )
    set_typical_scale(network, task.train)

    def learned(sample: Sample) -> Effects | None:
        slopes = network.typical_scale * smoothing_and_slopes(network, sample)[1]
        positions = split.panel.steps() - split.panel.first[split.panel.codes()]
        is_learnt = positions >= int(sample.windows.positions(sample.rows).min())
        return Effects.of(
            split.panel.features[is_learnt], task.scaling, task.features, slopes.double().numpy(), split.curves
        )

    return learned(task.train), learned(task.everything)


@torch.inference_mode()
def _likely(windows: _Windows, kinds: list[Kind], horizon: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The most likely forms (n_kinds, N_FORMS, n_series, 5) of the series, and their shares."""
    n, found, lowest = windows.lengths.clamp(min=1), [], []
    for kind in kinds:
        forms = drift_forms(kind.season) if kind.drifts else smoothing_forms(kind.season)
        z, center, unit = windows.values(kind.is_log)
        errors = smoothing_errors(z, kind.season, forms[:, None], horizon, windows.start(z, kind), windows.lengths)
        near, far = ((error.double() + 1e-12).log() for error in errors)  # (n_forms, n)
        k = _n_parameters(forms, kind.season)[:, None]
        scores = n * torch.lerp(near, far, FAR) + 2 * k * n / (n - k - 1).clamp(min=1)  # AICc, up to a constant
        scores += 2 * n * unit[:, 0].log()
        if kind.is_log:
            scores += 2 * (z * unit + center).nansum(1)
        scores -= FOR_CLIPPING * kind.clips
        scores[:, ~windows.allow(kind)] = torch.inf
        best, index = scores.topk(N_FORMS, dim=0, largest=False)
        found.append(forms[index])
        lowest.append(best)
    scores = torch.stack(lowest)  # (n_kinds, N_FORMS, n)
    shares, drifts = torch.empty_like(scores), torch.tensor([kind.drifts for kind in kinds])
    methods = [drifts == has_drift for has_drift in drifts.unique()]
    of_method = torch.stack([scores[method].flatten(0, 1).amin(0) for method in methods])  # (n_methods, n_series)
    for method, odds in zip(methods, (-BETWEEN * of_method / 2).softmax(0), strict=True):
        own = (-scores[method] / 2).flatten(0, 1).softmax(0).nan_to_num()  # NaN where nothing is allowed
        shares[method] = (odds.nan_to_num() * torch.where(own > NEGLIGIBLE, own, 0.0)).view_as(scores[method])
    return torch.stack(found), shares.float()


def _n_parameters(forms: torch.Tensor, season: int) -> torch.Tensor:
    """Level and variance, and what a form has besides: trend, damping, return, season, and the shares of these."""
    to_level, _, to_season, damping, left = forms.T
    has_trend, is_damped = damping > 0, (damping > 0) & (damping < 1)
    of_season = season + (to_season > 0) if season > 1 else 0
    return 2.0 + (to_level < 1) + 2 * has_trend + is_damped + (left < 1) + of_season
