"""What missing values cost: masks against linear interpolation before the same forecaster, on validation parts.

Some of the history is removed, in training and before every origin, single values at random or blocks of a day; both
arms lack the same values, forecast from the same origins and are judged by the same complete truth. Interpolation sees
what lies before an origin only: a gap that is open there keeps its last value. Runs are kept in ``--out``.
"""

import argparse
import datetime
import json
import platform
import time
import warnings
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accuracy import LONG, MODELS, Score, _read, _setting, _standard_error
from tqdm import tqdm

import seqcast
from seqcast.datasets import load_dataset
from seqcast.metrics import mase, seasonal_scale, smape

DAY = 24
STRIDE = 23  # steps from one origin to the next: every hour of the day comes
MEMORY = 1024  # rows before an origin that are handed over; no lookback is longer
GAPS = [(kind, share) for kind in ("random", "blocks") for share in (0.1, 0.3)]
ARMS = ("mask", "interpolation")

Fill = Callable[[Any], Any]


def main() -> None:
    arguments = _arguments()
    gaps = [("complete", 0.0, "mask"), *((kind, share, arm) for (kind, share), arm in product(GAPS, ARMS))]
    runs = list(product(arguments.data, arguments.model, gaps, range(arguments.seeds)))
    for run in tqdm(runs, desc="missing", unit="run", smoothing=0):
        _run(*run, arguments)
    settings = "".join(f", {name}={value}" for name, value in arguments.set)
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, python "
        f"{platform.python_version()}, validation parts, {arguments.seeds} seed(s){settings}\n"
    )
    print(_table(arguments))


def _arguments() -> argparse.Namespace:
    names = ["etth1-96", "epf-np", "m4-hourly"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=names, choices=[*LONG, "m4-hourly"], metavar="NAME")
    parser.add_argument("--model", nargs="+", default=["Ridge", "GRU"], choices=list(MODELS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("missing"), help="folder of the runs (default missing/)")
    parser.add_argument("--set", nargs="*", default=[], type=_setting, metavar="NAME=VALUE", help="other than defaults")
    return parser.parse_args()


# Gaps ----------------------------------------------------------------------------------------------------------------


def with_gaps(y: Any, kind: str, share: float, key: str) -> Any:
    """`y` without a share of its values: single ones or, in "blocks", runs of a day; each series loses its own."""
    rng = np.random.default_rng(zlib.crc32(f"{key} {kind} {share}".encode()))
    if isinstance(y.index, pd.MultiIndex):
        return y.groupby(level=0, sort=False).transform(lambda one: one.mask(_removed(len(one), kind, share, rng)))
    frame = y.copy()
    for name in frame:
        frame[name] = frame[name].mask(_removed(len(frame), kind, share, rng))
    return frame


def _removed(n: int, kind: str, share: float, rng: np.random.Generator) -> np.ndarray:
    length = DAY if kind == "blocks" else 1
    begin = rng.integers(length)
    return np.repeat(rng.random(n // length + 2) < share, length)[begin : begin + n]


def interpolated(y: Any) -> Any:
    """Gaps on the straight line between their neighbours; at the ends, the nearest value."""
    if isinstance(y.index, pd.MultiIndex):
        return y.groupby(level=0, sort=False).transform(lambda one: one.interpolate(limit_direction="both"))
    return y.interpolate(limit_direction="both")


# Protocols -----------------------------------------------------------------------------------------------------------


def long_horizon(name: str, make: Callable[..., Any], remove: Fill, fill: Fill) -> Score:
    """As in accuracy.py on the validation part, from every 23rd origin: squared errors in units of the train rows."""
    file, horizon, stops, lookback, target = (*LONG[name], None, None)[:5]
    frame = load_dataset(file)
    train, end = (int(size if size > 1 else size * len(frame)) for size in stops[:2])
    known = 2 * train - end  # the rows before the validation part of the validation part
    frame = ((frame - frame.iloc[:known].mean()) / frame.iloc[:known].std(ddof=0)).iloc[:end]
    y, X = (frame[[target]], frame.drop(columns=target)) if target else (frame, frame[[]])
    settings = {"lookback": lookback} if lookback else {}
    seen = remove(y)
    start = time.perf_counter()
    fitted = make(horizon=horizon, refit_tail=False, validation_fraction=1 - known / train, **settings)
    fitted.fit(X.iloc[:train], fill(seen.iloc[:train]))
    fit_seconds = time.perf_counter() - start
    losses = []
    for origin in range(train, end - horizon + 1, STRIDE):
        rows = slice(origin - MEMORY, origin + horizon)
        forecast = fitted.forecast(horizon, X.iloc[rows], history=fill(seen.iloc[origin - MEMORY : origin]))
        losses.append(np.mean((y.iloc[origin : origin + horizon].to_numpy() - forecast.to_numpy()) ** 2))
    seconds = fit_seconds, time.perf_counter() - start - fit_seconds
    return Score({"MSE": float(np.mean(losses))}, np.array(losses), -(-horizon // STRIDE), *seconds)


def m4_hourly(name: str, make: Callable[..., Any], remove: Fill, fill: Fill) -> Score:
    """One origin in every series, 48 steps before the validation part ends; OWA."""
    panel = load_dataset("m4_hourly")
    ahead = panel.groupby(level=0, sort=False).cumcount(ascending=False) - 48
    train, test = panel[ahead >= 48], panel[(ahead >= 0) & (ahead < 48)]
    start = time.perf_counter()
    fitted = make(horizon=48, season_length=24).fit(fill(remove(train)))
    fit_seconds = time.perf_counter() - start
    forecast = fitted.forecast().reindex(test.index).to_numpy().reshape(-1, 48)
    predict_seconds = time.perf_counter() - start - fit_seconds
    actual = test.to_numpy().reshape(-1, 48)
    scale = [seasonal_scale(one.to_numpy(), 24) for _, one in train.groupby(level=0, sort=False)]
    relative = np.asarray(smape(actual, forecast, axis=1)) / 18.383
    scaled = np.asarray(mase(actual, forecast, scale=np.array(scale), axis=1)) / 2.395
    losses = (relative + scaled) / 2
    return Score({"OWA": float(np.mean(losses))}, losses, 0, fit_seconds, predict_seconds)


# Runs and table ------------------------------------------------------------------------------------------------------


def _run(name: str, model: str, gaps: tuple[str, float, str], seed: int, arguments: argparse.Namespace) -> None:
    """One run, kept as a file."""
    path = _path(name, model, gaps, seed, arguments)
    if path.exists():
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    kind, share, arm = gaps

    def make(**settings: Any) -> Any:
        estimator = MODELS[model]()
        wanted = {**settings, **dict(arguments.set), "random_state": seed}
        return estimator.set_params(**{k: v for k, v in wanted.items() if k in estimator.get_params()})

    protocol = long_horizon if name in LONG else m4_hourly
    score = protocol(
        name,
        make,
        lambda y: with_gaps(y, kind, share, f"{name} {seed}") if share else y,
        interpolated if arm == "interpolation" else lambda y: y,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, losses=score.losses, lags=score.lags, rest=json.dumps([score.metrics, *score[3:]]))


def _path(name: str, model: str, gaps: tuple[str, float, str], seed: int, arguments: argparse.Namespace) -> Path:
    kind, share, arm = gaps
    return arguments.out / name / f"{model}-{kind}-{share:.0%}-{arm}-{seed}.npz"


def _table(arguments: argparse.Namespace) -> str:
    """Errors, how they grew over the complete history, and the difference of the arms with its standard error."""
    lines = [
        "| data | model | removed | masks | interpolation | masks over interpolation |",
        "|---|---|---|---|---|---|",
    ]
    for name, model in product(arguments.data, arguments.model):
        complete, metric, _ = _mean(name, model, ("complete", 0.0, "mask"), arguments)
        lines.append(f"| {name} {metric} | {model} | nothing | {complete.mean():.4f} | | |")
        for kind, share in GAPS:
            (mask, _, lags), (filled, _, _) = (_mean(name, model, (kind, share, arm), arguments) for arm in ARMS)
            cells = [f"{one.mean():.4f} ({one.mean() / complete.mean() - 1:+.1%})" for one in (mask, filled)]
            error = _standard_error(mask - filled, lags) / filled.mean()
            cells.append(f"{mask.mean() / filled.mean() - 1:+.1%} ± {error:.1%}")
            lines.append(f"| {name} {metric} | {model} | {share:.0%} {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(
    name: str, model: str, gaps: tuple[str, float, str], arguments: argparse.Namespace
) -> tuple[np.ndarray, str, int]:
    scores = [_read(_path(name, model, gaps, seed, arguments)) for seed in range(arguments.seeds)]
    return np.mean([score.losses for score in scores], axis=0), next(iter(scores[0].metrics)), scores[0].lags


if __name__ == "__main__":
    main()
