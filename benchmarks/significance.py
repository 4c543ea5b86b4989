"""What the tests of significance do on simulated forecasts: size, power, coverage; and what the leaderboard costs.

Forecast errors are those of the best h-step forecast of an AR(1) process, one origin a step, so that neighbouring
forecasts overlap; losses are their squares. A column says how often, in per cent of the simulated cases.
"""

import argparse
import datetime
import platform
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.signal import lfilter

import seqcast
from seqcast.evaluation import (
    RollingOriginSplit,
    backtest,
    diebold_mariano,
    friedman,
    leaderboard,
    model_confidence_set,
    skill_interval,
)
from seqcast.evaluation.bootstrap import block_length, bootstrap_means

PHIS = (0.0, 0.5, 0.8)
Row = tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=list(PARTS), metavar="NAME")
    parser.add_argument("--draws", type=int, default=2000, help="simulated cases of each row (default 2000)")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time")
    arguments = parser.parse_args()
    print(f"{datetime.date.today()}, seqcast {seqcast.__version__}, python {platform.python_version()}\n")
    for name in arguments.part:
        title, header, row, cases = PARTS[name]
        rows = Parallel(arguments.jobs)(delayed(row)(arguments.draws, *case) for case in cases)
        print(f"### {title}\n")
        for line in (header, ("---",) * len(header), *rows):
            print("| " + " | ".join(line) + " |")
        print(flush=True)


def squared_errors(draws: int, n: int, horizon: int, phi: float, n_models: int = 2) -> np.ndarray:
    """Squared forecast errors, (draws, n_models, n): the same process for every model, so that none is better."""
    shocks = np.random.default_rng(0).normal(size=(draws, n_models, n + horizon + 100))
    shocks = lfilter([1.0], [1.0, -phi], shocks)[..., 100:]
    return lfilter(np.ones(horizon), [1.0], shocks)[..., horizon:] ** 2 / horizon


def autoregressive(draws: int, n: int, horizon: int, phi: float) -> np.ndarray:
    """Loss differences that are a mean of `horizon` neighbours of an AR(1) themselves, (draws, n): a harder case."""
    shocks = lfilter([1.0], [1.0, -phi], np.random.default_rng(0).normal(size=(draws, n + horizon + 100)))[..., 100:]
    return lfilter(np.ones(horizon), [1.0], shocks)[..., horizon:] / horizon


def percent(claims: object) -> str:
    return f"{100 * np.mean(claims):.1f}"


def size(draws: int, horizon: int, n: int, phi: float) -> Row:
    losses, differences = squared_errors(draws, n, horizon, phi), autoregressive(draws, n, horizon, phi)
    pairs = [(losses[:, 0], losses[:, 1]), (differences, np.zeros_like(differences))]
    cells = []
    for one, other in pairs:
        for method in ("ewc", "hln"):
            tests = [diebold_mariano(a, b, horizon=horizon, method=method) for a, b in zip(one, other, strict=True)]
            has_verdict = not np.isnan(tests[0].p_value)
            cells.append(percent([test.p_value < 0.05 for test in tests]) if has_verdict else "no verdict")
    return (str(horizon), str(n), f"{phi:.1f}", *cells)


def power(draws: int, horizon: int, n: int, skill: float) -> Row:
    losses = squared_errors(draws, n, horizon, 0.0)
    cells = []
    for method in ("ewc", "hln"):
        tests = [diebold_mariano((1 - skill) * a, b, horizon=horizon, method=method) for a, b in losses]
        cells.append(percent([test.verdict == "better" for test in tests]))
    return (str(horizon), str(n), f"{skill:.1f}", *cells)


def confidence_set(draws: int, horizon: int, n: int, phi: float, n_models: int) -> Row:
    losses = squared_errors(draws, n, horizon, phi, n_models).swapaxes(1, 2)
    cells = []
    for statistic in ("max", "range"):
        found = [model_confidence_set(one, horizon=horizon, statistic=statistic, n_bootstrap=500) for one in losses]
        best = np.array([one.p_values.iloc[0] for one in found])
        cells += [percent(best > 1 - level) for level in (0.9, 0.95)]
    return (str(horizon), str(n), f"{phi:.1f}", str(n_models), *cells)


def coverage(draws: int, horizon: int, blocks: int, phi: float) -> Row:
    """The forecast shares half of its error with the reference, and has 80 % of its loss."""
    n = blocks * horizon
    base, own = np.sqrt(squared_errors(draws, n, horizon, phi).swapaxes(0, 1))
    covered, percentiles, widths = [], [], []
    for x, y in zip(0.4 * (base + own), base, strict=True):
        low, high = skill_interval(x, y, horizon=horizon).interval
        covered.append(low <= 0.2 <= high)
        widths.append(high - low)
        means = bootstrap_means(np.stack([x, y], 1), block_length(n, horizon), 500, np.random.default_rng(0))
        low, high = np.quantile(1 - means[:, 0] / means[:, 1], [0.025, 0.975])
        percentiles.append(low <= 0.2 <= high)
    return (str(horizon), str(blocks), f"{phi:.1f}", percent(covered), percent(percentiles), f"{np.median(widths):.2f}")


def ranks(draws: int, n_series: int, n_origins: int, shared: float) -> Row:
    """Equal models; `shared` of the variance of a loss is common to all series."""
    rng = np.random.default_rng(0)
    rejected, refused = [], []
    for _ in range(draws // 10):
        losses = np.sqrt(1 - shared) * rng.normal(size=(n_series, n_origins, 5))
        losses += np.sqrt(shared) * rng.normal(size=(n_origins, 5))
        rejected.append(friedman(losses.mean(axis=1), independent=True).p_value < 0.05)
        try:
            friedman(losses, independent=True)
            refused.append(False)
        except ValueError:
            refused.append(True)
    return (str(n_series), str(n_origins), f"{shared:.1f}", percent(rejected), percent(refused))


def cost(draws: int, n_series: int, n_origins: int, horizon: int) -> Row:
    """Seconds for ten models, medians of interleaved runs."""
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.normal(size=(500, n_series)), index=pd.date_range("2024-01-01", periods=500, freq="h"))
    models = {f"model {k}": seqcast.Naive(horizon=horizon) for k in range(10)}
    result = backtest(models, y, cv=RollingOriginSplit(horizon, n_origins=n_origins))
    frame = result.forecasts
    frame["forecast"] += rng.normal(size=len(frame))

    def plain() -> object:
        error = (frame["actual"] - frame["forecast"]).abs()
        by_origin = error.groupby([frame["model"], frame["series"], frame["origin"]], observed=True).mean()
        return by_origin.groupby(level=[0, 1], observed=True).mean().groupby(level=0, observed=True).mean()

    ways = (plain, lambda: leaderboard(result), lambda: leaderboard(result, reference="model 0"))
    taken = np.median([[_seconds(way) for way in ways] for _ in range(9)], axis=0)
    return (f"{n_series} x {n_origins} x {horizon}", *(f"{one:.3f} s" for one in taken), f"{taken[2] / taken[0]:.1f} x")


def _seconds(way: Callable[[], object]) -> float:
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        way()
    return time.process_time() - start


COMMON = ("horizon", "origins", "AR")
GRID = [(horizon, n, phi) for horizon in (1, 12) for n in (20, 50, 200) for phi in PHIS]
PARTS: dict[str, tuple[str, Row, Callable[..., Row], list[tuple]]] = {
    "size": (
        "Diebold and Mariano at 5 %: true nulls rejected",
        (*COMMON, "ewc", "hln", "ewc, differences AR", "hln, differences AR"),
        size,
        GRID,
    ),
    "power": (
        "Diebold and Mariano at 5 %: a true advantage found",
        ("horizon", "origins", "skill", "ewc", "hln (its size is not 5 %)"),
        power,
        [(h, n, s) for h, n in ((1, 20), (1, 50), (1, 200), (12, 50), (12, 200)) for s in (0.2, 0.4, 0.6)],
    ),
    "set": (
        "Model confidence set of equal models: one of them kept",
        (*COMMON, "models", "max, 90 %", "max, 95 %", "range, 90 %", "range, 95 %"),
        confidence_set,
        [(h, n, phi, k) for h in (1, 12) for n in (50, 200) for phi in PHIS for k in (2, 5)],
    ),
    "skill": (
        "95 % interval of the skill: true skill covered",
        ("horizon", "independent blocks", "AR", "t interval", "percentiles", "width"),
        coverage,
        [(h, blocks, phi) for h in (1, 12) for blocks in (8, 20, 50) for phi in PHIS],
    ),
    "ranks": (
        "Friedman over series with shared shocks, equal models (a tenth of the draws): rejected at 5 %, refused",
        ("series", "origins", "shared", "rejected", "refused"),
        ranks,
        [(100, 20, shared) for shared in (0.0, 0.1, 0.5, 0.9)],
    ),
    "cost": (
        "Leaderboard of ten models: CPU seconds",
        ("series x origins x steps", "plain means with pandas", "leaderboard", "with a reference", "ratio"),
        cost,
        [(414, 5, 48)],
    ),
}

if __name__ == "__main__":
    main()
