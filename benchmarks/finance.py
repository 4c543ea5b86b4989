"""Size of the finance tests: how often each finds something where there is nothing, on simulated nulls.

``python benchmarks/finance.py [--nulls 2000]`` prints the tables, in percent of the nulls at a level of 5 %.
"""

import argparse
import datetime
import platform
from collections.abc import Callable
from itertools import product

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm
from tqdm import tqdm

import seqcast
from seqcast.metrics import deflated_sharpe_ratio, pesaran_timmermann, probabilistic_sharpe_ratio, sharpe_ratio

LEVEL = 0.05
PERSISTENCE = (0.0, 0.5, 0.8)
ORIGINS = (20, 50, 200)
SHAPES = {"t(5)": lambda rng, size: rng.standard_t(5, size), "skewed": lambda rng, size: 1 - rng.exponential(size=size)}
TRIALS = [(1, 0.0), *((k, rho) for k in (2, 5, 20, 100) for rho in (0.0, 0.8))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nulls", type=int, default=2000, help="simulated nulls for each number")
    n_nulls = parser.parse_args().nulls
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, python {platform.python_version()}, {n_nulls} nulls\n"
    )
    _print("Pesaran–Timmermann, size", ["horizon", "AR", "origins", "1992", "2009"], _direction_sizes(n_nulls))
    _print("and power: a forecast right on 60 % of the steps", ["origins", "1992", "2009"], _direction_powers(n_nulls))
    _print("Sharpe ratio: 95 % intervals that miss it", ["AR", "returns", "independent", "Lo"], _sharpe_sizes(n_nulls))
    _print(
        "Deflated Sharpe ratio of the best of several without skill: false discoveries",
        ["shape", "trials", "correlation", "returns", "deflated", "probabilistic"],
        _discoveries(n_nulls),
    )


def _direction_sizes(n_nulls: int) -> list[list]:
    """Outcomes and forecasts know nothing of each other; both overlap as h-step ones from every origin do."""
    rows = []
    for horizon in (1, 12):
        for persistence in PERSISTENCE:
            for n in ORIGINS:

                def one(rng: np.random.Generator, h: int = horizon, phi: float = persistence, n: int = n) -> list[bool]:
                    actual, noise = _overlapping(rng, n, h), _overlapping(rng, n + 100, h)
                    return _rejections(actual, lfilter([1], [1, -phi], noise)[-n:])

                rows.append([horizon, persistence, n, *_rates(one, n_nulls)])
    return rows


def _direction_powers(n_nulls: int) -> list[list]:
    def one(rng: np.random.Generator, n: int) -> list[bool]:
        actual = rng.standard_normal(n)
        return _rejections(actual, actual * np.where(rng.random(n) < 0.6, 1, -1))

    return [[n, *_rates(lambda rng, n=n: one(rng, n), n_nulls)] for n in (*ORIGINS, 1000)]


def _rejections(actual: np.ndarray, forecast: np.ndarray) -> list[bool]:
    return [pesaran_timmermann(actual, forecast, is_serial=is_serial).p_value < LEVEL for is_serial in (False, True)]


def _sharpe_sizes(n_nulls: int) -> list[list]:
    """Returns with an autoregression, whose true ratio is 0.1."""
    rows = []
    for persistence in (0.0, 0.3, 0.6):
        for n in (250, 1000):

            def one(rng: np.random.Generator, phi: float = persistence, n: int = n) -> list[bool]:
                noise = lfilter([1], [1, -phi], rng.standard_normal(n + 100))[-n:] * np.sqrt(1 - phi**2)
                found = [sharpe_ratio(0.1 + noise, lags=lags) for lags in (0, None)]
                return [abs(ratio - 0.1) > norm.ppf(0.975) * error for ratio, error in found]

            rows.append([persistence, n, *_rates(one, n_nulls)])
    return rows


def _discoveries(n_nulls: int) -> list[list]:
    """Trials without skill, with fat tails or a skewness of -2; the best one is chosen."""
    rows = []
    for shape, (trials, correlation), n in product(SHAPES, TRIALS, (60, 250)):

        def one(
            rng: np.random.Generator,
            draw: Callable = SHAPES[shape],
            k: int = trials,
            rho: float = correlation,
            n: int = n,
        ) -> list[bool]:
            returns = np.sqrt(rho) * draw(rng, (n, 1)) + np.sqrt(1 - rho) * draw(rng, (n, k))
            ratios = returns.mean(axis=0) / returns.std(axis=0)
            best = returns[:, ratios.argmax()]
            return [
                deflated_sharpe_ratio(best, ratios) > 1 - LEVEL,
                probabilistic_sharpe_ratio(best) > 1 - LEVEL,
            ]

        rows.append([shape, trials, correlation, n, *_rates(one, n_nulls)])
    return rows


def _overlapping(rng: np.random.Generator, n: int, horizon: int) -> np.ndarray:
    """Sums of the next `horizon` steps of noise, from each of n origins."""
    return np.convolve(rng.standard_normal(n + horizon - 1), np.ones(horizon), "valid")


def _rates(one: Callable[[np.random.Generator], list[bool]], n_nulls: int) -> np.ndarray:
    """Percent of the nulls on which each decision is true."""
    rng = np.random.default_rng(0)
    return 100 * np.mean([one(rng) for _ in tqdm(range(n_nulls), leave=False)], axis=0)


def _print(title: str, columns: list[str], rows: list[list]) -> None:
    print(f"### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(f'{v:.1f}' if isinstance(v, float) else str(v) for v in row)} |")
    print()


if __name__ == "__main__":
    main()
