"""What a verdict looks at: forecasts of the validation tail before it is learned from, and how training went."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seqcast.models._model import WindowModel
from seqcast.models._split import Split
from seqcast.models._task import Task
from seqcast.networks.forecast import ForecastNetwork
from seqcast.panel import Panel
from seqcast.training import EVALUATION_BATCH, Sample, TrainingOptions, is_cut_short
from seqcast.verdict import N_WINDOWS, Tail, Training, Verdict, few_pairs, judge

__all__ = ["TailCheck", "check_tail", "tail_truth", "truth_at", "verdict_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WINDOWS_EACH, MOST_WINDOWS = 4, 4000  # of the tail that are looked at, for each series and of all
N_SEEN = 4000  # training windows, at most, whose extremes count as seen


@dataclass(frozen=True)
class TailCheck:
    """A member's forecasts of the tail, and its training."""

    forecast: Floats  # (n, horizon)
    training: Training


def check_tail(
    model: WindowModel,
    panel: Panel,
    split: Split,
    task: Task,
    history: dict[str, list[float]] | None = None,
    options: TrainingOptions | None = None,
) -> TailCheck:
    """Forecast the tail with a model that has not learned from it."""
    novelty = _novelty(model.network, task, split)
    forecast = model.forecast(panel, *tail_origins(split, model.network.horizon))
    if history is None or options is None or not history["step"]:
        return TailCheck(forecast, Training(novelty))
    ratio = history["train_loss"][-1] / max(history["validation_loss"][-1], 1e-12)
    is_used = float(model.network.shrinkage) > 0
    cut_short = is_used and is_cut_short(history, options)
    return TailCheck(forecast, Training(novelty, cut_short, ratio, int(history["step"][-1])))


def verdict_of(checks: list[TailCheck], panel: Panel, split: Split, unit: Floats, season_length: int) -> Verdict:
    """Judge the mean of the members' forecasts; `unit` (n_series,) makes the errors of series comparable."""
    forecast = np.mean([check.forecast for check in checks], axis=0)
    horizon = forecast.shape[1]
    series, positions, truth = tail_truth(panel, split, horizon)
    tail = Tail.of(panel, series, positions, truth, forecast, unit, season_length)
    parts = [check.training for check in checks]
    training = Training(
        min(part.novelty for part in parts),
        sum(part.is_cut_short for part in parts) > len(parts) / 2,
        min(part.loss_ratio for part in parts),
        max(part.n_steps for part in parts),
    )
    return judge(tail, training, season_length)


def tail_truth(panel: Panel, split: Split, horizon: int) -> tuple[Integers, Integers, Floats]:
    """What there is to forecast from these origins: series, positions and values (n, horizon), NaN where unknown."""
    series, positions = tail_origins(split, horizon)
    return series, positions, truth_at(panel, split.ends, series, positions, horizon)


def truth_at(panel: Panel, ends: Integers, series: Integers, positions: Integers, horizon: int) -> Floats:
    """The values from origins on, (n, horizon), NaN from `ends` (n_series,) on."""
    ahead = positions[:, None] + np.arange(horizon)
    rows = panel.indptr[series, None] + np.minimum(ahead, panel.lengths[series, None] - 1)
    return np.where(ahead < ends[series, None], panel.values[rows], np.nan)


def tail_origins(split: Split, horizon: int) -> tuple[Integers, Integers]:
    """Series and positions of some origins of the tail, in neighbouring pairs, whatever the lookback."""
    most = int(np.clip(WINDOWS_EACH * split.panel.n_series, N_WINDOWS, MOST_WINDOWS))
    return few_pairs(*split.origins(len(split.panel.values), horizon, part="validation"), most)


@torch.inference_mode()
def _novelty(network: ForecastNetwork, task: Task, split: Split) -> float:
    """The most extreme value of the last windows over that of the training windows, in units of the window."""
    windows = task.everything.windows
    last = Sample(windows, windows.rows(np.arange(split.panel.n_series), split.ends))
    return _extreme(network, last) / max(_extreme(network, task.train.thinned(N_SEEN)), 1e-6)


def _extreme(network: ForecastNetwork, sample: Sample) -> float:
    return max(float(network.normalise(batch).z.abs().max()) for batch in sample.batches(EVALUATION_BATCH))
