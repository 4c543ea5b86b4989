"""What known covariates do to the target, the same at every step: the linear skip is shrunk to it."""

import torch
from scipy.stats import t as student

from seqcast.gains import NORMAL
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.smoothing import smoothing_weight
from seqcast.training import Sample

__all__ = ["linear_prior"]

MAX_SMOOTHED = 256  # windows by which smoothing is chosen
MAX_WINDOWS, MAX_VALUES = 2000, 2**24  # by which effects are found, and their values of covariates
N_ROUNDS = 2  # of effects and smoothing in turn
FEWEST = 3  # horizons that say how sure an effect is


@torch.inference_mode()
def linear_prior(network: ForecastNetwork, train: Sample) -> torch.Tensor:
    """Coefficients that the linear skip is shrunk to, (n_columns, horizon).

    They are exponential smoothing S of what the covariates that are known ahead leave of the target, and their effects
    b, one for all steps: ``b x(t + h) + S(y - b x)``, a regression with errors that are smoothed.
    """
    n_known = len(network.known) - network.linear.n_calendar
    known = network.known[:n_known]  # calendar columns are the last
    most = min(MAX_WINDOWS, max(MAX_SMOOTHED, MAX_VALUES // ((network.lookback + network.horizon) * max(n_known, 1))))
    order = torch.randperm(len(train.rows), generator=torch.Generator().manual_seed(0))  # evenly spaced miss hours
    rows = train.rows[order[: most if known else MAX_SMOOTHED].to(train.rows.device)]
    windows = train.windows.gather(rows)
    past = network.normalise(windows)
    target, weight = network.targets(windows, past)
    x, season, few = past.features[..., known], network.season_length or 1, slice(MAX_SMOOTHED)
    smoothing = smoothing_weight(past.z[few], target[few], weight[few], season)
    slopes = x.new_zeros(n_known)
    for _ in range(N_ROUNDS if known else 0):
        news = x[:, network.lookback :] - torch.einsum("ntk,th->nhk", x[:, : network.lookback], smoothing)
        slopes = _slopes(news, target - past.z @ smoothing, weight, rows // network.horizon)
        before, ahead = (x[few] @ slopes).tensor_split((network.lookback,), 1)
        smoothing = smoothing_weight(past.z[few] - before, (target[few] - ahead) * weight[few], weight[few], season)
    effects = x.new_zeros(past.features.shape[2] - network.linear.n_calendar)
    effects[known] = slopes
    return network.linear.smoothed(smoothing, effects)


def _slopes(news: torch.Tensor, rest: torch.Tensor, known: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """Least squares of errors (n, horizon) on what is new in covariates (n, horizon, k), less what may be noise, (k,).

    `block` (n,) are the horizons that the windows lie in: errors are related within these, and from one to the next.
    In directions that are unrelated, of each slope the share stays that its square has beyond its variance.
    """
    names, block = block.unique(return_inverse=True)
    n, k = len(names), news.shape[2]
    if n < FEWEST:
        return news.new_zeros(k)
    x, y, w = news.double(), rest.double(), known.double()
    gram = torch.einsum("nhk,nhl,nh->kl", x, x, w)
    gram += 1e-9 * gram.diagonal().mean().clamp(min=1e-9) * torch.eye(k).to(gram)
    slopes = torch.linalg.solve(gram, torch.einsum("nhk,nh->k", x, y * w))
    scores = torch.einsum("nhk,nh->nk", x, (y - x @ slopes) * w)
    sums = scores.new_zeros(n, k).index_add(0, block, scores)
    cross = (sums[:-1] * (names[1:] == names[:-1] + 1)[:, None]).T @ sums[1:]
    spread = n / (n - 1) * (sums.T @ sums + (cross + cross.T) / 2)  # (k, k), of the gram times the slopes
    size, vectors = torch.linalg.eigh(gram)
    white = vectors * size.rsqrt()
    noise = white.T @ spread @ white
    noise = torch.lerp(noise, noise.diagonal().mean() * torch.eye(k).to(noise), k / (k + n))  # of few blocks
    variance, turn = torch.linalg.eigh(noise)
    along = torch.linalg.solve(white @ turn, slopes)
    variance = variance.clamp(min=0) * float(student.ppf(0.975, n - 1) / NORMAL) ** 2
    kept = (1 - variance / (along**2).clamp(min=1e-300)).clamp(min=0)
    return (white @ turn @ (kept * along)).to(news)
