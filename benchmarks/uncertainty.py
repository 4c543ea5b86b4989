"""Intervals after calibration: coverage, width and Winkler score of ConformalForecaster around each model.

``SEQCAST_DATA`` names the folder of the public files. Every run (data set, model, method, seed) is kept in ``--out``;
runs that are there already are not repeated: after a change of the library, give another folder. ``--part validation``
shifts every protocol back in time, so that no test value is read: what is chosen, is chosen there.
"""

import argparse
import datetime
import json
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accuracy import GASES, NETWORKS, WEATHER, _setting, _standard_error
from accuracy import MODELS as POINT_MODELS
from joblib import Parallel, delayed
from tqdm import tqdm

import seqcast
from seqcast.datasets import load_dataset
from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.metrics import interval_score, seasonal_scale

METHODS = ("own", "split", "weighted", "adaptive")  # own: the model's intervals as they are
MODELS = {**POINT_MODELS, "Historic average": seqcast.HistoricAverage}
INTERVALS = (0.8, 0.95)
N_BLOCKS = 8  # of the horizon
STRETCH = 250  # days
M4_ORIGINS = 6

Run = Callable[[Callable[..., Any], str, str], dict[str, Any]]  # a model with settings, method and part to results


def main() -> None:
    arguments = _arguments()
    runs = [
        (name, model, method, seed)
        for name in arguments.data
        for model in arguments.model
        for method in (arguments.method if name != "sp500-stretches" else ["adaptive"])
        for seed in (range(arguments.seeds) if model in NETWORKS else [0])
    ]
    work = (delayed(_run)(*run, arguments) for run in runs)
    answers = Parallel(arguments.jobs, return_as="generator_unordered")(work)
    for _ in tqdm(answers, total=len(runs), desc="uncertainty", unit="run", smoothing=0):
        pass
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, python "
        f"{platform.python_version()}, {arguments.part} part\n"
    )
    for name in arguments.data:
        print(_table(name, arguments), "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(PROTOCOLS), choices=list(PROTOCOLS), metavar="NAME")
    parser.add_argument("--model", nargs="+", default=[*NETWORKS, "Ridge"], choices=list(MODELS), metavar="NAME")
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=METHODS, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, help="of each network (default 3)")
    parser.add_argument("--part", choices=["validation", "test"], default="validation")
    parser.add_argument("--out", type=Path, default=Path("uncertainty"), help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=max((os.cpu_count() or 2) // 2, 1), help="runs at a time")
    parser.add_argument("--set", nargs="*", default=[], type=_setting, metavar="NAME=VALUE", help="other than defaults")
    return parser.parse_args()


# Protocols -----------------------------------------------------------------------------------------------------------


def rolling(
    name: str, targets: list[str] | None, known: list[str] | None, horizon: int = 24, share: float = 0.2
) -> Run:
    """Origins a horizon apart over the last share of the rows."""

    def run(make: Callable[..., Any], method: str, part: str) -> dict[str, Any]:
        frame = load_dataset(name).asfreq("h")
        if part == "validation":
            frame = frame.iloc[: int((1 - share) * len(frame))]
        y, X = frame[targets or list(frame)], None if known is None else frame[known]
        cv = RollingOriginSplit(horizon, n_origins=int(share * len(frame) / horizon))
        return _coverages(make(method, horizon=horizon), y, X, cv)

    return run


def m4_hourly(make: Callable[..., Any], method: str, part: str) -> dict[str, Any]:
    """A week of origins a day apart, the last 48 steps before the end of every series; the days are told by update."""
    panel = load_dataset("m4_hourly")
    ahead = panel.groupby(level=0, sort=False).cumcount(ascending=False)
    week = 24 * (M4_ORIGINS - 1) + 48
    held = week if part == "validation" else 0
    panel, ahead = panel[ahead >= held], ahead[ahead >= held] - held
    train = panel[ahead >= week]
    fitted = make(method, horizon=48, season_length=24).fit(train)
    ids = train.index.get_level_values(0).unique()
    levels = [level for c in INTERVALS for level in _levels(c)]
    actual, bounds = [], []
    for left in range(week, 47, -24):
        if left < week:
            fitted.update(panel[(ahead >= left) & (ahead < left + 24)])
        test = panel[(ahead < left) & (ahead >= left - 48)]
        actual.append(test.to_numpy().reshape(len(ids), 48))
        bounds.append(fitted.forecast(quantiles=levels).reindex(test.index).to_numpy().reshape(len(ids), 48, -1))
    scale = np.array([seasonal_scale(train.loc[one].to_numpy(), 24) for one in ids])[:, None]
    return _summary(np.array(actual), np.array(bounds), scale, lags=1)


def sp500_days(make: Callable[..., Any], method: str, part: str) -> dict[str, Any]:
    """Every day of the last fifth, one day ahead; validation is the last fifth of what lies before 2003."""
    y = _returns()
    y = y if part == "test" else y[:"2002"]
    return _coverages(make(method), y, None, RollingOriginSplit(1, n_origins=len(y) // 5))


def sp500_stretches(make: Callable[..., Any], method: str, part: str) -> dict[str, Any]:
    """Fitted before 2003, every day since, 90 %; validation is fitted before 2001 and ends with 2002."""
    y = _returns()
    y, begin = (y, "2003") if part == "test" else (y[:"2002"], "2001")
    cv = RollingOriginSplit(1, n_origins=len(y[begin:]))
    low, high = _levels(0.9)
    found = {}
    for one in ("split", "adaptive"):  # split is the quantile of the last 500 scores
        frame = backtest(make(one), y, cv=cv, quantiles=[low, high]).forecasts
        inside = (frame["actual"] >= frame[low]) & (frame["actual"] <= frame[high])
        stretch = 100 * inside.rolling(STRETCH).mean().set_axis(frame["time"]).dropna()
        crisis = stretch[(stretch.index >= "2008") & (stretch.index < "2011")]
        found[one] = {
            "coverage": 100 * inside.mean(),
            "stretches": [stretch.min(), stretch.max()],
            "2008-2010": [crisis.min(), crisis.max()] if len(crisis) else [],
            "width": (frame[high] - frame[low]).mean(),
            "longest width": (frame[high] - frame[low]).max(),
            "Winkler": float(interval_score(frame["actual"], lower=frame[low], upper=frame[high], level=0.9)),
        }
    return found


def _returns() -> pd.Series:
    return (100 * np.log(load_dataset("sp500")["Close"]).diff()).dropna().rename("return")


def _levels(coverage: float) -> list[float]:
    return [round((1 - coverage) / 2, 6), round((1 + coverage) / 2, 6)]


def _coverages(model: Any, y: Any, X: Any, cv: RollingOriginSplit) -> dict[str, Any]:
    levels = [level for c in INTERVALS for level in _levels(c)]
    frame = backtest(model, y, X, cv=cv, quantiles=levels).forecasts
    series, origin = frame["series"].cat.codes, np.unique(frame["origin"], return_inverse=True)[1]
    shape = (series.max() + 1, origin.max() + 1, frame["step"].max())
    actual, bounds = np.full(shape, np.nan), np.full((*shape, len(levels)), np.nan)
    where = series, origin, frame["step"] - 1
    actual[where], bounds[where] = frame["actual"], frame[levels]
    first = int(len(y) - cv.n_origins * cv.horizon)
    values = np.asarray(y, dtype=float).reshape(len(y), -1)[:first].T
    scale = np.atleast_1d(seasonal_scale(values, 24 if shape[2] > 1 else 1))[:, None, None]
    return _summary(np.moveaxis(actual, 0, 1), np.moveaxis(bounds, 0, 1), np.moveaxis(scale, 0, 1), lags=7)


def _summary(actual: np.ndarray, bounds: np.ndarray, scale: np.ndarray, lags: int) -> dict[str, Any]:
    """Coverage of units (origins or series) along the first axis, steps along the last, with its standard error."""
    found = {}
    for k, c in enumerate(INTERVALS):
        lower, upper = bounds[..., 2 * k], bounds[..., 2 * k + 1]
        inside = np.where(np.isnan(actual), np.nan, (actual >= lower) & (actual <= upper))
        blocks = np.array_split(np.arange(actual.shape[-1]), min(N_BLOCKS, actual.shape[-1]))
        parts = [_mean_and_error(inside[..., block], lags) for block in blocks]
        found[str(c)] = {
            "coverage": _mean_and_error(inside, lags),
            "blocks": parts,
            "Winkler": float(interval_score(actual / scale, lower=lower / scale, upper=upper / scale, level=c)),
            "width": float(np.nanmean((upper - lower) / scale)),
        }
    return found


def _mean_and_error(inside: np.ndarray, lags: int) -> tuple[float, float]:
    """Coverage in percent over all that is known, and the standard error over units."""
    flat = inside.reshape(len(inside), -1)
    known = (~np.isnan(flat)).sum(axis=1)
    mean = np.nansum(flat) / known.sum()
    excess = (np.nansum(flat, axis=1) - mean * known) / known.mean()  # of the ratio, linearised
    return 100 * float(mean), 100 * _standard_error(excess, lags)


PROTOCOLS: dict[str, Run] = {
    "etth1": rolling("etth1", None, None),
    "epf-de": rolling("epf_de", ["OT"], ["Wind power forecast", "Ampirion zonal load forecast"]),
    "air-quality": rolling("air_quality", GASES, WEATHER),
    "m4-hourly": m4_hourly,
    "sp500": sp500_days,
    "sp500-stretches": sp500_stretches,
}


# Runs and tables -----------------------------------------------------------------------------------------------------


def _run(name: str, model: str, method: str, seed: int, arguments: argparse.Namespace) -> None:
    """One run, kept as a file."""
    path = _path(name, model, method, seed, arguments)
    if path.exists():
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")

    def make(method: str, **settings: Any) -> Any:
        estimator = MODELS[model]()
        wanted = {**dict(arguments.set), "random_state": seed}
        estimator.set_params(**{k: v for k, v in wanted.items() if k in estimator.get_params()})
        if method == "own":
            return estimator.set_params(**settings)
        return seqcast.ConformalForecaster(estimator, method=method, **settings)

    found = PROTOCOLS[name](make, method, arguments.part)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _path(name: str, model: str, method: str, seed: int, arguments: argparse.Namespace) -> Path:
    return arguments.out / arguments.part / name / f"{model}-{method}-{seed}.json"


def _table(name: str, arguments: argparse.Namespace) -> str:
    """One line a model and method, the mean over the seeds."""
    lines = []
    for model in MODELS:
        for method in METHODS:
            paths = sorted(_path(name, model, method, 0, arguments).parent.glob(f"{model}-{method}-*.json"))
            found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
            if found:
                lines += (_stretch_lines if name == "sp500-stretches" else _coverage_lines)(model, method, found)
    return "\n".join([f"### {name}\n", *_HEADS[name == "sp500-stretches"], *lines])


_HEADS = {
    False: [
        "| model | method | interval | coverage | two standard errors | blocks | kept | Winkler | width | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ],
    True: [
        "| model | method | coverage | 250 days | 2008-2010 | width | widest | Winkler | width, Winkler over split |",
        "|---|---|---|---|---|---|---|---|---|",
    ],
}


def _coverage_lines(model: str, method: str, found: list[dict[str, Any]]) -> list[str]:
    """`kept` says whether coverage is within 2 points or two standard errors, blocks within 5 points or three."""
    lines = []
    for c in INTERVALS:
        one = [seed[str(c)] for seed in found]
        coverage, error = np.mean([seed["coverage"] for seed in one], axis=0)
        blocks = np.mean([seed["blocks"] for seed in one], axis=0)  # (n_blocks, 2)
        kept = abs(coverage - 100 * c) <= max(2, 2 * error)
        blocks_kept = np.all(np.abs(blocks[:, 0] - 100 * c) <= np.maximum(5, 3 * blocks[:, 1]))
        cells = [
            model,
            method,
            f"{c:.0%}",
            f"{coverage:.1f}",
            f"{2 * error:.1f}",
            f"{blocks[:, 0].min():.1f} to {blocks[:, 0].max():.1f}",
            f"{'yes' if kept else 'NO'}, {'yes' if blocks_kept else 'NO'}",
            *(f"{np.mean([seed[key] for seed in one]):.3f}" for key in ("Winkler", "width")),
            str(len(found)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _stretch_lines(model: str, method: str, found: list[dict[str, Any]]) -> list[str]:
    lines, base = [], found[0]["split"]
    for kind, one in found[0].items():
        ratio = f"{one['width'] / base['width']:.3f}, {one['Winkler'] / base['Winkler']:.3f}"
        cells = [
            model,
            kind,
            f"{one['coverage']:.1f}",
            *(" to ".join(f"{end:.1f}" for end in one[key]) for key in ("stretches", "2008-2010")),
            *(f"{one[key]:.3f}" for key in ("width", "longest width", "Winkler")),
            ratio,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
