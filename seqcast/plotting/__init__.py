"""Pictures of forecasts, backtests, leaderboards and training; each draws on one matplotlib Axes and returns it."""

from seqcast.plotting.comparison import plot_critical_difference, plot_errors, plot_loss_difference, plot_skill
from seqcast.plotting.forecasts import plot_backtest, plot_forecast
from seqcast.plotting.models import plot_leaderboard, plot_training

__all__ = [
    "plot_backtest",
    "plot_critical_difference",
    "plot_errors",
    "plot_forecast",
    "plot_leaderboard",
    "plot_loss_difference",
    "plot_skill",
    "plot_training",
]
