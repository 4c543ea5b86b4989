"""Pictures of forecasts, backtests, leaderboards and training; each draws on one matplotlib Axes and returns it."""

from seqcast.plotting.finance import plot_equity
from seqcast.plotting.forecasts import plot_backtest, plot_forecast
from seqcast.plotting.models import plot_leaderboard, plot_training

__all__ = ["plot_backtest", "plot_equity", "plot_forecast", "plot_leaderboard", "plot_training"]
