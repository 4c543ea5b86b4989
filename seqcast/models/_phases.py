"""What is added to the linear forecast at each phase of the season, as far as the tail says that it helps."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pandas.tseries.offsets import CustomBusinessDay

from seqcast.gains import is_doubtful, n_horizons, share_to_keep
from seqcast.networks.forecast import ForecastNetwork
from seqcast.panel import Panel
from seqcast.training import EVALUATION_BATCH, Sample

__all__ = ["fit_phases", "phases_of", "tells_phase"]

Integers = NDArray[np.int64]
Moments = tuple[torch.Tensor, torch.Tensor]  # of each phase, float64: Z'Z and Z'E, E what the linear forecast leaves

SHORTEST_SEASON, MOST_PHASES = 4, 48  # steps, each of which may be a phase; of a longer season some are one
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # in units of the mean diagonal of Z'Z
MANY_WINDOWS = 20  # without overlap, from which on phases are told apart
FEW_HORIZONS = 10  # in the tail, by which only a gain that is beyond doubt counts
PRIOR_SHARE, PRIOR_DEVIATION = 0.5, 0.25  # of what is added that is worth keeping, as of a network's correction
STEPS_A_NEIGHBOUR = 12  # of a season, for one phase on either side that is learned from too
CHUNK = 4096


def phases_of(panel: Panel, season_length: int, window: int) -> int:
    """How many phases forecasts may have; 0 where dates do not tell them, or the values hold few windows.

    A window is what is read at a phase, a season or the lookback, and the horizon. A day of quarters of an hour has 48
    phases of two steps each.
    """
    is_many = np.count_nonzero(~np.isnan(panel.values)) >= MANY_WINDOWS * window
    if not (tells_phase(panel) and is_many and season_length >= SHORTEST_SEASON):
        return 0
    if season_length > MOST_PHASES:
        return 0 if season_length % MOST_PHASES else MOST_PHASES
    return season_length


def tells_phase(panel: Panel) -> bool:
    """Whether dates tell which phase of the season a step is, the same for all series.

    Of an exchange they do not: a holiday is no step, and moves all later days of the week.
    """
    return panel.axis.kind in ("datetime", "period") and not isinstance(panel.axis.freq, CustomBusinessDay)


@torch.inference_mode()
def fit_phases(
    network: ForecastNetwork, train: Sample, validation: Sample | None, at: tuple[Integers, Integers] | None
) -> None:
    """Regress what the linear forecast leaves on the last season and the covariates, for each phase.

    Ridge regression, of windows that count by one over the size of what is left in them, plus the usual size: a few
    wild ones would decide else. Of seasons from 12 steps on, neighbouring phases are learned from too. The validation
    windows, whose series and times are `at`, say with which penalty, and what share is kept: none if it does not help
    them, or may do so by luck where they are few. Without them both stay as they were found.
    """
    phases = network.phases
    phases.weight.zero_()
    if validation is None and phases.penalty == np.inf:
        return
    moments = _moments(network, train)
    if validation is not None and at is not None:
        phases.penalty, share = _best_penalty(network, moments, validation, at)
        phases.share.fill_(share)
    if phases.penalty < np.inf:
        phases.weight.copy_(phases.share * _solved(moments, phases.penalty))
        phases.most.fill_(np.inf)
        pasts = (network.normalise(batch) for batch in train.batches(EVALUATION_BATCH))
        sizes = [phases(past.z, past.features, past.phase).abs().amax(0) for past in pasts]
        phases.most.copy_(torch.stack(sizes).amax(0))


def _rests(network: ForecastNetwork, sample: Sample) -> Iterator[tuple[Any, ...]]:
    """Regressors, what the linear forecast leaves, where that is known, and phases of windows, in batches."""
    for batch in sample.batches(CHUNK):
        past = network.normalise(batch)
        target, known = network.targets(batch, past)
        design, linear = (part(past.z, past.features) for part in (network.phases.design, network.linear))
        yield design.double(), ((target - linear) * known).double(), known, past.phase


def _moments(network: ForecastNetwork, train: Sample) -> Moments:
    n_phases, n_columns, horizon = network.phases.weight.shape
    gram = torch.zeros(n_phases, n_columns, n_columns, dtype=torch.float64, device=train.rows.device)
    cross = torch.zeros(n_phases, n_columns, horizon, dtype=torch.float64, device=train.rows.device)
    for design, rest, known, phase in _rests(network, train):
        weighted = design * (_weights(rest, known) * known.mean(1, keepdim=True))
        for k in range(n_phases):
            gram[k] += weighted[phase == k].T @ design[phase == k]
            cross[k] += weighted[phase == k].T @ rest[phase == k]
    reach = n_phases // STEPS_A_NEIGHBOUR
    shifts = range(-reach, reach + 1)
    pooled = [torch.stack([0.5 ** abs(k) * moment.roll(k, 0) for k in shifts]).sum(0) for moment in (gram, cross)]
    return pooled[0], pooled[1]


def _weights(rest: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """How much windows count, (n, 1): those with large errors less."""
    size = ((rest**2).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)).sqrt()
    return 1 / (size + size.median()).clamp(min=1e-9)


def _solved(moments: Moments, penalty: float) -> torch.Tensor:
    """Coefficients of each phase, (n_phases, n_columns, horizon)."""
    gram, cross = moments
    unit = gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)  # (n_phases,)
    return torch.linalg.solve(gram + torch.diag_embed((penalty * unit)[:, None].expand(gram.shape[:2])), cross)


def _best_penalty(
    network: ForecastNetwork, moments: Moments, validation: Sample, at: tuple[Integers, Integers]
) -> tuple[float, float]:
    """The penalty with the lowest squared error, windows weighted, and the share to keep; infinity and 0, if none."""
    rests = list(_rests(network, validation))
    rest, known = (torch.cat([part[k] for part in rests]) for k in (1, 2))
    weights = _weights(rest, known)
    best, correction, least = np.inf, torch.zeros_like(rest), float((weights * rest**2).sum())
    for penalty in PENALTIES:
        weight = _solved(moments, penalty)
        added = torch.cat([_added(weight, design, phase) for design, _, _, phase in rests]) * known
        square = float((weights * (rest - added) ** 2).sum())
        if square < least:
            best, correction, least = penalty, added, square
    more, left, is_known = (part.double().cpu().numpy() for part in (correction, rest, known))
    gain = weights.cpu().numpy() * (left**2 - (left - more) ** 2)
    is_few = n_horizons(np.where(is_known, left, np.nan), at[1]) < FEW_HORIZONS
    if best == np.inf or (is_few and is_doubtful(gain, left, is_known, *at)):
        return np.inf, 0.0
    return best, share_to_keep(more, left, is_known, *at, prior=PRIOR_SHARE, deviation=PRIOR_DEVIATION)


def _added(weight: torch.Tensor, design: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
    """What weights (n_phases, n_columns, horizon) make of the regressors (n, n_columns): (n, horizon)."""
    added = design.new_zeros(len(design), weight.shape[2])
    for k in phase.unique():
        added[phase == k] = design[phase == k] @ weight[k]
    return added
