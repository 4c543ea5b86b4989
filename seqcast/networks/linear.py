"""The linear skip: ridge regression of the future on the window, in closed form."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["LinearSkip", "PhaseSkip", "RidgePath"]

MAX_COLUMNS = 1500  # of covariates; beyond that neighbouring steps of them are averaged
MAX_COLUMNS_BY_PHASE = 128  # of covariates
N_IMPUTATIONS = 5
WIDE = 256  # columns, from which on half a symmetric product is faster than all of it
SHORTEST_SEASON = 8  # steps after which coefficients are expected to be smaller

Batches = Callable[[], Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]


class LinearSkip(nn.Module):
    """Linear forecast of every step from the normalised window, and covariates of past and future steps.

    Of calendar columns, the last of the covariates, it reads the origin only: they say the same at every step.

    In ridge regression its coefficients are shrunk to those of exponential smoothing, and to one effect of each known
    covariate at every step. How far they lie from these is expected to be half as much for the second-last season as
    for the last, a third as much for the third-last, and so on (Litterman [1]_): ``expected`` are these factors.

    References
    ----------
    .. [1] Litterman, R. B. (1986). Forecasting with Bayesian vector autoregressions: five years of experience. Journal
       of Business & Economic Statistics, 4(1), 25-38.
    """

    weight: torch.Tensor  # (n_columns, horizon)
    expected: torch.Tensor  # (n_columns,)
    n_curves, curve_steps = 0, 1  # of what was pickled before there were curves

    def __init__(
        self,
        lookback: int,
        horizon: int,
        n_features: int,
        n_calendar: int = 0,
        season_length: int = 1,
        n_curves: int = 0,
    ):
        super().__init__()
        self.lookback, self.n_calendar, self.n_curves = lookback, n_calendar, n_curves
        n_steps, n_straight = lookback + horizon, n_features - n_curves
        # steps averaged into one column
        self.steps, self.curve_steps = (-(-n_steps * n // MAX_COLUMNS) or 1 for n in (n_straight, n_curves))
        ages = torch.arange(lookback - 1, -horizon - 1, -1) // max(season_length, SHORTEST_SEASON)
        sizes = 1 / (1 + ages.clamp(min=0))  # (lookback + horizon,)
        straight = sizes.flip(0)[:: self.steps].flip(0).repeat_interleave(n_straight)
        curves = sizes.flip(0)[:: self.curve_steps].flip(0).repeat_interleave(n_curves)
        expected = torch.cat((sizes[:lookback], torch.ones(1 + n_calendar), straight, curves))
        self.register_buffer("weight", torch.zeros(len(expected), horizon))
        self.register_buffer("expected", expected, persistent=False)

    def design(self, z: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The regressors: window (n, lookback), a constant, covariates (n, lookback + horizon, n_features).

        The last of these, but for calendar columns, are curves.
        """
        columns = [z, z.new_ones(len(z), 1)]
        if self.n_calendar:
            features, calendar = features.tensor_split((features.shape[2] - self.n_calendar,), 2)
            columns.append(calendar[:, self.lookback])  # (n, n_calendar)
        straight, curves = features.tensor_split((features.shape[2] - self.n_curves,), 2)
        if straight.shape[2]:
            columns.append(_blocks(straight, self.steps))  # (n, n_blocks * n_features)
        if self.n_curves:
            columns.append(_blocks(curves, self.curve_steps))
        return torch.cat(columns, 1)  # (n, n_columns)

    def smoothed(self, smoothing: torch.Tensor, effects: torch.Tensor) -> torch.Tensor:
        """Coefficients of smoothing (lookback, horizon) of what effects (n_features,) leave, and of these."""
        horizon = smoothing.shape[1]
        own = torch.cat((-smoothing, torch.eye(horizon).to(smoothing)))  # (lookback + horizon, horizon)
        covariates = own[:, None] * effects[:, None]  # (lookback + horizon, n_features, horizon)
        straight, curves = covariates.tensor_split((len(effects) - self.n_curves,), 1)
        blocks = [_summed(straight, self.steps), _summed(curves, self.curve_steps)]
        return torch.cat((smoothing, smoothing.new_zeros(1 + self.n_calendar, horizon), *blocks))

    def forward(self, z: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        if not features.shape[2]:
            return z @ self.weight[:-1] + self.weight[-1]  # (n, horizon)
        return self.design(z, features) @ self.weight  # (n, horizon)


class PhaseSkip(nn.Module):
    """What is added to the linear forecast at each phase of the season: at each hour of the day, if that is the season.

    It is linear in the last season, and in the covariates from there on, but no larger than it was in fit. What the
    last hours say of the next depends on the hour: prices of a day are made together, at noon of the day before.
    """

    weight: torch.Tensor  # (n_phases, n_columns, horizon)
    share: torch.Tensor  # (), what is kept of what was learned
    most: torch.Tensor  # (horizon,), the largest there is

    def __init__(self, lookback: int, horizon: int, n_features: int, n_phases: int, season_length: int):
        super().__init__()
        self.lookback, self.horizon, self.n_features = lookback, horizon, n_features
        self.length = season_length // n_phases  # steps of a phase, averaged into one column of the last season
        self.n_own = min(season_length, lookback)
        n_steps = self.n_own + horizon
        self.steps = -(-n_steps * n_features // MAX_COLUMNS_BY_PHASE) or 1  # steps averaged into one column
        n_columns = -(-self.n_own // self.length) + 1 + -(-n_steps // self.steps) * n_features
        self.register_buffer("weight", torch.zeros(n_phases, n_columns, horizon))
        self.register_buffer("share", torch.zeros(()))
        self.register_buffer("most", torch.full((horizon,), torch.inf))
        self.penalty = float("inf")  # by which it is learned

    def design(self, z: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The regressors (n, n_columns) of windows z (n, lookback) and features (n, lookback + horizon, n)."""
        columns = [_blocks(z[:, -self.n_own :, None], self.length), z.new_ones(len(z), 1)]
        if self.n_features:
            columns.append(_blocks(features[:, self.lookback - self.n_own :, : self.n_features], self.steps))
        return torch.cat(columns, 1)

    def forward(self, z: torch.Tensor, features: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
        """Of windows whose origins have these phases (n,): (n, horizon)."""
        at_every_phase = self.design(z, features) @ self.weight.transpose(0, 1).flatten(1)
        at_every_phase = at_every_phase.unflatten(1, (-1, self.horizon))  # (n, n_phases, horizon)
        added = at_every_phase.gather(1, phase[:, None, None].expand(-1, 1, self.horizon))[:, 0]
        return added.clamp(-self.most, self.most)


def _blocks(features: torch.Tensor, steps: int) -> torch.Tensor:
    """Features (n, n_steps, k), so many steps averaged into one and laid behind each other: (n, n_blocks * k)."""
    missing = -features.shape[1] % steps
    return F.pad(features, (0, 0, missing, 0)).unflatten(1, (-1, steps)).mean(2).flatten(1)


def _summed(weights: torch.Tensor, steps: int) -> torch.Tensor:
    """Weights (n_steps, k, horizon), so many steps added into one: (n_blocks * k, horizon)."""
    missing = -len(weights) % steps
    return F.pad(weights, (0, 0, 0, 0, missing, 0)).unflatten(0, (-1, steps)).sum(1).flatten(0, 1)


class RidgePath:
    """Ridge regression for every penalty at once, from one eigendecomposition of the Gram matrix (float64).

    ``B(penalty) = B0 + V (D + penalty I)^-1 V' Z'(Y - Z B0)`` with ``Z'Z = V D V'``, where Z are the regressors times
    the expected size of their coefficients, and B0 is what these are shrunk to. A penalty is given in units of the mean
    diagonal of ``Z'Z``. Missing targets are filled with the ridge's own forecasts until these hardly move (EM),
    which converges to least squares over the known targets.

    Parameters
    ----------
    batches : callable
        Gives anew an iterable of design (n, n_columns), target (n, horizon) and weight (n, horizon), which is 1 where
        the target is known, else 0.
    expected : Tensor, (n_columns,)
        Expected size of the coefficients of each regressor, less the prior, up to a common factor.
    prior : Tensor, (n_columns, horizon)
        Coefficients at an infinite penalty.
    imputing_penalty : float
        Penalty of the forecasts that fill in missing targets.
    """

    def __init__(self, batches: Batches, expected: torch.Tensor, prior: torch.Tensor, imputing_penalty: float = 1.0):
        gram, cross, is_complete = _moments(batches)
        expected, self.prior = expected.double(), prior.double()
        explained = gram @ self.prior
        gram = expected[:, None] * gram * expected
        self.eigenvalues, vectors = torch.linalg.eigh(gram)  # (n_columns,), (n_columns, n_columns)
        self.unit = gram.diagonal().mean().clamp(min=1e-12)
        self.vectors = expected[:, None] * vectors
        coefficients = self.prior
        for _ in range(1 if is_complete else 1 + N_IMPUTATIONS):
            filled = cross if is_complete else cross + _imputed_cross(batches, coefficients)
            self.cross = self.vectors.T @ (filled - explained)  # (n_columns, horizon)
            coefficients = self.weight(imputing_penalty)

    def weight(self, penalty: float) -> torch.Tensor:
        """Coefficients, (n_columns, horizon)."""
        return self.prior + self.vectors @ self.projected_weight(penalty)

    def projected_weight(self, penalty: float) -> torch.Tensor:
        """Coefficients, less the prior, of the regressors times ``vectors``, (n_columns, horizon)."""
        shrunk = self.eigenvalues.clamp(min=0) + penalty * self.unit
        return self.cross / shrunk[:, None]


def _moments(batches: Batches) -> tuple[torch.Tensor, torch.Tensor, bool]:
    gram = cross = torch.zeros(())
    is_complete = True
    for design, target, weight in batches():
        design = design.double()
        gram = gram + _gram(design)  # (n_columns, n_columns)
        cross = cross + design.T @ (target * weight).double()  # (n_columns, horizon)
        is_complete = is_complete and bool(weight.all())
    return gram, cross, is_complete


def _gram(design: torch.Tensor) -> torch.Tensor:
    """``Z'Z``; of many columns half by half, as what lies below the diagonal need not be computed."""
    n_columns = design.shape[1]
    if n_columns <= WIDE:
        return design.T @ design
    left, right = design.tensor_split(2, 1)
    across = left.T @ right
    return torch.cat((torch.cat((_gram(left), across), 1), torch.cat((across.T, _gram(right)), 1)))


def _imputed_cross(batches: Batches, coefficients: torch.Tensor) -> torch.Tensor:
    """The share of ``Z'Y`` that the missing targets have, forecasts in their place; float32 is enough for these."""
    cross, coefficients = torch.zeros(()), coefficients.float()
    for design, _, weight in batches():
        has_gaps = (weight == 0).any(1)
        design = design[has_gaps].float()
        cross = cross + (design.T @ ((design @ coefficients) * (weight[has_gaps] == 0))).double()
    return cross
