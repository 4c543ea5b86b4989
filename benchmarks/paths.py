"""Step-by-step paths of processes whose spread is known: the spread of the paths over the true one, by step.

Forecasters of one step, fitted on a simulated series, write on for 60 steps. 1 is right; the table has the median and
the range over ``--seeds`` series. The spread is that between the deciles, in standard deviations.
"""

import argparse
import datetime
import platform
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from tqdm import tqdm

import seqcast

MODELS = {"Ridge": seqcast.RidgeForecaster, "GRU": seqcast.GRUForecaster}
PROCESSES = {"AR(1), .5": 0.5, "AR(1), .8": 0.8, "AR(1), .95": 0.95, "random walk": 1.0}
STEPS = np.array([1, 5, 20, 60])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=list(MODELS), metavar="NAME")
    parser.add_argument("--rows", nargs="+", type=int, default=[500, 3000], help="lengths of the series")
    parser.add_argument("--seeds", type=int, default=6, help="series of each process (default %(default)s)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, python "
        f"{platform.python_version()}, {arguments.seeds} series of each process\n\n"
        f"| model | process | rows | {' | '.join(f'step {step}' for step in STEPS)} |\n{'|---' * (len(STEPS) + 3)}|"
    )
    for model in arguments.model:
        for name, phi in PROCESSES.items():
            for n_rows in arguments.rows:
                seeds = tqdm(range(arguments.seeds), f"{model}, {name}, {n_rows} rows", leave=False)
                ratios = np.array([_ratios(MODELS[model](horizon=1), phi, n_rows, seed) for seed in seeds])
                cells = [f"{np.median(r):.2f} ({r.min():.2f}-{r.max():.2f})" for r in ratios.T]
                print(f"| {model} | {name} | {n_rows} | {' | '.join(cells)} |", flush=True)


def _ratios(forecaster: Any, phi: float, n_rows: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(n_rows)
    values = np.zeros(n_rows)
    for t in range(1, n_rows):
        values[t] = phi * values[t - 1] + noise[t]
    y = pd.Series(values, index=pd.date_range("2010-01-01", periods=n_rows, freq="D"))
    if "random_state" in forecaster.get_params():
        forecaster.set_params(random_state=seed)
    paths = forecaster.fit(y).sample(1000, STEPS.max(), strategy="recursive", random_state=seed)
    low, high = np.quantile(paths.to_numpy()[STEPS - 1], [0.1, 0.9], axis=1)
    true = np.sqrt(np.cumsum(phi ** (2 * np.arange(STEPS.max()))))[STEPS - 1]
    return (high - low) / (2 * norm.ppf(0.9)) / true


if __name__ == "__main__":
    main()
