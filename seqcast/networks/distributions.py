"""Predictive distributions: what their parameters are, how likely a value is under them, their quantiles."""

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch.nn import functional as F

__all__ = ["DISTRIBUTIONS", "Distribution", "NegativeBinomial", "Normal", "StudentT"]

Floats = NDArray[np.float64]

SMALLEST = 1e-3  # scale or dispersion
FEW = 0.1  # counts below which the mean of a distribution of counts bends away from the linear forecast, towards 0


class Distribution:
    """A family of distributions; parameters stand on the last axis, the first of them says where it lies.

    ``raw`` are the outputs of a network, any real numbers, at first zero.
    """

    names: ClassVar[tuple[str, ...]]
    is_scaled: ClassVar[tuple[float, ...]]  # 1 for what is measured in the unit of the target
    is_count: ClassVar[bool] = False

    def parameters(self, raw: torch.Tensor) -> torch.Tensor:
        """Parameters (..., n_parameters) in their range; the first is free, and added to the linear forecast."""
        raise NotImplementedError

    def loss(self, parameters: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood, in the shape of the target."""
        raise NotImplementedError

    def finished(self, parameters: Floats) -> Floats:
        """Parameters in the unit of the target, once the linear forecast is in the first one."""
        return parameters

    def frozen(self, parameters: Floats) -> stats.distributions.rv_frozen:
        """The distribution of scipy with these finished parameters."""
        raise NotImplementedError

    def quantiles(self, parameters: Floats, levels: Floats) -> Floats:
        """Quantiles, (..., n_levels)."""
        return self.frozen(parameters[..., None, :]).ppf(levels)


class Normal(Distribution):
    """Normal distribution."""

    names = ("loc", "scale")
    is_scaled = (1.0, 1.0)

    def parameters(self, raw: torch.Tensor) -> torch.Tensor:
        return torch.stack((raw[..., 0], _positive(raw[..., 1], 0.5)), -1)

    def loss(self, parameters: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loc, scale = parameters.unbind(-1)
        return ((target - loc) / scale) ** 2 / 2 + scale.log() + math.log(2 * math.pi) / 2

    def frozen(self, parameters: Floats) -> stats.distributions.rv_frozen:
        return stats.norm(parameters[..., 0], parameters[..., 1])


class StudentT(Distribution):
    """Student's t distribution, more than two degrees of freedom."""

    names = ("loc", "scale", "df")
    is_scaled = (1.0, 1.0, 0.0)

    def parameters(self, raw: torch.Tensor) -> torch.Tensor:
        df = 2 + _positive(raw[..., 2], 4.0)
        return torch.stack((raw[..., 0], _positive(raw[..., 1], 0.5), df), -1)

    def loss(self, parameters: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loc, scale, df = parameters.unbind(-1)
        norm = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + (math.pi * df).log() / 2 + scale.log()
        return norm + (df + 1) / 2 * torch.log1p(((target - loc) / scale) ** 2 / df)

    def frozen(self, parameters: Floats) -> stats.distributions.rv_frozen:
        return stats.t(parameters[..., 2], parameters[..., 0], parameters[..., 1])


class NegativeBinomial(Distribution):
    """Negative binomial distribution of counts by its mean m and its dispersion a: the variance is m + a m².

    The mean is ``(x + sqrt(x² + 0.01)) / 2`` with the first parameter x, which is free: close to x where that is
    positive, so that a linear forecast of rare counts is one of their mean, and never 0.
    """

    names = ("mean", "dispersion")
    is_scaled = (1.0, 0.0)
    is_count = True

    def parameters(self, raw: torch.Tensor) -> torch.Tensor:
        return torch.stack((raw[..., 0], _positive(raw[..., 1], 0.3)), -1)

    def loss(self, parameters: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        free, dispersion = parameters.double().unbind(-1)
        mean = ((free + (free**2 + FEW**2).sqrt()) / 2).clamp(min=1e-6)
        size, count = 1 / dispersion, target.double()
        norm = torch.lgamma(size) + torch.lgamma(count + 1) - torch.lgamma(count + size)
        return (norm + size * torch.log1p(mean / size) + count * (torch.log1p(size / mean))).float()

    def finished(self, parameters: Floats) -> Floats:
        free = parameters[..., 0]
        return np.stack((np.maximum((free + np.hypot(free, FEW)) / 2, 1e-6), parameters[..., 1]), -1)

    def frozen(self, parameters: Floats) -> stats.distributions.rv_frozen:
        mean, size = parameters[..., 0], 1 / parameters[..., 1]
        return stats.nbinom(size, size / (size + mean))


DISTRIBUTIONS: dict[str, Distribution] = {
    "normal": Normal(),
    "student_t": StudentT(),
    "negative_binomial": NegativeBinomial(),
}


def _positive(raw: torch.Tensor, first: float) -> torch.Tensor:
    """Softplus with the value `first` at 0."""
    return SMALLEST + F.softplus(raw + math.log(math.expm1(first - SMALLEST)))
