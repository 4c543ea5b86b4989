"""WindowModel: a network and what stands between it and a panel; the data path of every network and of the ridge."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from seqcast.models._calendar import Calendar
from seqcast.models._curves import NO_CURVES, Curves
from seqcast.networks.distributions import Distribution
from seqcast.networks.forecast import ForecastNetwork
from seqcast.panel import Panel
from seqcast.training import Sample
from seqcast.transforms import TargetScaling, fit_scaling
from seqcast.windows import make_windows, window_positions

__all__ = ["FeatureScaling", "WindowModel", "check_counts", "interpolate_levels", "origins_to_learn", "sample_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_CHUNK = 2**25  # bytes of the windows of one chunk


@dataclass(frozen=True)
class FeatureScaling:
    """Covariates less their mean over the training rows, divided by their standard deviation."""

    center: Floats  # (n_features,)
    scale: Floats  # (n_features,)

    @classmethod
    def fitted(cls, features: Floats) -> "FeatureScaling":
        """Learn from the training rows; a constant covariate has scale 1."""
        known = ~np.isnan(features)
        count = np.maximum(known.sum(0), 1)
        center = np.where(known, features, 0.0).sum(0) / count
        scale = np.sqrt((np.where(known, features - center, 0.0) ** 2).sum(0) / count)
        return cls(center, np.where(scale > 1e-12 * np.maximum(np.abs(center), 1e-300), scale, 1.0))

    def apply(self, features: Floats) -> Floats:
        """Give covariates in standard units, NaN where they are missing."""
        return (features - self.center) / self.scale


@dataclass(frozen=True)
class WindowModel:
    """A trained network, the scaling of target and covariates, and the errors of validation.

    ``levels`` and ``spread`` (horizon, n_levels) are quantiles of the errors of point forecasts, by step, for a window
    of typical scale; a network whose own quantiles are believed has levels only, one with a distribution neither.
    """

    network: ForecastNetwork
    scaling: TargetScaling
    features: FeatureScaling
    ids: tuple[Any, ...]
    levels: Floats
    spread: Floats | None = None
    calendar: Calendar = field(default_factory=Calendar)
    curves: Curves = NO_CURVES
    numbers: dict[Any, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", {label: i for i, label in enumerate(self.ids)})

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.network.typical_scale.device

    def to_state(self) -> dict[str, Any]:
        """Give everything learned as plain data and arrays."""
        return {
            "network": {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()},
            "scaling": vars(self.scaling),
            "features": vars(self.features),
            "ids": self.ids,
            "levels": self.levels,
            "spread": self.spread,
            "calendar": self.calendar.cycles,
            "curves": asdict(self.curves),
        }

    @classmethod
    def from_state(cls, network: ForecastNetwork, state: dict[str, Any]) -> "WindowModel":
        """Put a state into a network of the same build."""
        weights = {"width": np.ones((), np.float32), "elasticity": np.ones((), np.float32), **state["network"]}
        # files of 0.1.0 have neither
        network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        return cls(
            network.eval(),
            TargetScaling(**state["scaling"]),
            FeatureScaling(**state["features"]),
            tuple(state["ids"]),
            state["levels"],
            state["spread"],
            Calendar(tuple(state.get("calendar", ()))),  # files of 0.1.0 have none
            Curves.from_state(state.get("curves")),  # nor these
        )

    def extended(self, panel: Panel) -> Panel:
        """The panel with all the columns that the network reads."""
        return self.calendar.extend(self.curves.extend(panel))

    @property
    def _middle(self) -> int:
        """The output that is the point forecast."""
        return 0 if self.network.head is None else int(self.network.head.middle)

    @property
    def distribution(self) -> Distribution | None:
        """The family of the predictive distributions, if the network gives one."""
        return getattr(self.network.head, "distribution", None)

    def forecast(self, panel: Panel, series: Integers, positions: Integers) -> Floats:
        """Point forecasts, (n, horizon): the median of a network with quantiles or a distribution."""
        if self.spread is None:
            return self.quantiles(panel, series, positions, [0.5])[..., 0]
        outputs, scaling, number = self._outputs(panel, series, positions, None)
        return scaling.invert(outputs[..., self._middle], number)

    def quantiles(self, panel: Panel, series: Integers, positions: Integers, wanted: list[float]) -> Floats:
        """Quantiles, (n, horizon, n_wanted)."""
        levels, offsets = np.asarray(wanted), None
        if self.spread is not None:
            offsets = torch.from_numpy(interpolate_levels(self.spread, self.levels, levels)).to(self.device)
        outputs, scaling, number = self._outputs(panel, series, positions, offsets)
        if self.distribution is not None:
            outputs = self.distribution.quantiles(self.distribution.finished(outputs), levels)
        elif self.spread is None:
            outputs = interpolate_levels(outputs, self.levels, levels)
        return scaling.invert(outputs, number)

    def parameters(self, panel: Panel, series: Integers, positions: Integers) -> Floats:
        """Parameters of the distribution of the transformed target, in its unit: (n, horizon, n_parameters)."""
        assert self.distribution is not None
        outputs, scaling, number = self._outputs(panel, series, positions, None)
        scale, center = scaling.scale[number, None, None], scaling.center[number, None, None]
        head = self.network.head
        outputs = outputs * np.where(head.is_scaled.cpu() > 0, scale, 1.0) + center * head.location.cpu().numpy()
        return self.distribution.finished(outputs)

    def log_density(self, panel: Panel, series: Integers, parameters: Floats, actual: Floats) -> Floats:
        """Logarithm of the density, or of the probability of a count, of values (n, horizon) in their own unit."""
        assert self.distribution is not None
        family, known = self.distribution.frozen(parameters), ~np.isnan(actual)
        number = np.array([self.numbers[label] for label in panel.ids])[series, None]
        moved, slope = self.scaling.transformed(np.where(known, actual, 1.0), np.broadcast_to(number, actual.shape))
        density = family.logpmf(moved) if self.distribution.is_count else family.logpdf(moved) + slope
        return np.where(known, density, np.nan)

    def _outputs(
        self, panel: Panel, series: Integers, positions: Integers, offsets: torch.Tensor | None
    ) -> tuple[Floats, TargetScaling, Integers]:
        """Forecasts in standard units, or the middle one plus offsets in the typical unit: (n, horizon, n_outputs)."""
        sample, scaling, number = self._sample(panel, series, positions)
        chunk = max(MAX_CHUNK // (4 * sample.windows.data.shape[1] * (self.network.lookback + self.network.horizon)), 1)
        limit = getattr(self.network.backbone, "batch_limit", None)
        chunk = min(chunk, limit(self.network.embedding.n_past) if limit else chunk, 1024)
        is_known = torch.from_numpy(number < len(self.ids)).to(self.device)[:, None, None]  # the others have own units
        with torch.inference_mode():
            elasticity = torch.where(is_known, self.network.elasticity, 1.0)  # (n, 1, 1)
            parts = []
            for batch, own in zip(sample.batches(chunk), elasticity.split(chunk), strict=True):
                past = self.network.normalise(batch)
                outputs = self.network.shrunk(past, own)
                if offsets is not None:
                    outputs = outputs[..., [self._middle]] + offsets * self.network.relative_width(past, own)
                parts.append(self.network.restore(outputs, past))
            return torch.cat(parts).cpu().numpy(), scaling, number

    def units(self, panel: Panel, series: Integers, positions: Integers) -> tuple[TargetScaling, Integers]:
        """The scaling, and the number of each origin's series in it: a new one of a series that fit did not see."""
        number = np.array([self.numbers.get(label, -1) for label in panel.ids], dtype=np.int64)[series]  # (n,)
        scaling, is_new = self.scaling, number < 0
        if is_new.any():
            first = np.maximum(positions[is_new] - self.network.lookback, 0)
            memory = panel.cut(series[is_new], first, positions[is_new])
            scaling = scaling.joined(fit_scaling(scaling.kind, memory.values, memory.indptr))
            number[is_new] = len(self.ids) + np.arange(is_new.sum())
        return scaling, number

    def _sample(self, panel: Panel, series: Integers, positions: Integers) -> tuple[Sample, TargetScaling, Integers]:
        """Windows before the origins, and the scaling with the number of each origin's series in it.

        Runs of rows are cut from the panel: one for all origins of a series known from fit; a series that is not gets
        one for each origin, scaled by the lookback before that origin.
        """
        lookback, horizon = self.network.lookback, self.network.horizon
        scaling, number = self.units(panel, series, positions)
        is_new = number >= len(self.ids)
        own_run = np.where(is_new, panel.n_series + np.arange(len(series)), series)
        _, first, run = np.unique(own_run, return_index=True, return_inverse=True)
        low = np.full(len(first), np.iinfo(np.int64).max)
        high = np.zeros(len(first), np.int64)
        np.minimum.at(low, run, positions - lookback)
        np.maximum.at(high, run, positions + horizon)
        cut = self.extended(panel.cut(series[first], low, high))
        codes = np.repeat(number[first], high - low)
        features = self.features.apply(cut.features)
        if self.network.knows_series:
            features = with_series(features, np.where(codes < len(self.ids), codes, -1))
        if self.network.phases is not None:
            features = with_place(features, cut, self.network.season_length or 1)
        is_before = cut.steps() < np.repeat(panel.first[series[first]], high - low)  # a series begins
        sample_windows = make_windows(
            scaling.apply(cut.values, codes),
            np.where(is_before[:, None], 0.0, features),
            cut.indptr,
            lookback=lookback,
            horizon=horizon,
            device=self.device,
        )
        return Sample(sample_windows, sample_windows.rows(run, positions - low[run])), scaling, number


def check_counts(panel: Panel, loss: str) -> None:
    """Raise where the known values of a panel are no counts."""
    values = panel.values
    wrong = np.flatnonzero(~np.isnan(values) & ((values < 0) | (values != np.round(values))))
    if len(wrong):
        k = wrong[0]
        where = f"{panel.name_of(panel.codes()[k])} at {panel.time_of(panel.steps()[k])}"
        raise ValueError(
            f"loss={loss!r} needs counts, 0, 1, 2, ...; {len(wrong)} values are none, the first {values[k]:g} of "
            f'{where}. Use loss="student_t" or "quantile".'
        )


def origins_to_learn(
    panel: Panel, ends: Integers, first: Integers, last: Integers, lookback: int, horizon: int
) -> tuple[Integers, Integers]:
    """Origins of the panel's series between `first` and `last` whose windows have something to learn before `ends`."""
    observed = ~np.isnan(panel.values)
    observed[_beyond(panel, ends)] = False
    return window_positions(observed, panel.indptr, first, last, lookback=lookback, horizon=horizon)


def with_series(features: Floats, codes: Integers) -> Floats:
    """Covariates and, behind them, the number of the series of each row from 1 on; of code -1 it is 0."""
    return np.column_stack((features, codes + 1.0))


def with_place(features: Floats, panel: Panel, season_length: int) -> Floats:
    """Covariates and, behind them, the step of the season of each row."""
    return np.column_stack((features, panel.axis.phase(panel.steps(), season_length)))


def sample_of(
    panel: Panel,
    ends: Integers,
    scaling: TargetScaling,
    features: FeatureScaling,
    series: Integers,
    positions: Integers,
    *,
    lookback: int,
    horizon: int,
    device: str | torch.device = "cpu",
    knows_series: bool = False,
    season_length: int = 0,
) -> Sample:
    """Training windows of the panel; targets from `ends` on are masked. With a season, they hold the step of it."""
    standard = scaling.apply(panel.values, panel.codes())
    standard[_beyond(panel, ends)] = np.nan
    columns = features.apply(panel.features)
    columns = with_series(columns, panel.codes()) if knows_series else columns
    columns = with_place(columns, panel, season_length) if season_length else columns
    windows = make_windows(standard, columns, panel.indptr, lookback=lookback, horizon=horizon, device=device)
    return Sample(windows, windows.rows(series, positions))


def _beyond(panel: Panel, ends: Integers) -> NDArray[np.bool_]:
    return np.arange(len(panel.values)) >= np.repeat(panel.indptr[:-1] + ends, panel.lengths)


def interpolate_levels(values: Floats, levels: Floats, wanted: Floats) -> Floats:
    """Quantiles at other levels, linear in the normal score of the level; beyond the outer ones the line goes on.

    `values` is (..., n_levels), increasing, `levels` increasing in (0, 1); the result is (..., n_wanted).
    Outside the known levels the tails are thus those of the normal distribution that passes through the outer two.
    """
    if len(levels) == 1:
        return np.repeat(values, len(wanted), -1)
    x, at = ndtri(levels), ndtri(wanted)
    k = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)  # (n_wanted,)
    share = (at - x[k]) / (x[k + 1] - x[k])
    return values[..., k] + share * (values[..., k + 1] - values[..., k])
