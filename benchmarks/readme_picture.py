"""Draw docs/co2.png, the picture under the first lines of the README, by running those lines."""

import re
from pathlib import Path

import torch
from matplotlib.figure import Figure

from seqcast.plotting import plot_backtest, plot_forecast

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Run the lines and draw the forecast above the backtest."""
    torch.set_num_threads(1)  # the networks are small: threads would wait for each other on a busy machine
    lines = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(lines[1], names)
    forecast = names["model"].forecast(52, quantiles=[0.1, 0.5, 0.9])
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    upper, lower = figure.subplots(2)
    plot_forecast(names["co2"], forecast, ax=upper).set_title("the next 52 weeks", loc="right")
    plot_backtest(names["result"], n_origins=4, ax=lower).set_title("16 origins in the past, the latest 4", loc="right")
    figure.savefig(ROOT / "docs" / "co2.png", dpi=110)
    print(names["leaderboard"](names["result"], reference="Seasonal naive").round(3).to_string())


if __name__ == "__main__":
    main()
