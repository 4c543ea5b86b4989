"""The main job: four networks against classical baselines, on a sensor record and on monthly prices.

Run with ``make demo``. Prints one leaderboard for each, and writes forecasts and pictures to the folder demo/.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from seqcast import (
    ARIMA,
    ETS,
    Drift,
    GRUForecaster,
    LSTMForecaster,
    Naive,
    RidgeForecaster,
    RNNForecaster,
    SeasonalNaive,
    Theta,
    TransformerForecaster,
)
from seqcast.datasets import load_dataset
from seqcast.evaluation import BacktestResult, RollingOriginSplit, backtest, leaderboard
from seqcast.plotting import plot_backtest

FOLDER = Path("demo")
NETWORKS = ["RNN", "LSTM", "GRU", "Transformer"]
QUANTILES = [0.1, 0.5, 0.9]


def models(horizon: int) -> dict:
    """Every model at the defaults of the library."""
    networks = {
        "RNN": RNNForecaster(horizon=horizon, random_state=0),
        "LSTM": LSTMForecaster(horizon=horizon, random_state=0),
        "GRU": GRUForecaster(horizon=horizon, random_state=0),
        "Transformer": TransformerForecaster(horizon=horizon, random_state=0),
    }
    baselines = {
        "Ridge": RidgeForecaster(horizon=horizon),
        "ETS": ETS(horizon=horizon),
        "Theta": Theta(horizon=horizon),
        "ARIMA": ARIMA(horizon=horizon),
        "Drift": Drift(horizon=horizon),
        "Seasonal naive": SeasonalNaive(horizon=horizon),
        "Naive": Naive(horizon=horizon),
    }
    return networks | baselines


def run(name: str, *, title: str, horizon: int, n_origins: int, reference: str) -> tuple[BacktestResult, pd.DataFrame]:
    """Backtest all models on one data set; print and write what they forecast."""
    cv = RollingOriginSplit(horizon, n_origins=n_origins)
    result = backtest(models(horizon), load_dataset(name), cv=cv, quantiles=QUANTILES, n_jobs=2, verbose=True)
    board = leaderboard(result, reference=reference)
    print(f"\n{title}\n\n{board.round(3).to_string()}\n")
    result.forecasts.to_csv(FOLDER / f"{name}_forecasts.csv", index=False)
    board.to_csv(FOLDER / f"{name}_leaderboard.csv")
    return result, board


def draw(result: BacktestResult, file: str, panels: list[tuple[str, list[str]]]) -> None:
    """Draw one panel for each (series, models); a model alone shows its band from 10 to 90 %."""
    figure = Figure(figsize=(14, 3.2 * ((len(panels) + 1) // 2)), layout="constrained")
    for ax, (series, names) in zip(figure.subplots(ncols=2, nrows=(len(panels) + 1) // 2).flat, panels, strict=False):
        plot_backtest(result, series=series, models=names, n_origins=4, ax=ax)
    figure.savefig(FOLDER / file, dpi=110)


def main() -> None:
    """Run both."""
    FOLDER.mkdir(exist_ok=True)
    title = "Carbon dioxide at Mauna Loa, weekly: 12 origins, 26 weeks ahead"
    result, _ = run("co2", title=title, horizon=26, n_origins=12, reference="Seasonal naive")
    draw(result, "co2.png", [("co2", [name]) for name in [*NETWORKS, "ETS", "Seasonal naive"]])
    title = "Share prices, monthly, 10 series of unequal length: 4 origins, 12 months ahead"
    result, board = run("stocks", title=title, horizon=12, n_origins=4, reference="Naive")
    best = next(name for name in board.index if name in NETWORKS)
    draw(result, "stocks.png", [(series, [best, "ETS", "Naive"]) for series in ("IBM", "AAPL", "AMZN", "DELL")])
    print(f"Forecasts, leaderboards and pictures are in {FOLDER}/.")


if __name__ == "__main__":
    main()
