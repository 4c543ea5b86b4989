"""Task: what a forecaster learns from, split in time; and the automatic choices, ranked by the ridge on the tail."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seqcast.exceptions import ShortSeriesError
from seqcast.gains import NORMAL, half_width, is_doubtful, mean_and_variance, n_horizons
from seqcast.metrics import seasonal_scale
from seqcast.models._calibration import FEWEST_WINDOWS, fit_linear, set_typical_scale
from seqcast.models._curves import columns_that_bend
from seqcast.models._model import FeatureScaling, WindowModel, sample_of
from seqcast.models._split import Split
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.normalization import NORMALIZATIONS
from seqcast.panel import Panel
from seqcast.paths import LEVELS
from seqcast.reversion import may_wander
from seqcast.seasons import WEEK
from seqcast.training import Sample
from seqcast.transforms import TargetScaling, fit_scaling, log_is_allowed, moves_by_factors, spread_grows

__all__ = ["Choice", "Task", "choose", "make_task", "patch_length_for"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_LOOKBACK = 512
DAYS = (24, 48, 72, 96, 144, 288)  # steps of a day, from hours to five minutes
MAX_TRAIN, MAX_VALIDATION = 8000, 1000  # windows by which a choice is ranked
NEGLIGIBLE = 0.01  # of the error
SLIGHT = 0.1  # of the error: a smaller gain by another transform may be luck where there are few horizons
TOLERABLE = 0.03  # of the error, in a member among others
MANY_WINDOWS = 20  # without overlap, that a shorter history must hold
ONE_SIDED = 1.645  # standard errors that luck exceeds in one of 20 cases
FEW_HORIZONS, MAX_FOLDS = 10, 3  # in the tail, for which earlier stretches are forecast too
DOUBTFUL = 0.2  # of the error: a smaller gain over the last value or a shorter lookback may be luck
FEWEST_HORIZONS = 5  # by which the last value may be judged; where there are fewer, smoothing is as good
MAX_TAIL = 4096  # validation windows of the chosen network


@dataclass(frozen=True)
class Choice:
    """What can be chosen automatically and changes the ridge."""

    target_transform: str
    normalization: str
    lookback: int
    training_length: int | None = None  # steps of each series, the latest, that are learned from; None is all
    penalty: float | None = None  # of the ridge, where it is settled: infinity is none
    curves: tuple[int, ...] = ()  # covariates whose squares and products are learned from


class Trial(NamedTuple):
    """How a choice did on the validation tail, or on some stretches."""

    errors: Floats  # (n, horizon): scaled errors, NaN where the target is not known
    penalty: float
    series: Integers  # (n,)
    times: Integers  # (n,)

    @property
    def mean(self) -> float:
        """Mean absolute scaled error."""
        return float(np.nanmean(np.abs(self.errors)))


@dataclass(frozen=True)
class Task:
    """The windows of one choice; validation windows are later in time than those of train."""

    scaling: TargetScaling
    features: FeatureScaling
    train: Sample
    validation: Sample | None
    everything: Sample
    tail: tuple[Integers, Integers]  # (n_validation,) each: series and times


def make_task(
    split: Split,
    choice: Choice,
    horizon: int,
    device: torch.device | str = "cpu",
    model: WindowModel | None = None,
    *,
    architecture: dict[str, Any] | None = None,
) -> Task:
    """Lay out the windows of train, of the validation tail, and of both; in the units of `model` if it is given.

    They have the channels that a network of that architecture reads.
    """
    own = architecture or {}
    panel = split.panel
    lookback, length = choice.lookback, choice.training_length
    scaling = model.scaling if model else fit_scaling(choice.target_transform, panel.values, panel.indptr)
    features = model.features if model else FeatureScaling.fitted(panel.features)
    layout: dict[str, Any] = {
        "lookback": lookback,
        "horizon": horizon,
        "device": device,
        "knows_series": own.get("n_series", 0) > 0,
        "season_length": own["season_length"] if own.get("n_phases") else 0,
    }
    everything = sample_of(
        panel,
        split.ends,
        scaling,
        features,
        *split.origins(lookback, horizon, part="everything", length=length),
        **layout,
    )
    train_origins = split.origins(lookback, horizon, part="train", length=length)
    series, positions = split.origins(lookback, horizon, part="validation")
    if not len(everything.rows):
        raise ShortSeriesError(
            "No known value has a known value among the steps before it. Raise lookback, or fill gaps."
        )
    if not len(positions) or not len(train_origins[0]):
        return Task(scaling, features, everything, None, everything, (series, panel.first[series] + positions))
    train = sample_of(panel, split.cuts, scaling, features, *train_origins, **layout)
    thin = np.unique(np.linspace(0, len(positions) - 1, MAX_TAIL).astype(np.int64))
    series, positions = series[thin], positions[thin]
    validation = Sample(everything.windows, everything.windows.rows(series, positions))
    return Task(scaling, features, train, validation, everything, (series, panel.first[series] + positions))


def choose(
    split: Split,
    past_only: tuple[bool, ...],
    *,
    horizon: int,
    season_length: int,
    wanted: dict[str, Any],
    n_calendar: int = 0,
) -> tuple[list[Choice], list[dict[str, Any]]]:
    """Choose what is "auto" by the mean absolute scaled error of the ridge on the validation tail.

    First transform and normalisation together, at a medium lookback; then the lookback; then how far back to train;
    then, over earlier stretches too unless the tail is clear, whether covariates bend, with this or the simplest
    transform; members then share that. All candidates forecast the same steps, and see what lies before these only. A
    simpler choice gives way only to one that is better by more than a standard error, or 20 %, and by more than 1 %; a
    simpler transform or normalisation by more where there are few horizons to judge by. Where series may have a unit
    root, or the last value is best on the tail, it gives way only where the gain is beyond doubt or 20 %, or where the
    last season is better than the last value: for that, where the tail holds few horizons, the stretches before it are
    forecast too, each from what lies before it. Logarithms are the only transform where the spread of growing series
    says so; else there is none of few windows. Where the last value is chosen, and windows are not few, they are the
    transform of what may move by factors.

    Returns
    -------
    choices : list of Choice
        The best, then others that are hardly worse: neighbours in the list differ in all that differs.
    scores : list of dict
        Every candidate that was tried, with its error on the tail; empty if there was nothing to choose or to compare.
    """
    transforms, normalizations, lookbacks = _candidates(split, horizon, season_length, wanted)
    scores: list[dict[str, Any]] = []
    shorter = lookbacks[: (len(lookbacks) + 1) // 2]
    middle = max(n for n in shorter if n <= MAX_LOOKBACK or n == shorter[0])

    def can_bend(fold: Split) -> tuple[int, ...]:
        return columns_that_bend(fold.panel.features[fold.before(fold.cuts)], past_only)

    (tail, origins), *earlier = _folds(split, horizon, lookbacks)
    n_train = len(split.origins(min(lookbacks), horizon, part="train")[0])
    is_settled = len(transforms) * len(normalizations) * len(lookbacks) == 1
    is_settled = is_settled and not _training_lengths(split, middle + horizon)
    columns = can_bend(tail)
    if (is_settled and not columns) or not len(origins[0]) or not n_train:
        return [Choice(transforms[0], normalizations[0], middle)], scores

    trials: dict[Choice, Trial] = {}
    network_of = partial(ForecastNetwork, horizon=horizon, n_calendar=n_calendar, season_length=season_length)

    def run(split: Split, origins: tuple[Integers, Integers], choice: Choice) -> Trial:
        split = split.curved(choice.curves, len(past_only), split.cuts)
        known = (*past_only, *[False] * (len(split.curves) + n_calendar))
        own = partial(network_of, past_only=known, n_curves=len(split.curves))
        return _try_out(split, origins, choice, own, season_length)

    def try_out(choice: Choice) -> None:
        trials[choice] = run(tail, origins, choice)
        scores.append({**asdict(choice), "penalty": trials[choice].penalty, "error": trials[choice].mean})

    def near(choices: Sequence[Choice], *, is_careful: bool = False) -> list[Choice]:
        for choice in choices:
            if choice not in trials:
                try_out(choice)
        return _near_the_best({choice: trials[choice] for choice in choices}, is_careful=is_careful)

    ways = near([Choice(t, n, middle) for t, n in product(transforms, normalizations)], is_careful=True)
    others = [replace(ways[0], lookback=n) for n in lookbacks if n != middle]
    lengths = [choice.lookback for choice in near([replace(ways[0], lookback=middle), *others])]
    whole = replace(ways[0], lookback=lengths[0])
    recent = near([whole, *(replace(whole, training_length=n) for n in _training_lengths(split, lengths[0] + horizon))])
    straight = list(trials)
    if columns:
        kinds = dict.fromkeys((transforms[0], recent[0].target_transform))
        bent = near([replace(recent[0], target_transform=kind, curves=columns) for kind in kinds], is_careful=True)[0]
        older = [fold for fold in _folds(split, horizon, lookbacks, few=np.inf)[1:] if can_bend(fold[0]) == columns]
        if _is_clearly_better(trials[recent[0]], trials[bent]):
            older = []  # they would hardly tell otherwise
        pair = ([trials[choice], *(run(*fold, choice) for fold in older)] for choice in (bent, recent[0]))
        if _is_clearly_better(*map(_joined, pair)):
            recent, straight = [bent], list(trials)
            alike = [way for way in ways if way.target_transform == bent.target_transform]
            ways = [bent, *(way for way in alike if way.normalization != bent.normalization)]
    if is_settled:
        return [recent[0]], scores
    last_value = Choice(transforms[0], "last", middle, penalty=np.inf)
    if "last" in normalizations:
        lowest = min(straight, key=lambda choice: trials[choice].mean)
        try_out(last_value)
        is_rival = trials[last_value].mean <= trials[lowest].mean or may_wander(
            _known_before(split), split.panel.indptr
        )
        is_rival = is_rival and not _season_is_better(tail, trials[last_value], season_length)
        rivals = {choice: [trials[choice]] for choice in (recent[0], lowest, last_value) if is_rival}
        for choice, found in rivals.items():
            found += [run(*fold, choice) for fold in earlier]
        if is_rival and _near_the_best({c: _joined(found) for c, found in rivals.items()})[0] == last_value:
            is_log = "log" in transforms[1:] and moves_by_factors(split.panel.values, split.panel.indptr)
            return [replace(last_value, target_transform="log") if is_log else last_value], scores
    n_ways, n_lengths = len(ways), len(lengths)
    pairs = [(k % n_ways, (k % n_ways + k // n_ways) % n_lengths) for k in range(n_ways * n_lengths)]  # each pair once
    length = recent[0].training_length
    choices = [replace(ways[i], lookback=lengths[j], training_length=length, curves=recent[0].curves) for i, j in pairs]
    is_free = wanted["lookback"] == "auto"  # one member is enough of those that take long
    return [c for k, c in enumerate(choices) if not (k and is_free and c.lookback > MAX_LOOKBACK)], scores


def _near_the_best(trials: dict[Choice, Trial], *, is_careful: bool = False) -> list[Choice]:
    """The first choice within a standard error or 1 % of the best; then others that are hardly worse, best first.

    The standard error counts up to 20 %: it is large where days differ, and a lookback of three of them would be as
    good as that of a week, at twice its error. Careful, it counts in full, and up to 10 % for more than it is where the
    tail holds few horizons. The others are within two standard errors or 2 % of the best, and within 3 %. Where there
    are five whole horizons of unrelated series, the last value comes first if it is within 20 %, and the gain of the
    best over it may be luck. On exchange rates, ridges seemed better by up to 5 % and were up to 23 % worse later.
    """
    lowest = min(trials.values(), key=lambda trial: trial.mean)
    known = ~np.isnan(lowest.errors)
    doubt = half_width(lowest.errors, lowest.times) / NORMAL if is_careful else 1.0

    def excess(trial: Trial) -> Floats:
        return np.where(known & ~np.isnan(trial.errors), np.abs(trial.errors) - np.abs(lowest.errors), 0.0)

    def is_near(trial: Trial, n: float) -> bool:
        mean, variance = mean_and_variance(excess(trial), known, lowest.series, lowest.times)
        deviation = np.sqrt(variance) if is_careful else min(np.sqrt(variance), DOUBTFUL * lowest.mean)
        error = max(deviation, min(doubt * np.sqrt(variance), SLIGHT * lowest.mean), NEGLIGIBLE * lowest.mean)
        return mean <= n * error

    def is_naive(choice: Choice, trial: Trial) -> bool:
        if choice.penalty != np.inf or n_horizons(lowest.errors, lowest.times) < FEWEST_HORIZONS:
            return False
        if trial.mean > (1 + DOUBTFUL) * lowest.mean:
            return False
        at = lowest.series, lowest.times
        return trial.mean <= (1 + NEGLIGIBLE) * lowest.mean or is_doubtful(excess(trial), lowest.errors, known, *at)

    def is_tolerable(trial: Trial) -> bool:
        return is_near(trial, 2) and trial.mean <= (1 + TOLERABLE) * lowest.mean

    naive = [choice for choice, trial in trials.items() if is_naive(choice, trial)]
    best = naive or [choice for choice, trial in trials.items() if is_near(trial, 1)]
    near = [choice for choice, trial in trials.items() if choice != best[0] and is_tolerable(trial)]
    return [best[0], *sorted(near, key=lambda choice: trials[choice].mean)]


def _is_clearly_better(trial: Trial, other: Trial) -> bool:
    """Whether its error is lower by more than 10 %, and by more than is luck in 19 of 20 cases, were horizons many."""
    known = ~np.isnan(trial.errors) & ~np.isnan(other.errors)
    gain = np.where(known, np.abs(other.errors) - np.abs(trial.errors), 0.0)
    mean, variance = mean_and_variance(gain, known.astype(float), trial.series, trial.times)
    return bool(mean > max(ONE_SIDED * np.sqrt(variance), SLIGHT * other.mean))


def _season_is_better(split: Split, trial: Trial, season_length: int) -> bool:
    """Whether the last season says more of the tail than the last value does."""
    panel, horizon = split.panel, trial.errors.shape[1]
    positions = trial.times - panel.first[trial.series]
    seasons = panel.values_at(trial.series, positions - season_length, season_length)
    actual = np.where(np.isnan(trial.errors), np.nan, panel.values_at(trial.series, positions, horizon))
    units = _units(panel, _known_before(split), season_length)[trial.series, None]
    errors = np.abs(actual - seasons[:, np.arange(horizon) % season_length]) / units
    known = ~np.isnan(errors)
    return bool(known.any() and errors[known].mean() < (1 - NEGLIGIBLE) * np.abs(trial.errors[known]).mean())


def _candidates(
    split: Split, horizon: int, season_length: int, wanted: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
    transforms: tuple[str, ...] = (wanted["target_transform"],)
    if transforms == ("auto",):
        transforms = _transforms(split, horizon, season_length)
    normalizations = NORMALIZATIONS if wanted["normalization"] == "auto" else (wanted["normalization"],)
    if wanted["lookback"] != "auto":
        return transforms, normalizations, (min(int(wanted["lookback"]), max(int(split.ends.max()), MAX_LOOKBACK)),)
    return transforms, normalizations, _lookbacks(split.cuts, horizon, season_length)


def _transforms(split: Split, horizon: int, season_length: int) -> tuple[str, ...]:
    """Those to try: logarithms alone where the spread of growing series says so, none where windows are few.

    By few windows a transform is chosen by chance, and what it forecasts may explode.
    """
    panel = split.panel
    is_allowed = log_is_allowed(panel.values)
    pieces = [panel.values[panel.series(i)] for i in range(panel.n_series)]
    if is_allowed and spread_grows(pieces, season_length):
        return ("log",)
    if len(split.origins(1, horizon, part="train")[0]) < FEWEST_WINDOWS:
        return ("none",)
    return ("none", "asinh", "log") if is_allowed else ("none", "asinh")


def _lookbacks(cuts: Integers, horizon: int, season_length: int) -> tuple[int, ...]:
    """A few lengths in whole seasons, up to a third of a usual series; two thirds for three seasons or many series.

    A week of hours or finer steps may be half of it, and longer than others: days differ by the weekday. Where a week
    is the longest, a week and a day are tried too: they hold the days before today and a week ago.
    """
    n_rows = int(np.median(cuts))
    season = season_length if 1 < season_length <= MAX_LOOKBACK else 8
    longest = max(n_rows // 3, min(2 * n_rows // 3, max(3 * season, len(cuts) * n_rows // 20)))
    lengths = [k * season for k in (1, 2, 3, 4, 7, 14, 21) if k * season <= min(longest, MAX_LOOKBACK)]
    week = WEEK * season
    if season in DAYS and week not in lengths and week <= max(longest, n_rows // 2):
        lengths.append(week)
    lengths = [n for n in lengths if n >= min(horizon, lengths[-1] // 2, 96)][-5:]
    if season in DAYS and lengths[-1:] == [week] and week + season <= max(longest, n_rows // 2):
        lengths.append(week + season)
    if MAX_LOOKBACK < season_length <= n_rows // 4:
        lengths.append(season_length)
    return tuple(lengths) or (max(min(season, n_rows // 2), 1),)


def _training_lengths(split: Split, window: int) -> list[int]:
    """A half and a quarter of the usual series, if these hold many windows."""
    return [n for n in (int(np.median(split.cuts)) // k for k in (2, 4)) if n >= MANY_WINDOWS * window]


def patch_length_for(lookback: int, season_length: int) -> int:
    """The largest part of a season up to 24 steps that leaves four patches or more."""
    longest = max(min(24, lookback // 4), 1)
    season = season_length if season_length > 3 else 8
    return max(k for k in range(1, longest + 1) if season % k == 0)


def _folds(
    split: Split, horizon: int, lookbacks: tuple[int, ...], few: float = FEW_HORIZONS
) -> list[tuple[Split, tuple[Integers, Integers]]]:
    """The tail and, as long as there are few horizons to forecast and half the history to learn from, earlier ones.

    Each has its origins; of the earlier ones those that have some, and windows before them.
    """
    fold, tails, folds = split, split.ends - split.cuts, []
    for n_folds in range(1, MAX_FOLDS + 1):
        origins = fold.origins(max(lookbacks), horizon, part="validation")
        is_usable = len(origins[0]) and len(fold.origins(min(lookbacks), horizon, part="train")[0])
        if is_usable or fold is split:
            folds.append((fold, origins))
        fold = Split(split.panel, fold.cuts, np.maximum(fold.cuts - tails, 0))
        is_enough = n_folds * np.median(tails) >= few * horizon
        if is_enough or np.median(fold.cuts) < np.median(split.ends) / 2:
            break
    return folds


def _joined(trials: list[Trial]) -> Trial:
    """One trial of several folds, with the penalty of the first."""
    errors, penalties, series, times = zip(*trials, strict=True)
    return Trial(np.concatenate(errors), penalties[0], np.concatenate(series), np.concatenate(times))


def _try_out(
    split: Split,
    origins: tuple[Integers, Integers],
    choice: Choice,
    network_of: Callable[..., ForecastNetwork],
    season_length: int,
) -> Trial:
    panel, values = split.panel, _known_before(split)
    scaling = fit_scaling(choice.target_transform, values, panel.indptr)
    features = FeatureScaling.fitted(panel.features[split.before(split.cuts)])
    network = network_of(lookback=choice.lookback, normalization=choice.normalization)
    horizon = network.horizon
    layout: dict[str, Any] = {"lookback": choice.lookback, "horizon": horizon}
    learnt = split.origins(choice.lookback, horizon, part="train", length=choice.training_length)
    train = sample_of(panel, split.cuts, scaling, features, *learnt, **layout)
    thin = np.unique(np.linspace(0, len(origins[0]) - 1, MAX_VALIDATION).astype(np.int64))
    series, positions = origins[0][thin], origins[1][thin]
    tail = sample_of(panel, split.ends, scaling, features, series, positions, **layout)
    set_typical_scale(network, train)
    at = series, panel.first[series] + positions
    penalty = fit_linear(network, train, tail, at, penalty=choice.penalty, max_windows=MAX_TRAIN)
    model = WindowModel(network, scaling, features, panel.ids, LEVELS, np.zeros((horizon, len(LEVELS))))
    forecast = model.forecast(panel, series, positions)  # (n, horizon)
    ahead = positions[:, None] + np.arange(horizon)
    rows = panel.indptr[series, None] + np.minimum(ahead, panel.lengths[series, None] - 1)
    actual = np.where(ahead < split.ends[series, None], panel.values[rows], np.nan)
    errors = (actual - forecast) / _units(panel, values, season_length)[series, None]
    return Trial(errors, penalty, *at)


def _known_before(split: Split) -> Floats:
    """The values before the tail, NaN in it."""
    return np.where(split.before(split.cuts), split.panel.values, np.nan)


def _units(panel: Panel, values: Floats, season_length: int) -> Floats:
    """The error of the seasonal naive forecast of each series; its deviation where that is unknown or 0."""
    deviation = fit_scaling("none", values, panel.indptr).scale
    seasonal = np.array([seasonal_scale(values[panel.series(i)], season_length) for i in range(panel.n_series)])
    return np.where(seasonal > 1e-6 * deviation, seasonal, deviation)
