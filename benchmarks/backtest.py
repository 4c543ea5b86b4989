"""Parallel backtest of the statistical baselines on the 414 hourly series of M4: one core against more."""

import argparse
import statistics
import time
import warnings

import pandas as pd

from seqcast import ARIMA, ETS, Drift, HistoricAverage, Naive, SeasonalNaive, STLForecaster, Theta, WindowAverage
from seqcast.datasets import load_dataset
from seqcast.evaluation import RollingOriginSplit, backtest

HORIZON = 48
KINDS = (Naive, SeasonalNaive, Drift, HistoricAverage, WindowAverage, Theta, STLForecaster, ETS)


def seconds(y: pd.Series, kinds: tuple[type, ...], n_jobs: int, n_origins: int) -> tuple[float, pd.DataFrame]:
    models = {kind.__name__: kind(horizon=HORIZON) for kind in kinds}
    start = time.perf_counter()
    result = backtest(models, y, cv=RollingOriginSplit(HORIZON, n_origins=n_origins), n_jobs=n_jobs)
    return time.perf_counter() - start, result.forecasts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--series", type=int, default=414)
    parser.add_argument("--origins", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arima", action="store_true", help="ARIMA too, which takes ten times as long as the others")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    y = load_dataset("m4_hourly")
    ids, kinds = y.index.get_level_values(0).unique(), (*KINDS, ARIMA) if arguments.arima else KINDS
    seconds(y.loc[ids[:8]], kinds, arguments.jobs, 1)  # the workers start
    y = y.loc[ids[: arguments.series]]
    ratios = []
    for k in range(arguments.rounds):
        one, expected = seconds(y, kinds, 1, arguments.origins)
        more, found = seconds(y, kinds, arguments.jobs, arguments.origins)
        pd.testing.assert_frame_equal(expected, found)
        ratios.append(one / more)
        print(f"round {k}: 1 core {one:.1f} s, {arguments.jobs} cores {more:.1f} s, {ratios[-1]:.2f} x", flush=True)
    print(f"median {statistics.median(ratios):.2f} x")


if __name__ == "__main__":
    main()
