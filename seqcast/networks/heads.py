"""Hidden states become forecasts, zero at first: training begins at the linear forecast.

Every head says which of its outputs the linear forecast is added to (``location``, 1 or 0), which are in the unit of
the window (``is_scaled``), and which is in the middle.
"""

from itertools import accumulate

import torch
from torch import nn
from torch.nn import functional as F

from seqcast.networks.distributions import Distribution

__all__ = ["DistributionHead", "Head", "QuantileHead", "finished_head"]


class Head(nn.Module):
    """Outputs for every step of the future; covariates known for a step are read beside its token, unpatched."""

    location: torch.Tensor  # (n_outputs,)
    is_scaled: torch.Tensor  # (n_outputs,)
    middle = 0

    def __init__(self, width: int, horizon: int, n_known: int, *, patch_length: int, n_outputs: int = 1):
        super().__init__()
        self.horizon, self.n_known = horizon, n_known
        step_width = min(width, 32) if n_known else n_outputs
        self.unpatch = nn.Linear(width, patch_length * step_width)
        last = self.unpatch
        if n_known:
            self.known = nn.Linear(n_known, step_width)
            self.out = last = nn.Linear(step_width, n_outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.step_width = step_width
        _name_outputs(self, [1.0] * n_outputs, [1.0] * n_outputs)

    def widened(self, outputs: torch.Tensor, factor: torch.Tensor | float) -> torch.Tensor:
        """Point forecasts have no width."""
        return outputs

    def spread(self, outputs: torch.Tensor) -> torch.Tensor:
        """Take all point forecasts to be as uncertain, (n, horizon)."""
        return torch.ones_like(outputs[..., 0])

    def forward(self, hidden: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """`hidden` (n, n_tokens, width) and covariates `known` (n, horizon, n_known) give (n, horizon, n_outputs)."""
        steps = self.unpatch(hidden).view(len(hidden), -1, self.step_width)[
            :, : self.horizon
        ]  # (n, horizon, step_width)
        return self.out(F.gelu(steps + self.known(known))) if self.n_known else steps


class QuantileHead(nn.Module):
    """Quantiles that cannot cross: one level is free, each further one adds or subtracts a positive step.

    ``q[m] = f[m]``, ``q[k] = q[k - 1] + softplus(f[k])`` above the middle level m, and the mirror image below.
    """

    location: torch.Tensor  # (n_levels,)
    is_scaled: torch.Tensor  # (n_levels,)

    def __init__(self, head: Head, middle: int, first_step: float = 0.1):
        super().__init__()
        self.head, self.middle = head, middle
        self.offset = torch.tensor(first_step).expm1().log().item()  # softplus(offset) = first_step
        _name_outputs(self, head.location.tolist(), head.is_scaled.tolist())

    def widened(self, outputs: torch.Tensor, factor: torch.Tensor | float) -> torch.Tensor:
        """Quantiles whose distances from the middle one are multiplied."""
        middle = outputs[..., self.middle : self.middle + 1]
        return middle + factor * (outputs - middle)

    def spread(self, outputs: torch.Tensor) -> torch.Tensor:
        """From the lowest level to the highest, (n, horizon)."""
        return outputs[..., -1] - outputs[..., 0]

    def forward(self, hidden: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        raw = self.head(hidden, known).permute(2, 0, 1).contiguous()  # (n_levels, n, horizon)
        steps, middle = F.softplus(raw + self.offset).unbind(), raw[self.middle]
        below = accumulate(steps[: self.middle][::-1], torch.sub, initial=middle)
        above = accumulate(steps[self.middle + 1 :], torch.add, initial=middle)
        levels = [*list(below)[:0:-1], *above]
        return torch.stack(levels).permute(1, 2, 0)  # (n, horizon, n_levels), increasing


class DistributionHead(nn.Module):
    """Parameters of a distribution for every step."""

    location: torch.Tensor  # (n_parameters,)
    is_scaled: torch.Tensor  # (n_parameters,)
    middle = 0

    def __init__(self, head: Head, distribution: Distribution):
        super().__init__()
        self.head, self.distribution = head, distribution
        n_others = len(distribution.names) - 1
        _name_outputs(self, [1.0] + [0.0] * n_others, list(distribution.is_scaled))

    def widened(self, outputs: torch.Tensor, factor: torch.Tensor | float) -> torch.Tensor:
        """Parameters with the second one, scale or dispersion, multiplied."""
        return torch.cat((outputs[..., :1], factor * outputs[..., 1:2], outputs[..., 2:]), -1)

    def spread(self, outputs: torch.Tensor) -> torch.Tensor:
        """The second parameter, (n, horizon)."""
        return outputs[..., 1]

    def forward(self, hidden: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        return self.distribution.parameters(self.head(hidden, known))  # (n, horizon, n_parameters)


def finished_head(
    head: Head, levels: tuple[float, ...], family: Distribution | None
) -> Head | QuantileHead | DistributionHead:
    """The head of a distribution, if there is a family, or of quantiles, if there are levels."""
    if family:
        return DistributionHead(head, family)
    middle = min(range(len(levels)), key=lambda k: abs(levels[k] - 0.5), default=0)
    return QuantileHead(head, middle) if levels else head


def _name_outputs(head: nn.Module, location: list[float], is_scaled: list[float]) -> None:
    head.register_buffer("location", torch.tensor(location), persistent=False)
    head.register_buffer("is_scaled", torch.tensor(is_scaled), persistent=False)
