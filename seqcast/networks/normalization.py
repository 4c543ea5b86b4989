"""Each window in units of its own observed past."""

import torch

__all__ = ["NORMALIZATIONS", "window_center", "window_scale"]

NORMALIZATIONS = ("mean", "mean_std", "last")


def window_center(value: torch.Tensor, observed: torch.Tensor, kind: str) -> torch.Tensor:
    """What is subtracted: the mean of the observed past, or its last value; 0 for an empty window.

    `value` is (n, lookback), 0 where masked; `observed` is (n, lookback) of 0 and 1; the result is (n, 1).
    """
    if kind == "last":
        steps = torch.arange(1, value.shape[1] + 1, device=value.device)
        newest = (observed * steps).argmax(1, keepdim=True)  # the first step, masked, if none is observed
        return value.gather(1, newest)  # (n, 1)
    return value.sum(1, keepdim=True) / observed.sum(1, keepdim=True).clamp(min=1)  # (n, 1)


def window_scale(
    value: torch.Tensor, observed: torch.Tensor, center: torch.Tensor, kind: str, typical: torch.Tensor
) -> torch.Tensor:
    """What is divided by: the root mean square about the center, never below a tenth of the `typical` one.

    "mean" divides every window by the typical one, which keeps the differences of spread between windows.
    An empty window has the typical one too.
    """
    if kind == "mean":
        return typical.expand(len(value), 1)  # (n, 1)
    squares = (observed * (value - center) ** 2).sum(1, keepdim=True)  # (n, 1)
    count = observed.sum(1, keepdim=True)
    spread = (squares / count.clamp(min=1) + (0.1 * typical) ** 2).sqrt()
    return torch.where(count > 0, spread, typical)  # (n, 1)
