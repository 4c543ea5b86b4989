"""What the ridge's choices rest on: each switched off in turn, on validation parts and earlier ones.

No test value is read. It is one ridge, not the mean of several. It ranks the choices of every network, so what does it
harm does them harm.
"""

import argparse
import datetime
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from accuracy import PROTOCOLS, Score, _standard_error, long_horizon
from scipy.signal import lfilter
from tqdm import tqdm

import seqcast
from seqcast.models import _calibration, _effects, _task, _window
from seqcast.networks import smoothing
from seqcast.networks.linear import LinearSkip

DATA = ["etth1-96", "etth1-336", "exchange-96", "illness-24", "illness-36", "illness-60", "epf-np", "epf-de"]
DATA += ["epf-np-rolling", "epf-de-rolling", "air-quality-rolling", "m4-hourly", "hospital", "tourism"]
DATA += ["hospital-alone", "tourism-alone"]
MORE = ["illness-24", "illness-36", "air-quality-rolling", *DATA[-5:]]  # with earlier parts too
EARLIER = {  # ends of train, validation and test part, all before the test part of the protocol
    f"exchange-{horizon}, to {end:.0%}": (
        long_horizon("exchange_rate", horizon, (end - 0.2, end - 0.1, end), 96),
        "test",
    )
    for horizon in (24, 96)
    for end in (0.4, 0.5, 0.6, 0.7, 0.8)
}


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    protocols = {name: (PROTOCOLS[name], "validation") for name in arguments.data}
    more = product([name for name in MORE if name in arguments.data], ("validation-2", "validation-3"))
    protocols |= {f"{name}, {part}": (PROTOCOLS[name], part) for name, part in more} | EARLIER
    print(f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, ", end="")
    print(f"python {platform.python_version()}, Ridge, validation parts\n")
    print(f"| data | last value | {' | '.join(ARMS)} |\n|---|---|{'---|' * len(ARMS)}")
    for name, (protocol, part) in tqdm(protocols.items(), desc="choices", unit="data set"):
        scores = {}
        for arm, switched_off in ARMS.items():
            with switched_off():
                scores[arm] = protocol(_maker(seqcast.RidgeForecaster, n_members=1, local_smoothing=False), part)
        tqdm.write(_row(name, protocol(_maker(seqcast.Naive), part), scores))
    arms = " | ".join(OF_PROCESSES)
    print(f"\n| autoregression | steps | last value chosen | {arms} |\n{'|---' * (3 + len(OF_PROCESSES))}|")
    for phi, n_steps in product((0.0, 0.5, 0.8, 0.95, 1.0), (150, 500, 2000)):
        found = {}
        for arm in OF_PROCESSES:
            with ARMS[arm]():
                found[arm] = np.mean([_of_process(phi, n_steps, seed) for seed in range(N_PROCESSES)], axis=0)
        errors = " | ".join(f"{error:+.1%}" for error, _ in found.values())
        print(f"| {phi:g} | {n_steps} | {found['defaults'][1]:.0%} | {errors} |", flush=True)


def _of_process(phi: float, n_steps: int, seed: int) -> tuple[float, bool]:
    """Squared error over 12 steps beyond the best forecast's, in units of that, and whether it is the last value."""
    y = lfilter([1], [1, -phi], np.random.default_rng(seed).normal(size=n_steps + 200))[200:]
    model = seqcast.RidgeForecaster(horizon=12, n_members=1, local_smoothing=False).fit(y)
    powers = phi ** np.arange(13)
    excess = np.mean((model.forecast() - powers[1:] * y[-1]) ** 2) / np.mean(np.cumsum(powers[:-1] ** 2))
    return excess, np.isinf(model.penalty_)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=DATA, choices=list(PROTOCOLS), metavar="NAME")
    return parser.parse_args()


@contextmanager
def _all_alike() -> Iterator[None]:
    build = LinearSkip.__init__

    def build_flat(self: LinearSkip, *args: Any, **options: Any) -> None:
        build(self, *args, **options)
        self.expected.fill_(1.0)

    with patch.object(LinearSkip, "__init__", build_flat):
        yield


def _no_effects(news: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    return news.new_zeros(news.shape[2])


def _no_smoothing(self: LinearSkip, *_: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(self.weight)


ARMS: dict[str, Callable[[], Any]] = {
    "defaults": nullcontext,
    "shrunk to the center": lambda: patch.object(LinearSkip, "smoothed", _no_smoothing),
    "not shrunk to effects of covariates": lambda: patch.object(_effects, "_slopes", _no_effects),
    "smoothing only if best": lambda: patch.object(_calibration, "BEYOND_DOUBT", 0.0),
    "transforms with no more care": lambda: patch.object(_task, "SLIGHT", 0.0),
    "last value judged by few": lambda: patch.object(_task, "FEWEST_HORIZONS", 0.0),
    "last value of whatever returns": lambda: patch.object(_task, "may_wander", lambda values, indptr: True),
    "levels never return": lambda: patch.object(smoothing, "CLEARLY", 0.0),
    "last value only if best": lambda: patch.object(_task, "DOUBTFUL", 0.0),
    "older steps count as much": _all_alike,
    "one forecast for all phases": lambda: patch.object(_window, "phases_of", lambda *panel: 0),
    "all of the history": lambda: patch.object(_task, "_training_lengths", lambda split, window: []),
}


OF_PROCESSES = ("defaults", "last value of whatever returns", "levels never return")
N_PROCESSES = 40


def _maker(kind: type, **own: Any) -> Callable[..., Any]:
    def make(**settings: Any) -> Any:
        return kind(**own).set_params(**{k: v for k, v in settings.items() if k in kind().get_params()})

    return make


def _row(name: str, naive: Score, scores: dict[str, Score]) -> str:
    default = scores["defaults"]
    metric, error = next(iter(default.metrics.items()))
    cells = [f"{next(iter(naive.metrics.values())):.4g}", f"{error:.4g}"]
    for arm, score in scores.items():
        if arm != "defaults":
            scale = np.nanmean(default.losses)
            doubt = _standard_error(score.losses - default.losses, score.lags) / scale
            cells.append(f"{np.nanmean(score.losses) / scale - 1:+.1%} ± {doubt:.1%}")
    return f"| {name}, {metric} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
