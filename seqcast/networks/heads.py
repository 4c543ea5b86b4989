"""Hidden states become forecasts, zero at first: training begins at the linear forecast."""

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Head", "QuantileHead"]


class Head(nn.Module):
    """Outputs for every step of the future; covariates known for a step are read beside its token, unpatched."""

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

    def __init__(self, head: Head, middle: int, first_step: float = 0.1):
        super().__init__()
        self.head, self.middle = head, middle
        self.offset = torch.tensor(first_step).expm1().log().item()  # softplus(offset) = first_step

    def forward(self, hidden: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        raw, m = self.head(hidden, known), self.middle  # (n, horizon, n_levels)
        steps = F.softplus(raw + self.offset)
        middle = raw[..., m : m + 1]
        above = middle + steps[..., m + 1 :].cumsum(-1)
        below = middle - steps[..., :m].flip(-1).cumsum(-1).flip(-1)
        return torch.cat((below, middle, above), -1)  # (n, horizon, n_levels), increasing
