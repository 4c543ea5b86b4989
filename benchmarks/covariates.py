"""What covariates gain on short series, and what useless ones cost, on made series whose best forecast is known.

Mean absolute errors over 12 steps in units of those of the best forecast, which knows how the series was made.
"""

import argparse
import datetime
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from scipy.signal import lfilter
from tqdm import tqdm

import seqcast
from seqcast.models import _curves, _effects

HORIZON, STAYS, RETURNS = 12, 0.8, 0.7  # of covariates and of errors, what is left of them a step later


class Process(NamedTuple):
    """Target and covariates to the end of the horizon, and the best forecast of it."""

    y: pd.Series
    X: pd.DataFrame
    best: np.ndarray


def driven(
    *effects: float, lag: int = 0, trend: float = 0.0, power: int = 1
) -> Callable[[np.random.Generator, int], Process]:
    """A season of 12, autoregressive errors, and what powers of covariates, with this trend, do so many steps later."""

    shapes = ((STAYS, len(effects)), (RETURNS, 1))

    def make(random: np.random.Generator, n: int) -> Process:
        X, e = (lfilter([1], [1, -phi], random.normal(size=(k, n + 300)))[:, 300 - lag :] for phi, k in shapes)
        X += trend * np.arange(X.shape[1])
        mean = 20 + 3 * np.sin(2 * np.pi * np.arange(n) / 12) + np.array(effects) @ X[:, :n] ** power
        start = n - HORIZON
        best = mean[start:] + RETURNS ** np.arange(1, HORIZON + 1) * e[0, start - 1]
        return _process(mean + e[0, :n], X[:, lag : lag + n], best)

    return make


def gappy(process: Callable[..., Process], *, is_late: bool = False) -> Callable[[np.random.Generator, int], Process]:
    """The same with runs of three past readings of covariates missing, 15 % in all, or only the last two."""

    def make(random: np.random.Generator, n: int) -> Process:
        made = process(random, n)
        X = made.X.copy()
        for column in X:
            first = [n - HORIZON - 2] if is_late else random.integers(0, n - HORIZON - 2, n // 20)
            X.loc[X.index[[k for start in first for k in range(start, min(start + 3, n - HORIZON))]], column] = np.nan
        return made._replace(X=X)

    return make


def unrelated_walks(random: np.random.Generator, n: int) -> Process:
    """Random walks that have nothing to do with each other."""
    y, *X = random.normal(size=(3, n)).cumsum(axis=1)
    return _process(y, np.array(X), np.full(HORIZON, y[-HORIZON - 1]))


def _process(y: np.ndarray, X: np.ndarray, best: np.ndarray) -> Process:
    times = pd.period_range("1990-01", periods=len(y), freq="M")
    return Process(pd.Series(y, times, name="y"), pd.DataFrame(X.T, times).add_prefix("x"), best)


PROCESSES: dict[str, Callable[[np.random.Generator, int], Process]] = {
    "both of two act": driven(1.5, -1.0),
    "one of two acts": driven(1.5, 0.0),
    "neither acts": driven(0.0, 0.0),
    "both act a step later": driven(1.5, -1.0, lag=1),
    "squares of both act": driven(0.8, -0.5, power=2),
    "unrelated random walks": unrelated_walks,
    "both act, gaps": gappy(driven(1.5, -1.0)),
    "both act, trends": driven(1.5, -1.0, trend=0.2),
    "both act, trends, gaps": gappy(driven(1.5, -1.0, trend=0.2)),
    "both act, last two late": gappy(driven(1.5, -1.0), is_late=True),
    "both act, trends, last two late": gappy(driven(1.5, -1.0, trend=0.2), is_late=True),
}


def _no_curves() -> AbstractContextManager[Any]:
    return patch.object(_curves, "MOST", 0)


def _no_effects() -> AbstractContextManager[Any]:
    return patch.object(_effects, "_slopes", lambda news, *_: news.new_zeros(news.shape[2]))


ARMS: dict[str, tuple[Callable[[], Any], bool, Callable[[], AbstractContextManager[Any]]]] = {
    "Ridge without them": (lambda: seqcast.RidgeForecaster(horizon=HORIZON), False, nullcontext),
    "not shrunk to effects": (lambda: seqcast.RidgeForecaster(horizon=HORIZON), True, _no_effects),
    "without squares": (lambda: seqcast.RidgeForecaster(horizon=HORIZON), True, _no_curves),
    "Ridge": (lambda: seqcast.RidgeForecaster(horizon=HORIZON), True, nullcontext),
    "GRU": (lambda: seqcast.GRUForecaster(horizon=HORIZON, random_state=0), True, nullcontext),
    "ARIMA": (lambda: seqcast.ARIMA(horizon=HORIZON), True, nullcontext),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=20, help="of each kind (default 20)")
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 300], help="of a series (default 100 300)")
    parser.add_argument("--kind", nargs="+", default=list(PROCESSES), choices=list(PROCESSES), metavar="NAME")
    parser.add_argument("--model", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{datetime.date.today()}, seqcast {seqcast.__version__}, {arguments.series} series of each kind\n")
    print(f"| covariates | rows | {' | '.join(arguments.model)} |\n{'|---' * (2 + len(arguments.model))}|")
    for name, n in tqdm(list(product(arguments.kind, arguments.rows)), desc="covariates"):
        made = [PROCESSES[name](np.random.default_rng(seed), n + HORIZON) for seed in range(arguments.series)]
        cells = [f"{_error(made, *ARMS[arm]):.2f}" for arm in arguments.model]
        tqdm.write(f"| {name} | {n} | {' | '.join(cells)} |")


def _error(made: list[Process], model: Callable[[], Any], reads: bool, arm: Callable[[], Any]) -> float:
    errors, least = [], []
    for y, X, best in made:
        past, ahead = slice(-HORIZON), slice(-HORIZON, None)
        with arm():
            fitted = model().fit(X[past], y[past]) if reads else model().fit(y[past])
            forecast = fitted.forecast(X=X[ahead]) if reads else fitted.forecast()
        errors.append(np.abs(forecast - y[ahead]).mean())
        least.append(np.abs(best - y[ahead]).mean())
    return float(np.mean(errors) / np.mean(least))


if __name__ == "__main__":
    main()
