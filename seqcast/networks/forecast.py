"""ForecastNetwork: the whole network on one page."""

from typing import Any, NamedTuple

import torch
from torch import nn

from seqcast.networks.embedding import PatchEmbedding
from seqcast.networks.heads import DistributionHead, Head, QuantileHead
from seqcast.networks.linear import LinearSkip, PhaseSkip
from seqcast.networks.normalization import bridged, continued_back, fill_gaps, window_center, window_scale

__all__ = ["ForecastNetwork", "Inputs", "Normalised"]


class Normalised(NamedTuple):
    """Windows in units of their own past; only this is what a forecast can see."""

    z: torch.Tensor  # (n, lookback), filled where masked
    observed: torch.Tensor  # (n, lookback)
    features: torch.Tensor  # (n, lookback + horizon, n_features), those known only up to the origin 0 after it
    center: torch.Tensor  # (n, 1)
    scale: torch.Tensor  # (n, 1)
    series: torch.Tensor | None = None  # (n,), number of the series from 1 on, where it has a vector; 0 is unknown
    phase: torch.Tensor | None = None  # (n,), of the origin in the season, where the linear forecast depends on it


class Inputs(NamedTuple):
    """What training reads of windows."""

    past: Normalised
    target: torch.Tensor  # (n, horizon), in the same units
    known: torch.Tensor  # (n, horizon), 1 where the target is known, else 0

    def tensors(self) -> list[torch.Tensor]:
        """All of them in a row."""
        return [tensor for tensor in (*self.past, self.target, self.known) if tensor is not None]


class ForecastNetwork(nn.Module):
    """Normalise, forecast linearly, embed, run the backbone, correct the linear forecast, restore.

    Parameters
    ----------
    lookback, horizon : int
        Steps of a window before and from the origin on.
    past_only : sequence of bool
        For each covariate, whether it is known only up to the origin.
    normalization : {"mean", "mean_std", "last"}
        How a window is put in units of its own past.
    season_length : int, optional
        Steps of a season, by which gaps are filled; None leaves them at the center.
    linear_skip : bool
        Whether the network corrects a linear forecast, or the center of the window.
    n_calendar : int
        How many of the covariates, the last, are calendar columns.
    n_phases : int
        Phases of the season, each with something of its own added to the linear forecast; 0: none has.
    n_curves : int
        How many of the covariates, the last before the calendar, are squares or products; the linear forecast then has
        limits.
    backbone : Module, optional
        ``forward(past, future)`` of tokens (n, n_past, width) and (n, n_future, width) gives (n, n_future, width).
        Without one the network is the linear forecast.
    embedding, head : Module, optional
        What stands before and after the backbone.
    """

    bends = False  # of what was pickled before there were curves
    typical_scale: torch.Tensor  # (), the unit of windows that are not divided by their own spread
    shrinkage: torch.Tensor  # (), the share of the correction that is kept
    width: torch.Tensor  # (), what the spread of quantiles and distributions is multiplied by
    elasticity: torch.Tensor  # (), of that spread to the scale of the window: 1 if it is in proportion
    limits: torch.Tensor  # (2,), of the linear forecast, if it bends
    is_known: torch.Tensor  # (lookback + horizon, n_features)
    phases: Any  # PhaseSkip or None
    embedding: Any
    backbone: Any
    head: Any

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        past_only: tuple[bool, ...] = (),
        normalization: str = "mean",
        season_length: int | None = None,
        linear_skip: bool = True,
        n_calendar: int = 0,
        n_phases: int = 0,
        n_curves: int = 0,
        backbone: nn.Module | None = None,
        embedding: PatchEmbedding | None = None,
        head: Head | QuantileHead | DistributionHead | None = None,
    ):
        super().__init__()
        self.lookback, self.horizon, self.normalization = lookback, horizon, normalization
        self.season_length = season_length
        is_known = torch.ones(lookback + horizon, len(past_only), dtype=torch.bool)
        is_known[lookback:] = ~torch.tensor(past_only, dtype=torch.bool)
        self.register_buffer("is_known", is_known, persistent=False)
        self.has_past_only = any(past_only)
        self.known = [j for j, only in enumerate(past_only) if not only]
        self.register_buffer("typical_scale", torch.ones(()))
        self.register_buffer("shrinkage", torch.ones(()))
        self.register_buffer("width", torch.ones(()))
        self.register_buffer("elasticity", torch.ones(()))
        n_features = len(past_only) - n_calendar
        self.linear = LinearSkip(lookback, horizon, n_features, n_calendar, season_length or 1, n_curves)
        n_straight = n_features - n_curves
        self.phases = PhaseSkip(lookback, horizon, n_straight, n_phases, season_length or 1) if n_phases else None
        self.linear_skip, self.bends = linear_skip, n_curves > 0
        if self.bends:
            self.register_buffer("limits", torch.tensor([-torch.inf, torch.inf]))
        self.embedding, self.backbone, self.head = embedding, backbone, head

    @property
    def knows_series(self) -> bool:
        """Whether a channel of its windows, behind the covariates, is the number of the series."""
        return self.embedding is not None and self.embedding.series is not None

    def normalise(self, windows: torch.Tensor) -> Normalised:
        """Put windows (n, lookback + horizon, channels) in units of their own past."""
        phase = None
        if self.phases is not None:
            windows, phase = windows[..., :-1], windows[:, self.lookback, -1].long() // self.phases.length
        past = windows[:, : self.lookback]
        value, observed = past[..., 0], past[..., 1]  # (n, lookback)
        center = window_center(value, observed, self.normalization)  # (n, 1)
        scale = window_scale(value, observed, center, self.normalization, self.typical_scale)  # (n, 1)
        features, series = windows[..., 2:], None  # (n, lookback + horizon, n_features)
        if self.knows_series:
            features, series = features[..., :-1], features[..., -1].amax(1).long()
        if features.shape[2]:
            features = bridged(continued_back(features, windows), self.is_known, self.season_length or 1)
        if self.has_past_only:
            features = features * self.is_known
        z = (value - center) / scale * observed
        if self.season_length is not None:
            z = fill_gaps(z, observed, self.season_length)
        return Normalised(z, observed, features, center, scale, series, phase)

    def targets(self, windows: torch.Tensor, past: Normalised) -> tuple[torch.Tensor, torch.Tensor]:
        """The future in the same units, and 1 where it is known, else 0: (n, horizon) each."""
        future = windows[:, self.lookback :]
        return (future[..., 0] - past.center) / past.scale * future[..., 1], future[..., 1]

    def inputs(self, windows: torch.Tensor) -> Inputs:
        """Windows as training reads them."""
        past = self.normalise(windows)
        return Inputs(past, *self.targets(windows, past))

    def correction(self, past: Normalised) -> torch.Tensor:
        """What the network adds to the linear forecast."""
        # (n, n_past, d), (n, n_future, d)
        tokens, ahead = self.embedding(past.z, past.observed, past.features, past.series)
        hidden = self.backbone(tokens, ahead)  # (n, n_future, d)
        known = past.features[:, self.lookback :]
        return self.head(hidden, known[..., self.known] if self.has_past_only else known)  # (n, horizon, n_outputs)

    def linear_forecast(self, past: Normalised) -> torch.Tensor:
        """The forecast without the correction, (n, horizon, 1)."""
        if not self.linear_skip:
            return past.z.new_zeros(len(past.z), self.horizon, 1)
        forecast = self.linear(past.z, past.features)
        if self.phases is not None:
            forecast = forecast + self.phases(past.z, past.features, past.phase)
        return (forecast.clamp(*self.limits) if self.bends else forecast).unsqueeze(2)

    def forward(self, past: Normalised) -> torch.Tensor:
        """The forecast in units of the window, (n, horizon, n_outputs)."""
        if self.backbone is None:
            return self.linear_forecast(past)
        return self.linear_forecast(past) * self.head.location + self.correction(past)

    def shrunk(self, past: Normalised, elasticity: torch.Tensor | None = None) -> torch.Tensor:
        """The forecast, its correction kept only as far as it helped in validation; the spread is widened instead."""
        if self.backbone is None:
            return self.linear_forecast(past)
        correction, m = self.correction(past), self.head.middle
        unwanted = (1 - self.shrinkage) * correction[..., m : m + 1]
        outputs = (self.linear_forecast(past) - unwanted) * self.head.location + correction
        return self.head.widened(outputs, self.width * self.relative_width(past, elasticity))

    def relative_width(self, past: Normalised, elasticity: torch.Tensor | None = None) -> torch.Tensor:
        """What the elasticity, its own or others (n, 1, 1), makes of a spread in units of the window: (n, 1, 1).

        It is 1 at the typical scale. Beyond a fourth and four times of it the spread is in proportion again.
        """
        return self.relative_scale(past)[..., None] ** ((self.elasticity if elasticity is None else elasticity) - 1)

    def relative_scale(self, past: Normalised) -> torch.Tensor:
        """The scale of the window in the typical one, as far as widths go by it: (n, 1)."""
        return (past.scale / self.typical_scale).clamp(0.25, 4.0)

    def restore(self, outputs: torch.Tensor, past: Normalised) -> torch.Tensor:
        """Back from the units of the window, in float64."""
        scale, center = past.scale[..., None].double(), past.center[..., None].double()  # (n, 1, 1)
        if not isinstance(self.head, DistributionHead):
            return outputs.double() * scale + center
        return outputs.double() * torch.where(self.head.is_scaled > 0, scale, 1.0) + center * self.head.location
