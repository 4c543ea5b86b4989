"""Exponential smoothing: of the window, as what the linear skip is shrunk to, and of all that is known of a series."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.nn import functional as F

from seqcast.seasons import WEEK

__all__ = [
    "Start",
    "decomposed",
    "drift_forms",
    "largest_error",
    "smoothed",
    "smoothing_errors",
    "smoothing_forms",
    "smoothing_weight",
]

LEVELS = (1.0, 0.8, 0.55, 0.35, 0.2, 0.1, 0.03)  # shares of an error that go to the level; of equals the first is best
SEASONS = (0.02, 0.1, 0.3, 0.6, 1.0)  # shares of the rest of it that go to the season
TRENDS = ((0.0, 0.0), (0.03, 1.0), (0.05, 0.97), (0.1, 0.9), (0.3, 0.8))  # shares of the level's, and damping
FAST_TRENDS = ((0.3, 0.97), (0.6, 0.97), (0.9, 0.97))  # besides, where each series has its own form
REVERSIONS = (0.97, 0.9, 0.8, 0.65, 0.5, 0.3)  # of the level's distance from the mean, what is left a step later
CLEARLY = 0.95  # of the squared error: a level that returns has less, or it stays
OUTLYING = 3.0  # deviations of a step from reading to reading, that an error counts at most as
TO_DEVIATION = 1.4826  # a normal one, from the median of absolute values
N_ORIGINS = 40  # in a window, from which a whole horizon is forecast to compare forms
START = 4  # steps whose mean is the first level where there is no season


def smoothing_weight(z: torch.Tensor, target: torch.Tensor, known: torch.Tensor, season_length: int) -> torch.Tensor:
    """Give the coefficients of the exponential smoothing with the lowest squared error over some windows.

    Level, damped trend and additive season [1]_: as forecasts they are linear in the window. The season is one of
    `season_length` steps, or of seven times as many, or none; for each the best level and season are found first, then
    the trend. In the place of a trend, a level may return to the mean of the window, as an autoregression does, if that
    is clearly better.

    Parameters
    ----------
    z : Tensor, (n, lookback)
        Windows in units of their own past.
    target, known : Tensor, (n, horizon)
        What came after, and 1 where it is known, else 0.
    season_length : int
        Steps of a season; 1 is none.

    Returns
    -------
    Tensor, (lookback, horizon)

    References
    ----------
    .. [1] Hyndman, R. J., Koehler, A. B., Ord, J. K. and Snyder, R. D. (2008). Forecasting with Exponential Smoothing:
       The State Space Approach. Springer.

    Examples
    --------
    >>> steps = torch.arange(9.0)
    >>> z, target = steps[:6].expand(4, -1), steps[6:].expand(4, -1)  # a straight line
    >>> (z[:1] @ smoothing_weight(z, target, torch.ones(4, 3), 1)).round(decimals=2)
    tensor([[6., 7., 8.]])
    """
    lookback, horizon = z.shape[1], target.shape[1]

    def lowest(season: int, candidates: torch.Tensor) -> tuple[float, torch.Tensor]:
        forecasts = smoothed(z, season, candidates[:, None], horizon, _first_seasons(z, season))
        errors = torch.stack([((forecast - target) ** 2 * known).sum() for forecast in forecasts])
        return float(errors.min()), candidates[errors.argmin()]

    found = []
    for season in sorted({1, season_length, WEEK * season_length if season_length > 1 else 1}):
        if season == 1 or season <= lookback:
            _, best = lowest(season, _levels_and_seasons(season).to(z))
            staying, returning = lowest(season, _trends(best)), lowest(season, _reversions(best))
            found.append((*(returning if returning[0] < CLEARLY * staying[0] else staying), season))
    _, best, season = min(found, key=lambda one: one[0])
    units = torch.eye(lookback).to(z)
    return smoothed(units, season, best[None, None], horizon, _first_seasons(units, season))[0]


def smoothing_forms(season: int) -> torch.Tensor:
    """All forms with that season, (n_forms, 5): with each of the trends, and with each return to the mean."""
    plain = _levels_and_seasons(season, (0.0, *SEASONS))
    returning = plain.repeat_interleave(len(REVERSIONS), 0)
    returning[:, 4] = torch.tensor(REVERSIONS).repeat(len(plain))
    return torch.cat([*(_trends(form, (*TRENDS, *FAST_TRENDS)) for form in plain), returning])


def drift_forms(season: int) -> torch.Tensor:
    """All forms with that season whose level drifts along with the slope that it starts with, (n_forms, 5)."""
    forms = _levels_and_seasons(season, (0.0, *SEASONS) if season > 1 else (0.0,))
    forms[:, 3] = 1.0
    return forms


def _levels_and_seasons(season: int, shares: tuple[float, ...] = SEASONS) -> torch.Tensor:
    """Candidates (n, 5): shares of an error that level, trend and season take; damping, and what reversion leaves."""
    shares = shares if season > 1 else (0.0,)
    return torch.tensor([[level, 0.0, (1 - level) * share, 0.0, 1.0] for level in LEVELS for share in shares])


def _trends(best: torch.Tensor, trends: tuple[tuple[float, float], ...] = TRENDS) -> torch.Tensor:
    """The same level and season with other trends, (n, 5)."""
    candidates = best.repeat(len(trends), 1)
    candidates[:, [1, 3]] = torch.tensor(trends).to(best)
    candidates[:, 1] *= best[0]
    return candidates


def _reversions(best: torch.Tensor) -> torch.Tensor:
    """The same season, as far as other levels leave it a share, and these levels return, (n, 5)."""
    pairs = torch.cartesian_prod(torch.tensor(LEVELS), torch.tensor(REVERSIONS)).to(best)
    candidates = best.repeat(len(pairs), 1)
    candidates[:, [0, 4]] = pairs
    candidates[:, 2] = torch.minimum(best[2], 1 - pairs[:, 0])
    return candidates


class Start(NamedTuple):
    """The states of the smoothing of windows (n, length) before step `at`."""

    at: int
    level: torch.Tensor  # (n,)
    slope: torch.Tensor  # (n,)
    profile: torch.Tensor  # (n, season)
    mean: torch.Tensor  # (n,), what levels return to
    rising: torch.Tensor  # (n,), the level of forms that have a trend
    limit: torch.Tensor | None = None  # (n,), what an error counts at most as, if there is such


class _State(NamedTuple):
    """The states before step `at`, (n_forms, n) each, and for each place in the season one."""

    at: int
    level: torch.Tensor
    trend: torch.Tensor
    seasons: list[torch.Tensor]


def _first_seasons(z: torch.Tensor, season: int) -> Start:
    """The states after the first season of windows (n, lookback), from the first two."""
    lookback = z.shape[1]
    size = season if season > 1 else max(min(START, lookback // 2), 1)
    first, second = z[:, :size], z[:, size : 2 * size]
    level, slope, profile = first.mean(1), z.new_zeros(len(z)), first - first.mean(1, keepdim=True)
    if lookback >= 2 * size:
        slope = (second.mean(1) - level) / size
        profile = (profile + second - second.mean(1, keepdim=True)) / 2
    ramp = torch.arange(size, device=z.device) - (size - 1) / 2
    profile = profile - slope[:, None] * ramp if season > 1 else z.new_zeros(len(z), 1)
    return Start(size, level, slope, profile, z.mean(1), level + slope * ramp[-1])


def decomposed(z: torch.Tensor, season: int, lengths: torch.Tensor, *, drifts: bool = False) -> Start:
    """The states before the first step of windows (n, length), NaN after `lengths` (n,) steps.

    The season is that of a classical decomposition, by centred moving averages; level and slope are those of the line
    through the first two seasons, or ten steps, of the rest. If it `drifts`, the slope is half that of the line through
    all of it, as in the Theta method [1]_.

    References
    ----------
    .. [1] Hyndman, R. J. and Billah, B. (2003). Unmasking the Theta method. International Journal of Forecasting,
       19(2), 287-290.
    """
    (n, length), known, z = z.shape, (~z.isnan()).to(z), z.nan_to_num()
    profile, rest = z.new_zeros(n, season), z
    if 1 < season < length:
        half = season // 2
        weights = z.new_ones(2 * half + 1)
        weights[[0, -1]] -= 0.5 * (season % 2 == 0)
        middle, inside = slice(half, length - half), known[:, 2 * half :]  # what has a centred average
        trend = F.conv1d(z[:, None], weights[None, None] / season)[:, 0]
        place = torch.arange(length) % season
        total, count = (
            z.new_zeros(n, season).index_add(1, place[middle], x) for x in ((z[:, middle] - trend) * inside, inside)
        )
        profile = total / count.clamp(min=1)
        profile = profile - profile.mean(1, keepdim=True)
        rest = z - profile[:, place]
    n_first = max(10, 2 * season)
    level, slope, centre = _line(rest[:, :n_first], known[:, :n_first])
    rising = level - slope * centre
    if drifts:
        slope = _line(rest, known)[1] / 2
    mean = (known * z).sum(1) / known.sum(1).clamp(min=1)
    return Start(0, level, slope, profile, mean, rising)


def _line(x: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, slope and middle step of the line through each row of x (n, length), (n,) each."""
    steps, count = torch.arange(1, x.shape[1] + 1).to(x), known.sum(1).clamp(min=1)
    mean, centre = (known * x).sum(1) / count, (known * steps).sum(1) / count
    away = known * (steps - centre[:, None])
    return mean, (away * x).sum(1) / (away**2).sum(1).clamp(min=1e-9), centre


def largest_error(z: torch.Tensor, profile: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """What an error of windows (n, length) with that seasonal profile (n, season) counts at most as, (n,).

    An outlier, or the first day after one, is no new level [1]_. The scale is the median step between neighbouring
    readings; of windows where most do not change, there is no limit.

    References
    ----------
    .. [1] Gelper, S., Fried, R. and Croux, C. (2010). Robust forecasting with exponential and Holt-Winters smoothing.
       Journal of Forecasting, 29(3), 285-300.
    """
    rest = torch.where(observed, z - profile[:, torch.arange(z.shape[1]) % profile.shape[1]], torch.nan)
    limit = OUTLYING * TO_DEVIATION * rest.diff(dim=1).abs().nanmedian(1).values
    return torch.where(limit > 0, limit, torch.inf)  # NaN, where there are no two neighbours, is no limit


def smoothed(
    z: torch.Tensor,
    season: int,
    forms: torch.Tensor,
    horizon: int,
    start: Start,
    lengths: torch.Tensor | None = None,
) -> torch.Tensor:
    """Forecasts (n_forms, n, horizon) of windows (n, length).

    The forms are (n_forms, 1, 5) or (n_forms, n, 5), the same for all windows or not. Windows may end before the last
    column, after `lengths` (n,) steps; the rest is NaN.
    """
    _, last = deque(_run(z, season, forms, start, lengths), maxlen=1)[0]
    return _ahead(forms, start, last, horizon, lengths)


def smoothing_errors(
    z: torch.Tensor, season: int, forms: torch.Tensor, horizon: int, start: Start, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean squared errors of windows (n, length): of one step, and of `horizon` steps from some origins in them.

    Each is (n_forms, n); the forms (n_forms, 1, 5), the other arguments are those of `smoothed`.
    """
    near = far = count = z.new_zeros(len(forms), len(z))
    stride = (lengths // N_ORIGINS).clamp(min=1)  # (n,)
    weights = torch.stack(_weights(forms[:, 0], horizon), 2)  # (n_forms, horizon, 3)
    for error, state in _run(z, season, forms, start, lengths):
        near = torch.addcmul(near, error, error)
        actual, is_origin = z.T[state.at : state.at + horizon], state.at % stride == 0
        if state.at and len(actual) and is_origin.any():
            known, mean = ~actual.isnan(), start.mean.expand_as(state.level)
            states = torch.stack([state.level, mean, state.trend], 1)
            profile = torch.stack([state.seasons[(state.at + h) % season] for h in range(len(actual))], 1)
            ahead = torch.baddbmm(profile.sub_(actual.nan_to_num()), weights[:, : len(actual)], states)
            ahead = ahead if known.all() else ahead.mul_(known)
            far = far + ahead.square_().sum(1) * is_origin
            count = count + known.sum(0) * is_origin
    return near / lengths.clamp(min=1), far / count.clamp(min=1)


def _run(
    z: torch.Tensor, season: int, forms: torch.Tensor, start: Start, lengths: torch.Tensor | None
) -> Iterator[tuple[torch.Tensor, _State]]:
    """The error of the last step, (n_forms, n), and the state: at the start, and after each step."""
    to_level, to_trend, to_season, damping, left = forms.unbind(2)  # (n_forms, 1 or n) each
    trend = start.slope * (damping > 0)  # (n_forms, n)
    level = torch.where(damping > 0, start.rising, start.level)
    seasons = list(start.profile.T.unsqueeze(1).expand(-1, len(forms), -1))
    yield torch.zeros_like(trend), _State(start.at, level, trend, seasons)
    lengths = torch.tensor(z.shape[1]) if lengths is None else lengths
    pull, shortest = (1 - left) * start.mean, int(lengths.min())
    for t, value in enumerate(z.T[start.at :], start.at):
        drift = damping * trend
        ahead = torch.addcmul(pull + drift, left, level)
        error = (value - ahead).sub_(seasons[t % season])
        error = error if t < shortest else error.nan_to_num_()
        taken = error if start.limit is None else error.clamp(-start.limit, start.limit)
        raised, bent = torch.addcmul(ahead, to_level, taken), torch.addcmul(drift, to_trend, taken)
        if t >= shortest:  # what has ended stays as it is
            raised, bent = torch.where(t < lengths, raised, level), torch.where(t < lengths, bent, trend)
        level, trend = raised, bent
        seasons[t % season] = torch.addcmul(seasons[t % season], to_season, taken)
        yield error, _State(t + 1, level, trend, seasons)


def _ahead(
    forms: torch.Tensor, start: Start, state: _State, horizon: int, ends: torch.Tensor | None = None
) -> torch.Tensor:
    """Forecasts (n_forms, n, horizon) of the steps from a state on; the windows may have ended earlier, at `ends`."""
    _, level, trend, seasons = state
    of_level, of_mean, of_trend = _weights(forms, horizon)
    if ends is None:
        profile = torch.stack([seasons[(state.at + h) % len(seasons)] for h in range(horizon)], 2)
    else:
        place = (ends[:, None] + torch.arange(horizon, device=ends.device)) % len(seasons)  # (n, horizon)
        profile = torch.stack(seasons, 2).gather(2, place.expand(len(level), -1, -1))
    return of_level * level[..., None] + of_mean * start.mean[:, None] + of_trend * trend[..., None] + profile


def _weights(forms: torch.Tensor, horizon: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What level, mean and trend are multiplied by in forecasts, (..., horizon) each."""
    damping, left = forms[..., 3:4], forms[..., 4:5]
    steps = torch.arange(1, horizon + 1, device=forms.device)
    left = left**steps
    return left, 1 - left, (damping**steps).cumsum(-1)
