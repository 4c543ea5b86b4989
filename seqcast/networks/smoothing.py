"""Exponential smoothing of the window: a linear forecast with few parameters, which the linear skip is shrunk to."""

import torch

__all__ = ["smoothing_weight"]

LEVELS = (1.0, 0.8, 0.55, 0.35, 0.2, 0.1, 0.03)  # shares of an error that go to the level; of equals the first is best
SEASONS = (0.02, 0.1, 0.3, 0.6, 1.0)  # shares of the rest of it that go to the season
TRENDS = ((0.0, 0.0), (0.03, 1.0), (0.05, 0.97), (0.1, 0.9), (0.3, 0.8))  # shares of the level's, and damping
REVERSIONS = (0.97, 0.9, 0.8, 0.65, 0.5, 0.3)  # of the level's distance from the mean, what is left a step later
CLEARLY = 0.95  # of the squared error: a level that returns has less, or it stays
WEEK = 7  # seasons that make the longer one
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
        forecasts = _smoothed(z, season, candidates, horizon)
        errors = torch.stack([((forecast - target) ** 2 * known).sum() for forecast in forecasts])
        return float(errors.min()), candidates[errors.argmin()]

    found = []
    for season in sorted({1, season_length, WEEK * season_length if season_length > 1 else 1}):
        if season == 1 or season <= lookback:
            _, best = lowest(season, _levels_and_seasons(season).to(z))
            staying, returning = lowest(season, _trends(best)), lowest(season, _reversions(best))
            found.append((*(returning if returning[0] < CLEARLY * staying[0] else staying), season))
    _, best, season = min(found, key=lambda one: one[0])
    return _smoothed(torch.eye(lookback).to(z), season, best[None], horizon)[0]


def _levels_and_seasons(season: int) -> torch.Tensor:
    """Candidates (n, 5): shares of an error that level, trend and season take; damping, and what reversion leaves."""
    shares = SEASONS if season > 1 else (0.0,)
    return torch.tensor([[level, 0.0, (1 - level) * share, 0.0, 1.0] for level in LEVELS for share in shares])


def _trends(best: torch.Tensor) -> torch.Tensor:
    """The same level and season with other trends, (n, 5)."""
    candidates = best.repeat(len(TRENDS), 1)
    candidates[:, [1, 3]] = torch.tensor(TRENDS).to(best)
    candidates[:, 1] *= best[0]
    return candidates


def _reversions(best: torch.Tensor) -> torch.Tensor:
    """The same season, as far as other levels leave it a share, and these levels return, (n, 5)."""
    pairs = torch.cartesian_prod(torch.tensor(LEVELS), torch.tensor(REVERSIONS)).to(best)
    candidates = best.repeat(len(pairs), 1)
    candidates[:, [0, 4]] = pairs
    candidates[:, 2] = torch.minimum(best[2], 1 - pairs[:, 0])
    return candidates


def _smoothed(z: torch.Tensor, season: int, candidates: torch.Tensor, horizon: int) -> torch.Tensor:
    """Forecasts (n_candidates, n, horizon) of windows (n, lookback), whose first two seasons give the first state."""
    to_level, to_trend, to_season, damping, left = candidates.T[..., None]  # (n_candidates, 1) each
    lookback, mean = z.shape[1], z.mean(1)
    size = season if season > 1 else max(min(START, lookback // 2), 1)
    first, second = z[:, :size], z[:, size : 2 * size]
    level, slope, profile = first.mean(1), z.new_zeros(len(z)), first - first.mean(1, keepdim=True)
    if lookback >= 2 * size:
        slope = (second.mean(1) - level) / size
        profile = (profile + second - second.mean(1, keepdim=True)) / 2
    ramp = torch.arange(size, device=z.device) - (size - 1) / 2
    trend = slope * (damping > 0)  # (n_candidates, n)
    level = level + trend * ramp[-1]  # at the end of the first season
    profile = profile - slope[:, None] * ramp if season > 1 else z.new_zeros(len(z), 1)
    seasons = list(profile.T.unsqueeze(1).expand(-1, len(candidates), -1))
    for t, value in enumerate(z.T[size:], size):
        ahead = left * level + (1 - left) * mean + damping * trend
        error = value - ahead - seasons[t % season]
        level = ahead + to_level * error
        trend = damping * trend + to_trend * error
        seasons[t % season] = seasons[t % season] + to_season * error
    steps = torch.arange(1, horizon + 1, device=z.device)
    growth, left = (damping**steps).cumsum(1)[:, None], (left**steps)[:, None]  # (n_candidates, 1, horizon)
    season_ahead = torch.stack([seasons[(lookback + h) % season] for h in range(horizon)], 2)
    level_ahead = left * level[..., None] + (1 - left) * mean[:, None] + growth * trend[..., None]
    return level_ahead + season_ahead
