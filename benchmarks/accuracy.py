"""Accuracy at the defaults of the library, by published protocols: each table beside the published numbers.

``SEQCAST_DATA`` names the folder of the public files. Every run (data set, model, seed) is kept in ``--out``; runs that
are there already are not repeated: after a change of the library, give another folder. ``--part validation`` shifts
every protocol back in time by one test part, ``validation-2`` by two, so that no test value is read: what is chosen, is
chosen there. ``--out benchmarks/runs`` adds to the runs that RESULTS.md is made of; a change of the defaults makes them
void: delete the folder then.
"""

import argparse
import datetime
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from statsmodels.regression.linear_model import OLS
from tqdm import tqdm

import seqcast
from seqcast.datasets import load_dataset
from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.metrics import mae, mase, scaled_quantile_loss, seasonal_scale, smape, weighted_quantile_loss

NETWORKS = {
    "RNN": seqcast.RNNForecaster,
    "LSTM": seqcast.LSTMForecaster,
    "GRU": seqcast.GRUForecaster,
    "Transformer": seqcast.TransformerForecaster,
}
MODELS = {
    **NETWORKS,
    "Ridge": seqcast.RidgeForecaster,
    "ETS": seqcast.ETS,
    "Theta": seqcast.Theta,
    "Seasonal naive": seqcast.SeasonalNaive,
    "Naive": seqcast.Naive,
}


PARTS = {"test": 0, "validation": 1, "validation-2": 2, "validation-3": 3}  # test parts by which a protocol is shifted
DECILES = [k / 10 for k in range(1, 10)]


class Score(NamedTuple):
    """What one run of a protocol gives."""

    metrics: dict[str, float]  # the first is the one of the target table
    losses: np.ndarray  # (n_units,): the first metric by origin or by series
    lags: int  # origins whose losses hang together; 0 where the units are series
    fit_seconds: float
    predict_seconds: float


Make = Callable[..., Any]  # keyword arguments to a model


def main() -> None:
    arguments = _arguments()
    runs = [
        (name, model, seed)
        for name in arguments.data
        for model in arguments.model
        for seed in (range(arguments.seeds) if model in NETWORKS else [0])
    ]
    work = (delayed(_run)(*run, arguments) for run in runs)
    answers = Parallel(arguments.jobs, return_as="generator_unordered")(work)
    for _ in tqdm(answers, total=len(runs), desc="accuracy", unit="run", smoothing=0):
        pass
    settings = "".join(f", {name}={value}" for name, value in arguments.set)
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, python "
        f"{platform.python_version()}, {arguments.part} part, {arguments.jobs} runs at a time{settings}\n"
    )
    print(_summary(arguments), "\n")
    for name in arguments.data:
        print(_table(name, arguments), "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(PROTOCOLS), choices=list(PROTOCOLS), metavar="NAME")
    parser.add_argument("--model", nargs="+", default=[*NETWORKS, "Ridge"], choices=list(MODELS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, help="of each network (default 3)")
    parser.add_argument("--part", choices=list(PARTS), default="validation")
    parser.add_argument("--out", type=Path, default=Path("accuracy"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=max((os.cpu_count() or 2) // 2, 1), help="runs at a time")
    parser.add_argument("--set", nargs="*", default=[], type=_setting, metavar="NAME=VALUE", help="other than defaults")
    return parser.parse_args()


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


# Protocols -----------------------------------------------------------------------------------------------------------


def long_horizon(
    name: str,
    horizon: int,
    stops: tuple[float, float, float],
    lookback: int | None = None,
    target: str | None = None,
    *,
    is_default: bool = False,
) -> Callable[..., Score]:
    """Train rows, validation rows, then every window of the test rows, stride 1; errors in units of the train rows."""

    def run(make: Make, part: str) -> Score:
        frame = load_dataset(name)
        ends = [int(size if size > 1 else size * len(frame)) for size in stops]  # of train, validation and test
        if part != "test":
            size = ends[1] - ends[0]
            ends = [ends[0] - size, *ends[:2]]
            ends = [end - (PARTS[part] - 1) * size for end in ends]
        spread = frame.iloc[: ends[0]].std(ddof=0)
        frame = ((frame - frame.iloc[: ends[0]].mean()) / spread).iloc[: ends[2]]
        y, X = (frame[[target]], frame.drop(columns=target)) if target else (frame, None)
        settings: dict[str, Any] = {"lookback": lookback} if lookback else {}
        if not is_default:
            share = (ends[1] - ends[0]) / ends[1]
            settings |= {"refit_tail": False, "validation_fraction": share}
        n_origins = ends[2] - ends[1] - horizon + 1
        cv = RollingOriginSplit(horizon, n_origins=int(n_origins), step=1)
        result = backtest(make(horizon=horizon, **settings), y, X, cv=cv)
        found = result.forecasts
        error = (found["actual"] - found["forecast"]).to_numpy()
        _, origin = np.unique(found["origin"], return_inverse=True)
        losses = np.bincount(origin, error**2) / np.bincount(origin)
        metrics = {"MSE": float(np.mean(error**2)), "MAE": float(np.mean(np.abs(error)))}
        return Score(metrics, losses, horizon - 1, *_seconds(result))

    return run


def rolling(
    name: str, targets: list[str], known: list[str] | None, horizon: int, n_origins: float, refit: bool | int = False
) -> Callable[..., Score]:
    """Origins at the end, a horizon apart; MASE and the scaled quantile loss of nine deciles."""

    def run(make: Make, part: str) -> Score:
        frame = load_dataset(name).asfreq("h")
        count = int(n_origins if n_origins > 1 else n_origins * len(frame) / horizon)
        frame = frame.iloc[: len(frame) - PARTS[part] * count * horizon]
        X = frame[known] if known else frame.drop(columns=targets)
        cv = RollingOriginSplit(horizon, n_origins=count)
        result = backtest(make(horizon=horizon), frame[targets], X, cv=cv, refit=refit, quantiles=DECILES)
        losses, quantile_losses = [], []
        for (series, origin), one in result.forecasts.groupby(["series", "origin"], observed=True, sort=False):
            scale = seasonal_scale(frame.loc[:origin, series].to_numpy(), 24)
            actual = one["actual"].to_numpy()
            losses.append(mase(actual, one["forecast"], scale=scale))
            spread = one[DECILES].to_numpy()  # (horizon, 9)
            quantile_losses.append(scaled_quantile_loss(actual, spread, quantiles=DECILES, scale=scale))
        by_origin = np.nanmean(np.reshape(losses, (len(targets), -1)), axis=0)
        metrics = {"MASE": float(np.nanmean(losses)), "SQL": float(np.nanmean(quantile_losses))}
        return Score(metrics, by_origin, 1, *_seconds(result))

    return run


def last_steps(
    name: str, horizon: int, season: int, metric: str, alone: int | None = None, **own: Any
) -> Callable[..., Score]:
    """One origin in every series, `horizon` before its end; a series of less than two horizons is left out.

    With `alone`, a number, every so manyth series, each fitted by itself.
    """

    def run(make: Make, part: str) -> Score:
        panel = load_dataset(name)
        ahead = panel.groupby(level=0, sort=False).cumcount(ascending=False)  # steps to the end of the series
        ahead = ahead - PARTS[part] * horizon
        is_left = (ahead >= 0) & (ahead.groupby(level=0).transform("max") >= 2 * horizon - 1)
        panel, ahead = panel[is_left], ahead[is_left]
        names = panel.index.get_level_values(0).unique()[::alone]
        panel, ahead = (part[panel.index.get_level_values(0).isin(names)] for part in (panel, ahead))
        train, test = panel[ahead >= horizon], panel[ahead < horizon]
        start = time.perf_counter()
        parts = [train.loc[[name]] for name in names] if alone else [train]
        fitted = [make(horizon=horizon, **own).fit(part) for part in parts]
        fit_seconds = time.perf_counter() - start
        forecast = pd.concat([model.forecast() for model in fitted])
        predict_seconds = time.perf_counter() - start - fit_seconds
        spread = pd.concat([model.forecast(quantiles=DECILES) for model in fitted]).reindex(test.index).to_numpy()
        scale = np.array([seasonal_scale(train.loc[one].to_numpy(), season) for one in names])
        actual, forecast = (
            part.to_numpy().reshape(len(names), horizon) for part in (test, forecast.reindex(test.index))
        )
        losses = {
            "MAE": np.asarray(mae(actual, forecast, axis=1)),
            "sMAPE": np.asarray(smape(actual, forecast, axis=1)),
            "MASE": np.asarray(mase(actual, forecast, scale=scale, axis=1)),
        }
        losses["OWA"] = (losses["sMAPE"] / 18.383 + losses["MASE"] / 2.395) / 2
        order = [metric, *(other for other in losses if other not in (metric, "OWA"))]
        metrics = {key: float(np.mean(losses[key])) for key in order}
        metrics["WQL"] = weighted_quantile_loss(test.to_numpy(), spread, quantiles=DECILES)
        return Score(metrics, losses[metric], 0, fit_seconds, predict_seconds)

    return run


GASES, WEATHER = ["CO(GT)", "NOx(GT)", "C6H6(GT)", "NO2(GT)"], ["T", "RH", "AH"]
ETTH1, LTSF = (8640, 11520, 14400), (0.7, 0.8, 1.0)
ETTH1_HORIZONS = (96, 192, 336, 720)
LONG: dict[str, tuple[Any, ...]] = {
    **{f"etth1-{h}": ("etth1", h, ETTH1) for h in ETTH1_HORIZONS},
    "exchange-96": ("exchange_rate", 96, LTSF, 96),
    **{f"illness-{h}": ("national_illness", h, LTSF) for h in (24, 36, 48, 60)},
    "epf-np": ("epf_np", 24, LTSF, 168, "OT"),
    "epf-de": ("epf_de", 24, LTSF, 168, "OT"),
}
PROTOCOLS: dict[str, Callable[[Make, str], Score]] = {
    **{name: long_horizon(*how) for name, how in LONG.items()},
    **{f"{name}-default": long_horizon(*how, is_default=True) for name, how in LONG.items()},
    "epf-np-rolling": rolling("epf_np", ["OT"], None, 24, 0.2),
    "epf-de-rolling": rolling("epf_de", ["OT"], None, 24, 0.2),
    "epf-np-fev": rolling("epf_np", ["OT"], None, 24, 20, refit=5),
    "epf-de-fev": rolling("epf_de", ["OT"], None, 24, 20, refit=5),
    "air-quality-rolling": rolling("air_quality", GASES, WEATHER, 168, 0.2),
    "air-quality-fev": rolling("air_quality", GASES, WEATHER, 168, 20, refit=5),
    "m4-hourly": last_steps("m4_hourly", 48, 24, "OWA", season_length=24),
    "hospital": last_steps("hospital", 12, 12, "MAE"),
    "tourism": last_steps("tourism_monthly", 24, 12, "MAE"),
    "hospital-alone": last_steps("hospital", 12, 12, "MASE", alone=10),
    "tourism-alone": last_steps("tourism_monthly", 24, 12, "MASE", alone=5),
}
PUBLISHED = {
    "etth1-96": "DUET .352/.384, SegRNN .351/.392 (rerun .367/.400), PatchTST .377/.397",
    "etth1-192": "DUET .398/.409, SegRNN .392/.414 (.407/.422), PatchTST .409/.425",
    "etth1-336": "DUET .414/.426, SegRNN .423/.433 (.437/.440), PatchTST .431/.444",
    "etth1-720": "DUET .429/.455, SegRNN .466/.472 (.480/.478), PatchTST .457/.477",
    "exchange-96": "last value .081/.196",
    "illness-24": "mean of four horizons: DUET 1.616/.795, PatchTST 1.90/.88; DLinear 2.185/1.040",
    "epf-np": "without future covariates: TimeXer .236/.268, PatchTST .267/.284",
    "epf-de": "without future covariates: TimeXer .440/.415, PatchTST .461/.432",
    "epf-np-fev": "PatchTST .806, SQL .635; TFT .859, .690; seasonal naive 1.761, 1.530",
    "epf-de-fev": "PatchTST .573, SQL .460; TFT .656, .509; seasonal naive 1.709, 1.388",
    "air-quality-fev": "TiRex 1.106, SQL .865; DeepAR 1.363, 1.111; seasonal naive 1.442, 1.384",
    "m4-hourly": "hourly winner .410, ES-RNN .440, FFORMA .484, Theta 1.006",
    "hospital": "TBATS 17.43, ETS 17.97, DeepAR 18.25",
    "tourism": "DeepAR 1871.7, N-BEATS 2003.0, ETS 2004.5",
}

ETTH1_ASKED = ".407, .402 (mean of four)"
SUMMARY = [  # what, data sets, metric, what is asked of each network and of the best, published
    *(
        (f"ETTh1 {h}", [f"etth1-{h}"], "MSE", ETTH1_ASKED, PUBLISHED[f"etth1-{h}"].split("/")[0])
        for h in ETTH1_HORIZONS
    ),
    ("ETTh1, mean", [f"etth1-{h}" for h in ETTH1_HORIZONS], "MSE", ".407, .402", "DUET .398"),
    ("M4 hourly", ["m4-hourly"], "OWA", ".48 (Transformer .49), .44", "winner .410, ES-RNN .440"),
    ("M4 hourly", ["m4-hourly"], "WQL", ".028, .025", "PatchTST .039, AutoARIMA .034, TiRex .020"),
    ("exchange_rate 96", ["exchange-96"], "MSE", ".0820, .0812", "last value .0812"),
    ("national_illness, mean", [f"illness-{h}" for h in (24, 36, 48, 60)], "MSE", "1.80, 1.65", "DUET 1.616"),
    ("EPF NP", ["epf-np"], "MSE", ".205, .190", "TimeXer .236 without future columns"),
    ("EPF DE", ["epf-de"], "MSE", ".315, .295", "TimeXer .440 without future columns"),
    ("EPF NP, last 20 %", ["epf-np-rolling"], "MASE", "-", "-"),
    ("EPF DE, last 20 %", ["epf-de-rolling"], "MASE", "-", "-"),
    ("AirQuality, last 20 %", ["air-quality-rolling"], "MASE", "-", "-"),
    ("hospital", ["hospital"], "MAE", "18.4, 17.9", "TBATS 17.43, ETS 17.97"),
    ("tourism_monthly", ["tourism"], "MAE", "2000, 1880", "DeepAR 1871.7, ETS 2004.5"),
    ("EPF NP, fev-bench form", ["epf-np-fev"], "MASE", ".90, .81", "PatchTST .806, TFT .859"),
    ("EPF DE, fev-bench form", ["epf-de-fev"], "MASE", ".74, .66", "PatchTST .573, TFT .656"),
    ("AirQuality, fev-bench form", ["air-quality-fev"], "MASE", "1.24, 1.15", "TiRex 1.106, DeepAR 1.363"),
]


# Runs and tables -----------------------------------------------------------------------------------------------------


def _run(name: str, model: str, seed: int, arguments: argparse.Namespace) -> None:
    """One run, kept as a file."""
    path = _path(name, model, seed, arguments)
    if path.exists():
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")

    def make(**settings: Any) -> Any:
        estimator = MODELS[model]()
        wanted = {**settings, **dict(arguments.set), "random_state": seed}
        return estimator.set_params(**{k: v for k, v in wanted.items() if k in estimator.get_params()})

    score = PROTOCOLS[name](make, arguments.part)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, losses=score.losses.astype(np.float32), lags=score.lags, rest=json.dumps([score.metrics, *score[3:]])
    )


def _path(name: str, model: str, seed: int, arguments: argparse.Namespace) -> Path:
    return arguments.out / arguments.part / name / f"{model}-{seed}.npz"


def _read(path: Path) -> Score:
    with np.load(path) as file:
        metrics, fit_seconds, predict_seconds = json.loads(str(file["rest"]))
        return Score(metrics, file["losses"], int(file["lags"]), fit_seconds, predict_seconds)


def _summary(arguments: argparse.Namespace) -> str:
    """One row a protocol: the mean over the seeds and, of several data sets, over these."""
    models = [*NETWORKS, "Ridge"]
    lines = [f"| | {' | '.join(models)} | asked of each, of the best | published |", "|---" * (len(models) + 3) + "|"]
    for label, names, metric, asked, published in SUMMARY:
        found = [_scores(name, arguments) for name in names]
        cells = []
        for model in models:
            means = [np.mean([score.metrics[metric] for score in scores[model]]) for scores in found if model in scores]
            cells.append(f"{np.mean(means):.4g}" if len(means) == len(names) else "-")
        lines.append(f"| {label}, {metric} | {' | '.join(cells)} | {asked} | {published} |")
    return "\n".join(lines)


def _scores(name: str, arguments: argparse.Namespace) -> dict[str, list[Score]]:
    """What there is of every model, a score a seed."""
    folder = _path(name, "", 0, arguments).parent
    scores = {model: [_read(path) for path in sorted(folder.glob(f"{model}-*.npz"))] for model in MODELS}
    return {model: found for model, found in scores.items() if found}


def _table(name: str, arguments: argparse.Namespace) -> str:
    """Mean over the seeds, and the difference from the ridge with its standard error over origins or series.

    The seconds are those of the first seed: others may have been run elsewhere.
    """
    scores = _scores(name, arguments)
    metrics = list(next(iter(scores.values()))[0].metrics)
    lines = [
        f"### {name}\n\n{PUBLISHED.get(name, '')}\n",
        f"| model | {' | '.join(metrics)} | standard error | over the ridge | seeds | fit s | predict s |",
        "|---|" + "---|" * (len(metrics) + 5),
    ]
    for model, found in scores.items():
        means = [np.mean([score.metrics[metric] for score in found]) for metric in metrics]
        losses = np.mean([score.losses for score in found], axis=0)
        excess = ""
        if "Ridge" in scores:
            ridge = scores["Ridge"][0].losses
            excess = f"{means[0] / scores['Ridge'][0].metrics[metrics[0]] - 1:+.1%}"
            excess += f" ± {_standard_error(losses - ridge, found[0].lags) / np.nanmean(ridge):.1%}"
        seconds = found[0].fit_seconds, found[0].predict_seconds
        error = _standard_error(losses, found[0].lags)
        cells = [
            model,
            *map("{:.4g}".format, means),
            f"{error:.2g}",
            excess,
            str(len(found)),
            *map("{:.1f}".format, seconds),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _standard_error(losses: np.ndarray, lags: int) -> float:
    """Of the mean; neighbouring origins hang together (Newey and West)."""
    known = losses[~np.isnan(losses)]
    lags = min(lags, len(known) - 1)
    fitted = OLS(known, np.ones(len(known))).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True})
    return float(fitted.bse[0])


def _seconds(result: Any) -> tuple[float, float]:
    return tuple(float(second) for second in result.seconds.iloc[0])


if __name__ == "__main__":
    main()
