"""Speed of seqcast against bare torch: a table of ratios from interleaved runs."""

import argparse
import datetime
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

import seqcast
from seqcast import GRUForecaster, LSTMForecaster, RNNForecaster, TransformerForecaster

LOOKBACK, HORIZON, N_ROWS = 96, 24, 17_420
CELLS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
FORECASTERS = {
    "LSTM": LSTMForecaster,
    "GRU": GRUForecaster,
    "RNN": RNNForecaster,
    "Transformer": TransformerForecaster,
}


# The bare side: torch alone ------------------------------------------------------------------------------------------


class BareRecurrent(nn.Module):
    """The recurrent forecaster's network written down directly: every future step is one step from the final state."""

    def __init__(self, cell: type[nn.RNNBase], width: int, n_layers: int):
        super().__init__()
        self.embed, self.place = nn.Linear(2, width), nn.Parameter(0.1 * torch.randn(LOOKBACK + HORIZON, width))
        self.layers = cell(width, width, n_layers, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x) + self.place  # (n, 120, width)
        _, state = self.layers(tokens[:, :LOOKBACK])
        parts = state if isinstance(state, tuple) else (state,)
        parts = tuple(part.repeat_interleave(HORIZON, 1) for part in parts)
        future = tokens[:, LOOKBACK:].reshape(len(x) * HORIZON, 1, -1)
        hidden, _ = self.layers(future, parts if isinstance(state, tuple) else parts[0])
        return self.head(hidden.view(len(x), HORIZON, -1)).squeeze(2)  # (n, 24)


class BareTransformer(nn.Module):
    """The Transformer forecaster's network written down directly."""

    def __init__(self, width: int = 64, n_heads: int = 4, n_layers: int = 2, feedforward: int = 128):
        super().__init__()
        self.n_heads = n_heads
        self.embed, self.place = nn.Linear(2, width), nn.Parameter(0.1 * torch.randn(LOOKBACK + HORIZON, width))
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm_1": nn.LayerNorm(width),
                    "attend": nn.Linear(width, 3 * width),
                    "merge": nn.Linear(width, width),
                    "norm_2": nn.LayerNorm(width),
                    "widen": nn.Linear(width, feedforward),
                    "narrow": nn.Linear(feedforward, width),
                }
            )
            for _ in range(n_layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x) + self.place  # (n, 120, width)
        for layer in self.layers:
            heads = layer["attend"](layer["norm_1"](x)).view(len(x), x.shape[1], 3, self.n_heads, -1).transpose(1, 3)
            q, k, v = heads.unbind(2)
            seen = F.scaled_dot_product_attention(q, k[:, :, :LOOKBACK], v[:, :, :LOOKBACK])
            x = x + layer["merge"](seen.transpose(1, 2).reshape(x.shape))
            x = x + layer["narrow"](F.gelu(layer["widen"](layer["norm_2"](x))))
        return self.head(self.norm(x[:, LOOKBACK:])).squeeze(2)  # (n, 24)


def bare_network(name: str, width: int, n_layers: int) -> nn.Module:
    return BareTransformer() if name == "Transformer" else BareRecurrent(CELLS[name], width, n_layers)


def ready_tensors(values: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """All windows laid out, future values masked: (n, 120, 2) of value and mask; and their targets (n, 24)."""
    view = np.lib.stride_tricks.sliding_window_view((values - values.mean()) / values.std(), LOOKBACK + HORIZON)
    x = torch.zeros(len(view), LOOKBACK + HORIZON, 2)
    x[:, :LOOKBACK, 0] = torch.from_numpy(view[:, :LOOKBACK].astype(np.float32))
    x[:, :LOOKBACK, 1] = 1
    return x, torch.from_numpy(view[:, LOOKBACK:].astype(np.float32))


def bare_loop(network: nn.Module, x: torch.Tensor, y: torch.Tensor, n_steps: int, batch_size: int) -> None:
    """Train as one would by hand; nothing is clipped, averaged or validated."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    order = torch.randperm(len(x))
    for step in range(n_steps):
        rows = order[(step * batch_size) % (len(x) - batch_size) :][:batch_size]
        optimizer.zero_grad()
        F.huber_loss(network(x[rows]), y[rows]).backward()
        optimizer.step()


# Measuring -----------------------------------------------------------------------------------------------------------


def clock() -> float:
    """Seconds of this process on one thread, which other work on the machine hardly changes; of the wall on more."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def interleaved(
    ours: Callable[[], object], bare: Callable[[], object], n_rounds: int, now: Callable[[], float] = clock
) -> tuple[float, float, float]:
    """Median seconds of each side, and the median of the rounds' ratios bare / ours."""
    times: tuple[list[float], list[float]] = ([], [])
    for round_ in range(n_rounds):
        for side in (0, 1) if round_ % 2 else (1, 0):
            start = now()
            (ours, bare)[side]()
            times[side].append(now() - start)
    ratios = [b / o for o, b in zip(*times, strict=True)]
    return statistics.median(times[0]), statistics.median(times[1]), statistics.median(ratios)


def series(n_rows: int = N_ROWS) -> pd.Series:
    rng = np.random.default_rng(0)
    t = np.arange(n_rows)
    values = 20 + 5 * np.sin(2 * np.pi * t / 24) + rng.normal(size=n_rows).cumsum() / 20
    return pd.Series(values, pd.date_range("2016-07-01", periods=n_rows, freq="h"), name="load")


def textbook(name: str, width: int, n_layers: int, **options: object) -> seqcast.BaseForecaster:
    """A step-by-step network without skip, made to train for a given number of steps."""
    settings = {
        "horizon": HORIZON,
        "lookback": LOOKBACK,
        "patch_length": 1,
        "linear_skip": False,
        "normalization": "mean",
        "target_transform": "none",
        "loss": "huber",
        "n_members": 1,
        "batch_size": 256,
        "hidden_size": width,
        "n_layers": n_layers,
        "dropout": 0.0,
        "early_stopping": False,
        "refit_tail": False,
        "random_state": 0,
        "device": "cpu",
    }
    return FORECASTERS[name](**{**settings, **options})


# Rows of the table ---------------------------------------------------------------------------------------------------


def training(name: str, width: int, n_layers: int, batch_size: int, n_steps: int, n_rounds: int) -> list[str]:
    y = series()
    ready = ready_tensors(y.to_numpy())
    model = textbook(name, width, n_layers, batch_size=batch_size, max_steps=n_steps)
    ours, bare, ratio = interleaved(
        lambda: model.fit(y),
        lambda: bare_loop(bare_network(name, width, n_layers), *ready, n_steps, batch_size),
        n_rounds,
    )
    what = f"fit {name} {width} x {n_layers}, batch {batch_size}, {n_steps} steps"
    return [what, f"{ours:.2f} s", f"{bare:.2f} s", f"{ratio:.2f} x the windows/s"]


def backtest(n_rounds: int) -> list[str]:
    y = series()
    model = textbook("LSTM", 64, 2, max_steps=2)
    x, _ = ready_tensors(y.to_numpy())
    x, network = x[-3461:], bare_network("LSTM", 64, 2).eval()
    cv = seqcast.evaluation.RollingOriginSplit(horizon=HORIZON, n_origins=3461, step=1)
    ours, bare = [], []
    for _ in range(n_rounds):
        start = time.perf_counter()
        result = seqcast.evaluation.backtest({"LSTM": model}, y, cv=cv, refit=False)
        ours.append(time.perf_counter() - start - result.seconds["fit"].sum())  # the one fit at the first origin
        start = time.perf_counter()
        _forward(network, x)
        bare.append(time.perf_counter() - start)
    ratio = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
    medians = statistics.median(ours), statistics.median(bare)
    return ["backtest, 3,461 origins, LSTM 64 x 2", *(f"{m:.2f} s" for m in medians), f"{ratio:.2f} x the time"]


def many_origins(n_rounds: int) -> list[str]:
    y = series(17_420)
    model = textbook("LSTM", 64, 2, max_steps=10).fit(y)
    x, _ = ready_tensors(y.to_numpy())
    x, network = x[-3461:], bare_network("LSTM", 64, 2).eval()
    origins = np.arange(len(y) - HORIZON - 3460, len(y) - HORIZON + 1)
    zeros = np.zeros_like(origins)
    ours, bare, ratio = interleaved(
        lambda: model._forecast_panel(model.panel_, zeros, origins, HORIZON), lambda: _forward(network, x), n_rounds
    )
    return ["forecasts from 3,461 origins, arrays", f"{ours:.2f} s", f"{bare:.2f} s", f"{1 / ratio:.2f} x the time"]


def one_forecast(n_rounds: int) -> list[str]:
    y = series()
    model = textbook("LSTM", 64, 2, max_steps=10).fit(y)
    x, network = ready_tensors(y.to_numpy())[0][-1:], bare_network("LSTM", 64, 2).eval()
    timing = interleaved(model.forecast, lambda: _forward(network, x), 40 * n_rounds)
    return _milliseconds("one forecast, LSTM 64 x 2, frame out", timing)


def many_series(n_rounds: int) -> list[str]:
    rng = np.random.default_rng(0)
    times = pd.date_range("2020-01-01", periods=700, freq="h")
    wide = pd.DataFrame(rng.normal(size=(700, 414)).cumsum(0), index=times)
    model = textbook("LSTM", 64, 2, max_steps=10).fit(wide)
    x, network = torch.randn(414, LOOKBACK + HORIZON, 2), bare_network("LSTM", 64, 2).eval()
    ours, bare, ratio = interleaved(model.forecast, lambda: _forward(network, x), 3 * n_rounds)
    return ["forecasts of 414 series, frame out", f"{ours:.3f} s", f"{bare:.3f} s", f"{1 / ratio:.2f} x the time"]


def quantiles(n_rounds: int) -> list[list[str]]:
    """What nine quantiles cost over a point forecast ("bare"), the GRU at its defaults but for a fixed budget."""
    y = series()
    settings = {"horizon": 48, "lookback": 336, "n_members": 1, "max_steps": 300, "random_state": 0, "device": "cpu"}
    settings |= {"early_stopping": False, "refit_tail": False, "target_transform": "none", "normalization": "mean_std"}
    many, point = (GRUForecaster(loss=loss, **settings) for loss in ("quantile", "mae"))
    fits = interleaved(lambda: many.fit(y), lambda: point.fit(y), n_rounds)
    levels = [k / 10 for k in range(1, 10)]
    forecasts = interleaved(lambda: many.forecast(quantiles=levels), point.forecast, 40 * n_rounds)
    paths = interleaved(lambda: many.sample(1000, random_state=0), point.forecast, 10 * n_rounds)
    return [
        [
            "fit of nine quantiles, over a point's",
            f"{fits[0]:.1f} s",
            f"{fits[1]:.1f} s",
            f"{1 / fits[2]:.2f} x the time",
        ],
        _milliseconds("forecast of nine quantiles, over a point's", forecasts),
        _milliseconds("1,000 paths of 48 steps, over one forecast", paths),
    ]


def members(n_rounds: int) -> list[str]:
    """Two members, side by side where there are two threads, beside one network that has them all ("bare")."""
    y = series()
    settings = {"horizon": 48, "lookback": 336, "batch_size": 256, "max_steps": 300, "random_state": 0, "device": "cpu"}
    settings |= {"early_stopping": False, "refit_tail": False, "target_transform": "none", "normalization": "mean_std"}
    two, one = (GRUForecaster(n_members=n, **settings) for n in (2, 1))
    ours, bare, ratio = interleaved(lambda: two.fit(y), lambda: one.fit(y), n_rounds)
    return ["fit of two members, over one", f"{ours:.1f} s", f"{bare:.1f} s", f"{1 / ratio:.2f} x the time"]


def _milliseconds(what: str, timing: tuple[float, float, float]) -> list[str]:
    ours, bare, ratio = timing
    return [what, f"{1e3 * ours:.2f} ms", f"{1e3 * bare:.2f} ms", f"{1 / ratio:.2f} x the time"]


def imports(n_rounds: int) -> list[list[str]]:
    def run(code: str) -> Callable[[], None]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    pairs = {
        "import seqcast, over a bare interpreter": ("import seqcast", "pass"),
        "from seqcast import LSTMForecaster, over import torch, pandas, sklearn": (
            "from seqcast import LSTMForecaster",
            "import torch, pandas, sklearn",
        ),
    }
    rows = []
    for what, (ours, bare) in pairs.items():
        a, b, _ = interleaved(run(ours), run(bare), 3 * n_rounds, time.perf_counter)
        rows.append([what, f"{a:.2f} s", f"{b:.2f} s", f"{a - b:+.2f} s"])
    return rows


def peak() -> int:
    """Largest resident memory of this process in KiB (Linux); ru_maxrss would count the parent's from before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


MEMORY = {
    "seqcast": """
import sys; sys.path.insert(0, {here!r})
from speed import *
torch.set_num_threads(1)
y = series(1_000_000)
textbook("GRU", 16, 1, lookback=168, max_steps=20).fit(y)
print(peak())
""",
    "bare": """
import sys; sys.path.insert(0, {here!r})
import speed
from speed import *
torch.set_num_threads(1)
speed.LOOKBACK = 168
y = series(1_000_000)
data = torch.from_numpy(y.to_numpy().astype("float32"))
view = data.unfold(0, 168 + HORIZON, 1)
network = bare_network("GRU", 16, 1)
optimizer = torch.optim.AdamW(network.parameters())
for step in range(20):
    rows = view[torch.randint(len(view), (256,))]
    x = torch.zeros(256, 168 + HORIZON, 2)
    x[:, :168, 0] = rows[:, :168]
    optimizer.zero_grad()
    F.huber_loss(network(x), rows[:, 168:]).backward()
    optimizer.step()
print(peak())
""",
}


def memory() -> list[str]:
    """Peak memory of a fit on a million points; the bare loop gathers its batches from the series too."""
    here = str(Path(__file__).parent)
    ours, bare = (
        int(subprocess.run([sys.executable, "-c", MEMORY[s].format(here=here)], check=True, capture_output=True).stdout)
        / 1024
        for s in ("seqcast", "bare")
    )
    return [
        "peak memory, fit on 1,000,000 points",
        f"{ours:.0f} MiB",
        f"{bare:.0f} MiB",
        f"{ours / bare:.2f} x the memory",
    ]


@torch.inference_mode()
def _forward(network: nn.Module, x: torch.Tensor) -> None:
    network(x)


ROWS: dict[str, Callable[[int], list]] = {
    "lstm": lambda n: training("LSTM", 64, 2, 256, 200, n),
    "gru": lambda n: training("GRU", 64, 2, 256, 200, n),
    "rnn": lambda n: training("RNN", 64, 2, 256, 200, n),
    "transformer": lambda n: training("Transformer", 64, 2, 256, 200, n),
    "small": lambda n: training("LSTM", 25, 1, 32, 1000, n),
    "backtest": backtest,
    "origins": many_origins,
    "one": one_forecast,
    "series": many_series,
    "quantiles": quantiles,
    "members": members,
    "import": imports,
    "memory": lambda n: memory(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"rows of the table, of: {' '.join(ROWS)}; by default all"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}, "
        f"{arguments.threads} thread(s), medians of {arguments.rounds} interleaved rounds, "
        f"{'CPU' if arguments.threads == 1 else 'wall'} seconds of training and forecasts\n"
    )
    print("| what | seqcast | bare | ratio |\n|---|---|---|---|", flush=True)
    for name in arguments.rows or ROWS:
        rows = ROWS[name](arguments.rounds)
        for row in rows if isinstance(rows[0], list) else [rows]:
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
