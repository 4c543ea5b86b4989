"""Dropout that draws from a generator of its own: torch's global one stays the user's, and threads do not mix."""

import torch
from torch import nn

__all__ = ["Dropout", "set_generator"]


class Dropout(nn.Module):
    """Leave out a share `p` of the units in training, to the nearest 1/256; eight masks cost one random number."""

    def __init__(self, p: float):
        super().__init__()
        self.threshold = round(256 * p)
        self.generator: torch.Generator | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.threshold == 0:
            return x
        bits = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        bits.random_(-(2**63), None, generator=self.generator)
        is_kept = bits.view(torch.uint8)[: x.numel()].view(x.shape) >= self.threshold
        return x * is_kept * (256 / max(256 - self.threshold, 1))


def set_generator(network: nn.Module, generator: torch.Generator | None) -> None:
    """Let every dropout of the network draw from `generator`."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator
