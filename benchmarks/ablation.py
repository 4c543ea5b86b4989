"""What each idea adds: one of them changed at a time, on validation parts of three data sets.

The networks of the first row have everything but the averaging of members; all rows share ``COMMON``, which keeps the
networks that read step by step within minutes. What no parameter reaches is a short subclass below. ``missing.py`` has
the masks. Runs are kept in ``--out``.
"""

import argparse
import datetime
import platform
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import MODELS, PROTOCOLS, Score, _path, _read, _run, _setting, _standard_error
from torch import nn
from tqdm import tqdm

import seqcast
from seqcast.models.recurrent import RecurrentBackbone
from seqcast.networks.forecast import ForecastNetwork, Normalised

COMMON = {"n_members": 1, "lookback": 168, "batch_size": 64, "max_steps": 400}


def main() -> None:
    arguments = _arguments()
    MODELS.update(VARIANTS)
    runs = [run for run in product(arguments.data, arguments.model, ARMS) if _model(run[1], run[2]) in MODELS]
    for name, model, arm in tqdm(runs, desc="ablation", unit="run", smoothing=0):
        _run(name, _model(model, arm), 0, _settings(arm, arguments))
    common = ", ".join(f"{name}={value}" for name, value in {**COMMON, **dict(arguments.set)}.items())
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, python "
        f"{platform.python_version()}, validation parts, seed 0, all rows with {common}\n"
    )
    for model in arguments.model:
        print(_table(model, [(name, arm) for name, one, arm in runs if one == model], arguments), "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["etth1-96", "epf-np", "m4-hourly"]
    parser.add_argument("--data", nargs="+", default=names, choices=list(PROTOCOLS), metavar="NAME")
    parser.add_argument("--model", nargs="+", default=["GRU", "Transformer"], choices=list(MODELS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("ablation"), help="folder of the runs (default ablation/)")
    parser.add_argument("--set", nargs="*", default=[], type=_setting, metavar="NAME=VALUE", help="in every row")
    return parser.parse_args()


# Variants that no parameter reaches ----------------------------------------------------------------------------------


class OneAfterTheOther(RecurrentBackbone):
    """Future tokens run one after the other, each from the state that the one before it leaves."""

    def forward(self, past: torch.Tensor, future: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            past, state = layer(past)  # (n, n_past, width)
            future, _ = layer(future, state)  # (n, n_future, width)
            past, future = self.dropout(past), self.dropout(future)
        return future


class GRUInTurn(seqcast.GRUForecaster):
    def _make_backbone(self, options: dict[str, Any], n_past: int, n_future: int) -> nn.Module:
        return OneAfterTheOther(nn.GRU, options["hidden_size"], options["n_layers"], options["dropout"])


class WithoutWindowUnits(ForecastNetwork):
    """Values in units of the whole series, whatever the window."""

    def normalise(self, windows: torch.Tensor) -> Normalised:
        past = super().normalise(windows)
        value = (past.z * past.scale + past.center) * past.observed  # (n, lookback)
        return past._replace(z=value, center=torch.zeros_like(past.center), scale=torch.ones_like(past.scale))


def _without_window_units(forecaster: type) -> type:
    class Variant(forecaster):
        def _build(self, architecture: dict[str, Any]) -> ForecastNetwork:
            network = super()._build(architecture)
            network.__class__ = WithoutWindowUnits
            return network

    return Variant


def _whole_correction(forecaster: type) -> type:
    class Variant(forecaster):
        def fit(self, *data: Any) -> Any:
            super().fit(*data)
            for member in self.members_:
                member.model.network.shrinkage.fill_(1.0)
            return self

    return Variant


def _without_phases(forecaster: type) -> type:
    class Variant(forecaster):
        def _architecture(self, *choice: Any) -> dict[str, Any]:
            return {**super()._architecture(*choice), "n_phases": 0}

    return Variant


UNITS, WHOLE, IN_TURN = "without window normalisation", "correction not shrunk", "future tokens one after the other"
PHASES = "one linear forecast for all phases"
ARMS: dict[str, dict[str, Any]] = {
    "all of it, one member": {},
    "three members averaged": {"n_members": 3},
    "no patches": {"patch_length": 1},
    "no linear skip": {"linear_skip": False},
    "neither: the textbook network": {"patch_length": 1, "linear_skip": False},
    "normalization=mean": {"normalization": "mean"},
    "normalization=mean_std": {"normalization": "mean_std"},
    "normalization=last": {"normalization": "last"},
    UNITS: {},
    WHOLE: {},
    PHASES: {},
    IN_TURN: {},
}
VARIANTS = {
    **{f"{name} {UNITS}": _without_window_units(MODELS[name]) for name in ("GRU", "Transformer")},
    **{f"{name} {WHOLE}": _whole_correction(MODELS[name]) for name in ("GRU", "Transformer")},
    **{f"{name} {PHASES}": _without_phases(MODELS[name]) for name in ("GRU", "Transformer")},
    f"GRU {IN_TURN}": GRUInTurn,
}


# Runs and tables -----------------------------------------------------------------------------------------------------


def _model(model: str, arm: str) -> str:
    return f"{model} {arm}" if arm in (UNITS, WHOLE, PHASES, IN_TURN) else model


def _settings(arm: str, arguments: argparse.Namespace) -> argparse.Namespace:
    wanted = {**COMMON, **dict(arguments.set), **ARMS[arm]}
    return argparse.Namespace(out=arguments.out / arm, part="validation", set=list(wanted.items()))


def _table(model: str, runs: list[tuple[str, str]], arguments: argparse.Namespace) -> str:
    """Errors, and the difference from the first row with its standard error over origins or series."""
    names = list(dict.fromkeys(name for name, _ in runs))
    scores = {(name, arm): _read(_path(name, _model(model, arm), 0, _settings(arm, arguments))) for name, arm in runs}
    first = next(iter(ARMS))
    titles = [f"{name}, {next(iter(scores[name, first].metrics))}" for name in names]
    lines = [f"| {model} | {' | '.join(titles)} | fit s |", "|---|" + "---|" * (len(names) + 1)]
    for arm in dict.fromkeys(arm for _, arm in runs):
        cells = [_cell(scores[name, arm], scores[name, first], arm == first) for name in names]
        seconds = "/".join(f"{scores[name, arm].fit_seconds:.0f}" for name in names)
        lines.append(f"| {arm} | {' | '.join(cells)} | {seconds} |")
    return "\n".join(lines)


def _cell(score: Score, first: Score, is_first: bool) -> str:
    mean, reference = np.mean(score.losses), np.mean(first.losses)
    if is_first:
        return f"{mean:.4f}"
    error = _standard_error(score.losses - first.losses, score.lags) / reference
    return f"{mean:.4f} ({mean / reference - 1:+.1%} ± {error:.1%})"


if __name__ == "__main__":
    main()
