"""Each window in units of its own observed past."""

import torch
from torch.nn import functional as F

__all__ = ["NORMALIZATIONS", "bridged", "continued_back", "fill_gaps", "window_center", "window_scale"]

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


def fill_gaps(z: torch.Tensor, observed: torch.Tensor, season_length: int) -> torch.Tensor:
    """Fill what is masked in windows (n, lookback) from their own observed steps.

    Less the mean of its place in the season, a gap is a straight line between its ends, and level at the ends of the
    window; where a place was never observed, or the window holds less than two seasons, that mean is 0.
    """
    gappy = (~observed.all(1)).nonzero()[:, 0]
    if len(gappy) < len(z):
        return z.index_copy(0, gappy, fill_gaps(z[gappy], observed[gappy], season_length)) if len(gappy) else z
    n, lookback = z.shape
    profile = _seasonal_means(z, observed, season_length)  # (n, lookback)
    step = torch.arange(lookback, device=z.device).expand(n, -1)
    is_observed = observed > 0
    before = torch.where(is_observed, step, -1).cummax(1).values
    after = torch.where(is_observed, step, lookback).flip(1).cummin(1).values.flip(1)
    left, right = before.clamp(min=0), after.clamp(max=lookback - 1)
    left, right = torch.where(before < 0, right, left), torch.where(after == lookback, left, right)
    rest = (z - profile) * observed
    share = (step - left) / (right - left).clamp(min=1)
    line = torch.lerp(rest.gather(1, left), rest.gather(1, right), share.to(z.dtype))
    return torch.where(is_observed, z, profile + line)


def continued_back(features: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """Features (n, steps, k); before a series begins, where windows (n, steps, channels) are 0, as in its first row."""
    if (windows[:, 0] != 0).any(1).all():
        return features
    first = (windows != 0).any(2).int().argmax(1, keepdim=True)  # (n, 1)
    steps = torch.arange(features.shape[1], device=features.device).maximum(first)  # (n, steps)
    return features.gather(1, steps[..., None].expand_as(features))


def bridged(features: torch.Tensor, is_known: torch.Tensor, season_length: int) -> torch.Tensor:
    """Features (n, steps, k) with their gaps, NaN, filled like those of the target, about the mean of their window.

    What is not known at a step, by `is_known` (steps, k), fills no gap: nothing after the origin that comes late.
    """
    missing = features.isnan()
    if not missing.any():
        return features
    values, known = features.nan_to_num(), (~missing & is_known).to(features)
    center = (values * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)  # (n, 1, k)
    z, observed = (x.mT.flatten(0, 1) for x in (values - center, known))  # (n * k, steps)
    return fill_gaps(z, observed, season_length).unflatten(0, (len(features), -1)).mT + center


def _seasonal_means(z: torch.Tensor, observed: torch.Tensor, season_length: int) -> torch.Tensor:
    """Mean of the observed steps at each step's place in the season, (n, lookback)."""
    lookback = z.shape[1]
    if not 1 < season_length <= lookback // 2:
        return torch.zeros_like(z)
    missing = -lookback % season_length
    total, count = (F.pad(x, (missing, 0)).unflatten(1, (-1, season_length)).sum(1) for x in (z * observed, observed))
    means = total / count.clamp(min=1)  # (n, season_length)
    return means.repeat(1, (lookback + missing) // season_length)[:, missing:]
