"""Forecasts of series that are made: days of a week, opening hours, shifts of level, exponential growth.

Each series is forecast once, at its end. The errors are divided by those of the seasonal naive forecast of the same
season, weeks where there are weekdays; "held" is the share of values inside the model's own 80 % intervals.
"""

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

import seqcast

MODELS = {
    "Ridge": lambda horizon: seqcast.RidgeForecaster(horizon=horizon),
    "GRU": lambda horizon: seqcast.GRUForecaster(horizon=horizon, random_state=0),
    "ETS": lambda horizon: seqcast.ETS(horizon=horizon),
}
Draw = Callable[[np.random.Generator], pd.Series]


def weekdays(freq: str, n_weeks: int) -> tuple[Draw, int, int]:
    """A peak at noon, lower on Saturdays and Sundays, and noise; the day after a weekend is forecast."""
    day = pd.Timedelta(1, "D") // pd.Timedelta(pd.tseries.frequencies.to_offset(freq))

    def draw(rng: np.random.Generator) -> pd.Series:
        times = pd.date_range("2024-01-01", periods=7 * day * n_weeks + day, freq=freq)
        phase = 2 * np.pi * (np.arange(len(times)) % day) / day
        level = np.where(times.day_of_week < 5, 1.0, 0.4) * np.exp(0.1 * rng.normal(size=len(times)))
        return pd.Series(20 + 8 * np.maximum(0, np.sin(phase - 1.5)) * level + 0.5 * rng.normal(size=len(times)), times)

    return draw, day, 7 * day


def opening_hours(n_weeks: int) -> tuple[Draw, int, int]:
    """Hours of a shop that is closed at night and on weekends, some days busier than others; it ends on any day."""

    def draw(rng: np.random.Generator) -> pd.Series:
        n_days = 7 * n_weeks + rng.integers(7) + 1
        times = pd.date_range("2024-01-01", periods=24 * n_days, freq="h")
        is_open = (times.day_of_week < 5) & (times.hour >= 8) & (times.hour < 20)
        level = np.repeat(np.exp(0.3 * rng.normal(size=n_days)), 24) * rng.gamma(50, 1 / 50, len(times))
        return pd.Series(is_open * level * (3 + np.sin((times.hour - 8) / 4)), times)

    return draw, 24, 7 * 24


def shift(n_rows: int, n_ago: int) -> tuple[Draw, int, int]:
    """A season of seven days and noise; the level rose by ten standard deviations of the noise some rows ago."""

    def draw(rng: np.random.Generator) -> pd.Series:
        t = np.arange(n_rows + 7)
        values = 50 + 20 * (t >= n_rows - n_ago) + 5 * np.sin(2 * np.pi * t / 7) + 2 * rng.normal(size=len(t))
        return pd.Series(values, pd.date_range("2024-01-01", periods=len(t)))

    return draw, 7, 7


def growth(n_rows: int, rate: float) -> tuple[Draw, int, int]:
    """The exponential of a line and a random walk, by years."""

    def draw(rng: np.random.Generator) -> pd.Series:
        line = rate * np.arange(n_rows + 4) + 0.03 * rng.normal(size=n_rows + 4).cumsum()
        return pd.Series(np.exp(line), pd.period_range("1900", periods=len(line), freq="Y"))

    return draw, 4, 1


KINDS = {
    "weekdays, hours, 3 weeks": weekdays("h", 3),
    "weekdays, hours, 8 weeks": weekdays("h", 8),
    "weekdays, 15 minutes, 3 weeks": weekdays("15min", 3),
    "weekdays, 15 minutes, 8 weeks": weekdays("15min", 8),
    "weekdays, 10 minutes, 8 weeks": weekdays("10min", 8),
    **{f"opening hours, {n_weeks} weeks": opening_hours(n_weeks) for n_weeks in (3, 4, 5, 8)},
    "shift 5 of 200 rows ago": shift(200, 5),
    "shift 40 of 200 rows ago": shift(200, 40),
    "shift 60 of 400 rows ago": shift(400, 60),
    "growth of 6 %, 30 rows": growth(30, 0.06),
    "growth of 6 %, 60 rows": growth(60, 0.06),
    "growth of 2 %, 60 rows": growth(60, 0.02),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    parser.add_argument("--model", nargs="+", default=["Ridge", "ETS"], choices=list(MODELS), metavar="NAME")
    parser.add_argument("--draws", type=int, default=10, help="series of each kind (default 10)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| series | model | MAE over the seasonal naive | held | draws |\n|---|---|---|---|---|")
    for kind in arguments.kind:
        draw, horizon, season = KINDS[kind]
        series = [draw(np.random.default_rng(seed)) for seed in range(arguments.draws)]
        naive = seqcast.SeasonalNaive(horizon=horizon, season_length=season)
        base = np.mean([(naive.fit(y[:-horizon]).forecast() - y[-horizon:]).abs().mean() for y in series])
        for name in arguments.model:
            errors, held = [], []
            for y in series:
                found = MODELS[name](horizon).fit(y[:-horizon]).forecast(interval=0.8)
                actual = y[-horizon:].to_numpy()
                errors.append(np.abs(actual - found.iloc[:, 1]).mean())
                held.append(((actual >= found["lower"]) & (actual <= found["upper"])).mean())
            print(
                f"| {kind} | {name} | {np.mean(errors) / base:.2f} | {np.mean(held):.2f} | {len(series)} |", flush=True
            )


if __name__ == "__main__":
    main()
