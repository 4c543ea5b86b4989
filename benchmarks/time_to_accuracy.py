"""Error against seconds on M4 hourly: a table, and docs/time_to_accuracy.png.

Each point is a fit of its own that knows its number of steps: seconds of ``fit`` on one thread, in which are the
automatic choices, the ridge and the training of every member, against the OWA of the 48 steps after it. With "auto"
steps the network stops by itself. CPU seconds, which the picture shows, are the wall seconds of an idle machine.
Runs are kept in ``--out``; those that are there are not repeated.
"""

import argparse
import datetime
import json
import platform
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accuracy import MODELS, NETWORKS, PROTOCOLS, _setting
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm

import seqcast

DATA = "m4-hourly"
STEPS = (1, 50, 100, 200, 400, 800, 1600, "auto")
TARGET = 0.77
OTHERS = "NeuralForecast's LSTM at its defaults .77, GluonTS's DeepAR 1.19, Darts' LSTM 3.5"
BESIDE = ("Ridge", "Seasonal naive")  # models without steps, for comparison
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
PICTURE = Path(__file__).parent.parent / "docs" / "time_to_accuracy.png"


class Point(NamedTuple):
    """One fit."""

    steps: list[int]  # of each member
    wall_seconds: float
    cpu_seconds: float
    owa: float


def main() -> None:
    arguments = _arguments()
    fits = [(model, steps) for model in arguments.model for steps in arguments.steps]
    fits += [(model, "auto") for model in BESIDE]
    curves: dict[str, list[Point]] = {model: [] for model, _ in fits}
    for model, steps in tqdm(fits, desc="time to accuracy", unit="fit", smoothing=0):
        curves[model].append(_point(model, steps, arguments))
    settings = "".join(f", {name}={value}" for name, value in arguments.set)
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, python "
        f"{platform.python_version()}, {arguments.part} part, one thread, seed 0{settings}. {OTHERS}.\n"
    )
    print(_table(curves))
    figure = Figure(figsize=(8, 4), layout="constrained")
    _draw(figure.subplots(), curves, arguments)
    figure.savefig(arguments.picture, dpi=110)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=list(NETWORKS), choices=list(NETWORKS), metavar="NAME")
    parser.add_argument("--steps", nargs="+", type=_steps, default=STEPS, metavar="N", help='or "auto"')
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--out", type=Path, default=Path("time_to_accuracy"), help="folder of the runs")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--set", nargs="*", default=[], type=_setting, metavar="NAME=VALUE", help="other than defaults")
    return parser.parse_args()


def _steps(text: str) -> int | str:
    return text if text == "auto" else int(text)


def _point(model: str, steps: int | str, arguments: argparse.Namespace) -> Point:
    """One fit, kept as a file."""
    path = arguments.out / arguments.part / f"{model}-{steps}.json"
    if not path.exists():
        point = _fit(model, {} if steps == "auto" else {"max_steps": steps, "early_stopping": False}, arguments)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(point))
    return Point(*json.loads(path.read_text()))


def _fit(model: str, own: dict[str, Any], arguments: argparse.Namespace) -> Point:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    fitted: Any = None
    cpu_seconds = 0.0

    def make(**settings: Any) -> Any:
        nonlocal fitted
        fitted = MODELS[model]()
        wanted = {**settings, **dict(arguments.set), **own, "random_state": 0}
        fitted.set_params(**{k: v for k, v in wanted.items() if k in fitted.get_params()})
        fit = fitted.fit

        def timed(y: Any) -> Any:
            nonlocal cpu_seconds
            start = time.process_time()
            answer = fit(y)
            cpu_seconds = time.process_time() - start
            return answer

        fitted.fit = timed
        return fitted

    score = PROTOCOLS[DATA](make, arguments.part)
    steps = [int(member.history["step"][-1]) for member in getattr(fitted, "members_", []) if member.history]
    return Point(steps, score.fit_seconds, cpu_seconds, score.metrics["OWA"])


def _table(curves: dict[str, list[Point]]) -> str:
    """Every point, then the first of each model that is good enough."""
    lines = ["| model | steps of each member | CPU seconds of fit | wall seconds | OWA |", "|---|---|---|---|---|"]
    for model, points in curves.items():
        for point in points:
            steps = ", ".join(map(str, point.steps)) or "-"
            lines.append(
                f"| {model} | {steps} | {point.cpu_seconds:.1f} | {point.wall_seconds:.1f} | {point.owa:.4f} |"
            )
    lines.append(f"\nOWA {TARGET} is reached after")
    for model, points in curves.items():
        seconds = [point.cpu_seconds for point in points if point.owa <= TARGET]
        lines.append(f"- {model}: {f'{min(seconds):.1f} s' if seconds else 'not at all'}")
    return "\n".join(lines)


def _draw(ax: Axes, curves: dict[str, list[Point]], arguments: argparse.Namespace) -> None:
    for color, model in zip(COLORS, [model for model in curves if model in NETWORKS], strict=False):
        points = sorted(curves[model], key=lambda point: point.cpu_seconds)
        ax.plot([p.cpu_seconds for p in points], [p.owa for p in points], "o-", color=color, ms=4, lw=1.6, label=model)
        if "auto" in arguments.steps:
            stopped = curves[model][arguments.steps.index("auto")]
            ax.plot(stopped.cpu_seconds, stopped.owa, "*", color=color, ms=13)
    for marker, model in zip("sD", BESIDE, strict=True):
        (point,) = curves[model]
        ax.plot(max(point.cpu_seconds, 0.1), point.owa, marker, color="#333333", ms=5, label=model)
    ax.axhline(TARGET, color="#9A9A9A", lw=1, ls="--")
    ax.annotate(
        "NeuralForecast's LSTM, .77", (0.995, TARGET), xycoords=("axes fraction", "data"), ha="right", va="bottom"
    )
    ax.set(xscale="log", xlabel="CPU seconds of fit, one thread (stars: stopped by itself)", ylabel="OWA, M4 hourly")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


if __name__ == "__main__":
    main()
