"""What the validation tail teaches: the ridge's penalty, how far to trust the network, how wide its errors are."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import t as student

from seqcast.gains import is_doubtful, n_horizons, share_to_keep
from seqcast.models._effects import smoothing_and_slopes
from seqcast.models._phases import fit_phases
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.heads import QuantileHead
from seqcast.networks.linear import RidgePath
from seqcast.networks.normalization import window_center
from seqcast.paths import LEVELS
from seqcast.training import EVALUATION_BATCH, Loss, Sample, loss_of

__all__ = [
    "fit_elasticity",
    "fit_linear",
    "fit_width",
    "has_few_windows",
    "misfit",
    "residual_spread",
    "set_typical_scale",
    "trusted_share",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SMOOTHING = 1e6  # a penalty that leaves exponential smoothing alone
PENALTIES = (*(10.0 ** np.arange(-5, 2.6, 0.5)).tolist(), SMOOTHING)  # in units of the mean diagonal of Z'Z
NEGLIGIBLE = 0.01  # of the squared error: smoothing that is hardly worse is enough
BEYOND_DOUBT = 0.4  # of it: a larger gain over smoothing counts, however few the windows
MANY_WINDOWS = 20  # without overlap, for which the tail may be trusted
FEWEST_WINDOWS = 200  # from which errors tell how wide quantiles are to be, and a network learns it
PRIOR_DEVIATION = 0.25  # of the share of a correction that is worth keeping
WIDTHS = np.geomspace(0.5, 4.0, 25)  # factors of a spread that are tried
CHUNK = 4096
LONG_WINDOW = 512  # steps, of which longer ones are learned from in smaller number
MAX_HELD = 2**26  # regressors of all windows that are held in memory, 256 MiB
ELASTICITIES = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the size of the errors to the scale of the window
SHORT_WINDOW = 12  # steps, of which fewer say too little of the size of the errors
N_ERRORS = 1000  # windows, at most, whose errors give the quantiles


def _are_few(network: ForecastNetwork, sample: Sample) -> bool:
    """Whether windows hold little that is independent."""
    return len(sample.rows) < MANY_WINDOWS * (network.lookback + network.horizon)


@torch.inference_mode()
def set_typical_scale(network: ForecastNetwork, sample: Sample) -> None:
    """Set the unit of the windows: the median root mean square of the observed past about its center."""
    past = sample.thinned(1000).windows.gather(sample.thinned(1000).rows)[:, : network.lookback]
    value, observed = past[..., 0], past[..., 1]
    center = window_center(value, observed, network.normalization)
    spread = ((observed * (value - center) ** 2).sum(1) / observed.sum(1).clamp(min=1)).sqrt()
    typical = float(spread.median()) or float(spread.mean())
    network.typical_scale.fill_(typical if typical > 1e-6 else 1.0)


@torch.inference_mode()
def fit_linear(
    network: ForecastNetwork,
    train: Sample,
    validation: Sample | None,
    at: tuple[Integers, Integers] | None = None,
    *,
    penalty: float | None = None,
    max_windows: int = 60_000,
) -> float:
    """Solve the linear skip in closed form.

    A penalty that is not given is chosen on the validation windows, whose series and times are `at`; without these it
    is 1, or where there are few windows, smoothing and the effects of covariates alone. An infinite penalty leaves the
    center of the window. Windows with all targets known are learned from if they are four in five; else all, their
    missing targets filled in (EM). What each phase of the season adds is learned after that, if the network has such.
    """
    if penalty == np.inf:
        network.linear.weight.zero_()
        return penalty
    is_new = penalty is None
    is_few = _are_few(network, train)
    train, is_complete = _complete(train)
    train = train.thinned(int(max_windows * min(LONG_WINDOW / network.lookback, 1)))

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        for batch in train.batches(CHUNK):
            past = network.normalise(batch)
            yield network.linear.design(past.z, past.features), *network.targets(batch, past)

    fits = len(train.rows) * len(network.linear.weight) <= MAX_HELD
    held = list(batches()) if fits and not is_complete else None  # targets that are missing take several passes
    source = batches if held is None else lambda: held
    prior = network.linear.smoothed(*smoothing_and_slopes(network, train))
    path = RidgePath(source, network.linear.expected, prior, imputing_penalty=penalty or 1.0)
    if penalty is None and validation is not None:
        penalty = _best_penalty(network, path, validation, at if is_few else None)
    elif penalty is None:
        penalty = SMOOTHING if is_few else 1.0
    network.linear.weight.copy_(path.weight(penalty))
    if network.bends:
        _set_limits(network, train)
    if network.phases is not None:
        fit_phases(network, train, validation if is_new else None, at)
    return penalty


def _set_limits(network: ForecastNetwork, sample: Sample) -> None:
    """Keep linear forecasts, in units of the window, as near the targets of fit as these are to each other.

    Squares, and logarithms undone, would make of what is hardly outside of fit a multiple of all values.
    """
    low, high = torch.inf, -torch.inf
    for batch in sample.batches(CHUNK):
        target, known = network.targets(batch, network.normalise(batch))
        low = min(low, float(torch.where(known > 0, target, torch.inf).min()))
        high = max(high, float(torch.where(known > 0, target, -torch.inf).max()))
    network.limits.copy_(torch.tensor([low - (high - low), high + (high - low)]))


def _complete(sample: Sample) -> tuple[Sample, bool]:
    """The windows with all targets known, if they are four in five, else all; and whether these are complete."""
    observed = sample.windows.data[:, 1]
    known = torch.cat((observed.new_zeros(1, dtype=torch.int64), observed.long().cumsum(0)))
    origin = sample.rows + sample.windows.lookback
    is_known = known[origin + sample.windows.horizon] - known[origin] == sample.windows.horizon
    if is_known.float().mean() < 0.8:
        return sample, False
    return Sample(sample.windows, sample.rows[is_known]), True


def _best_penalty(
    network: ForecastNetwork, path: RidgePath, validation: Sample, at: tuple[Integers, Integers] | None
) -> float:
    """The penalty with the lowest squared error, unless smoothing alone is as good.

    It is, if its error is at most 1 % higher; given the series and times of the windows also, if the gain of the best
    over it may be luck: if it is below 40 % and within the 95 % interval.
    """

    def errors(*penalties: float) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in validation.batches(CHUNK):
            past = network.normalise(batch)
            target, known = network.targets(batch, past)
            design = network.linear.design(past.z, past.features).double()
            rest, projected = target - design @ path.prior, design @ path.vectors  # (n, horizon), (n, n_columns)
            for penalty in penalties:
                yield (rest - projected @ path.projected_weight(penalty)) * known, known

    squares = np.zeros(len(PENALTIES))
    for k, (error, _) in enumerate(errors(*PENALTIES)):
        squares[k % len(PENALTIES)] += float((error**2).sum())
    best = PENALTIES[int(squares.argmin())]
    excess = squares[-1] - squares.min()
    if excess <= NEGLIGIBLE * squares.min():
        return SMOOTHING
    if at is None or excess > BEYOND_DOUBT * squares.min():
        return best
    known = torch.cat([known for _, known in errors(best)]).cpu().numpy()
    lowest, smoothed = (torch.cat([error for error, _ in errors(one)]).cpu().numpy() for one in (best, SMOOTHING))
    return SMOOTHING if is_doubtful(smoothed**2 - lowest**2, lowest, known, *at) else best


@torch.inference_mode()
def trusted_share(
    network: ForecastNetwork, validation: Sample, series: Integers, times: Integers, *, prior: float
) -> float:
    """How much of the network's correction of the linear forecast to keep, by the tail and what is to be expected."""
    parts = []
    for batch in validation.batches(EVALUATION_BATCH):
        past = network.normalise(batch)
        target, known = network.targets(batch, past)
        linear, correction = network.linear_forecast(past)[..., 0], network.correction(past)
        middle = correction[..., network.head.middle]
        parts.append(torch.stack((middle, target - linear, known), 2).double().cpu())
    middle, error, known = torch.cat(parts).numpy().transpose(2, 0, 1)  # (n, horizon) each
    return share_to_keep(middle, error, known, series, times, prior=prior, deviation=PRIOR_DEVIATION)


@torch.inference_mode()
def fit_width(network: ForecastNetwork, validation: Sample, loss: Loss) -> None:
    """Set the factor of the spread of quantiles or of a distribution whose loss on the validation tail is lowest.

    Where there are few windows it is 1 at least: a short tail that was calm does not say that the future is.
    """
    widths = WIDTHS[WIDTHS > 0.99] if _are_few(network, validation) else WIDTHS
    losses = np.zeros(len(widths))
    network.width.fill_(1.0)
    for batch in validation.thinned(N_ERRORS).batches(EVALUATION_BATCH):
        past = network.normalise(batch)
        target, known = network.targets(batch, past)
        outputs = network.shrunk(past)
        for k, width in enumerate(widths):
            wide = network.head.widened(outputs, float(width))
            losses[k] += float((loss_of(network, wide, target, past, loss) * known).sum())
    network.width.fill_(float(widths[losses.argmin()]))


@torch.inference_mode()
def fit_elasticity(network: ForecastNetwork, train: Sample) -> None:
    """Set how the spread goes with the scale of the window, as it is most likely by the errors of training [1]_.

    In proportion (1) where calm and wild times take turns; not at all (0) where errors are as large in every window.
    About the last value only, from which a random walk is far by chance, and in windows of few steps, which may lie
    together by chance. Other standard deviations are taken at their word: of panels that made better quantiles on
    validation parts.

    References
    ----------
    .. [1] Harvey, A. C. (1976). Estimating regression models with multiplicative heteroscedasticity. Econometrica,
       44(3), 461-465.
    """
    network.elasticity.fill_(1.0)
    if network.normalization != "last" and network.lookback >= SHORT_WINDOW:
        return
    errors, spread, scale = _errors(network, train)
    network.elasticity.fill_(min(ELASTICITIES, key=lambda e: misfit(errors, spread * scale ** (e - 1))))


def misfit(errors: Floats, spread: Floats) -> float:
    """Negative log-likelihood, but for a term, of errors (n, horizon) in Laplace's distribution with such a spread."""
    known = ~np.isnan(errors)
    if not known.any():
        return 0.0
    spread = np.maximum(spread[known], 1e-9)
    return float(np.log(spread).mean() + np.log(max(np.abs(errors[known] / spread).mean(), 1e-9)))


def has_few_windows(network: ForecastNetwork, levels: Floats, train: Sample) -> bool:
    """Whether a network has learned quantiles and a median from few windows: it believes in them too much.

    Not where a covariate is known ahead, which may tell calm from wild.
    """
    has_median = isinstance(network.head, QuantileHead) and 0.5 in levels
    return has_median and not network.known and len(train.rows) < FEWEST_WINDOWS


@torch.inference_mode()
def residual_spread(network: ForecastNetwork, train: Sample, tail: Sample | None) -> Floats:
    """Quantiles of actual less forecast for a window of typical scale, in its unit, (horizon, n_levels).

    Those of the windows trained on, by step, times the ratio of the errors of the tail to theirs, if that is above 1:
    the tail, a few windows that hang together, says how much worse a forecast is than a fit, and little else. Of a
    network with quantiles they are those about the median. Errors of few windows count with both signs, and as those of
    Student's distribution: a few do not tell on which side more is to come, nor how far out.
    """
    fitted, are_few = _typical_errors(network, train), len(train.rows) < FEWEST_WINDOWS
    scale = _root_mean_squares(fitted)  # (horizon,)
    spread = _quantiles(fitted / scale, both_signs=are_few) * scale[:, None]
    if are_few:
        outer = LEVELS != 0.5
        n_degrees = max(_n_independent(fitted, train) - 1, 2)
        spread[:, outer] *= student.ppf(LEVELS[outer], n_degrees) / ndtri(LEVELS[outer])
    if isinstance(network.head, QuantileHead):
        spread = spread - spread[:, LEVELS == 0.5]
    if tail is None:
        return spread
    return spread * max(np.sqrt(np.nanmean((_typical_errors(network, tail) / scale) ** 2)), 1.0)


def _n_independent(errors: Floats, sample: Sample) -> float:
    """Whole horizons of unrelated series in errors (n, horizon); series are taken to begin, or to end, together."""
    positions = sample.windows.positions(sample.rows).cpu().numpy()
    series = np.cumsum(np.diff(positions, prepend=positions[0] - 1) <= 0)
    last = np.zeros(series[-1] + 1, np.int64)
    np.maximum.at(last, series, positions)
    return min(n_horizons(errors, positions), n_horizons(errors, positions - last[series]))


def _typical_errors(network: ForecastNetwork, sample: Sample) -> Floats:
    errors, _, scale = _errors(network, sample)
    return errors / scale ** (float(network.elasticity) - 1)


def _errors(network: ForecastNetwork, sample: Sample) -> tuple[Floats, Floats, Floats]:
    """Actual less forecast and its spread in the window's unit, (n, horizon); its relative scale, (n, 1)."""
    found = []
    for batch in sample.thinned(N_ERRORS).batches(EVALUATION_BATCH):
        past = network.normalise(batch)
        target, known = network.targets(batch, past)
        outputs = network.shrunk(past)
        m = 0 if network.head is None else network.head.middle
        errors = torch.where(known > 0, target - outputs[..., m], torch.nan)
        spread = torch.ones_like(target) if network.head is None else network.head.spread(outputs)
        found.append((errors, spread, network.relative_scale(past)))
    errors, spread, scale = (torch.cat(parts) for parts in zip(*found, strict=True))
    return errors.double().cpu().numpy(), spread.double().cpu().numpy(), scale.double().cpu().numpy()


def _root_mean_squares(errors: Floats) -> Floats:
    """By step; where there are few errors, five errors' worth of the common one stands beside them."""
    known = ~np.isnan(errors)
    squares, count = np.where(known, errors, 0.0) ** 2, known.sum(0)
    pooled = squares.sum() / max(count.sum(), 1)
    return np.maximum(np.sqrt((squares.sum(0) + 5 * pooled) / (count + 5)), 1e-9)


def _quantiles(errors: Floats, *, both_signs: bool = False) -> Floats:
    """By step where there are 50 errors or more; else of all steps together."""
    count = (~np.isnan(errors)).sum(0)
    errors = np.concatenate([errors, -errors]) if both_signs else errors
    if count.min() >= 50:
        return np.nanquantile(errors, LEVELS, axis=0).T
    shape = np.nanquantile(errors, LEVELS) if count.sum() else np.zeros(len(LEVELS))
    return np.broadcast_to(shape, (errors.shape[1], len(LEVELS)))
