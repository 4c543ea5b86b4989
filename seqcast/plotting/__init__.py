"""Pictures of forecasts, backtests, leaderboards and training; each draws on one matplotlib Axes and returns it."""

from seqcast.plotting.comparison import plot_critical_difference, plot_errors, plot_loss_difference, plot_skill
from seqcast.plotting.finance import plot_equity
from seqcast.plotting.forecasts import plot_backtest, plot_forecast
from seqcast.plotting.models import plot_leaderboard, plot_training
from seqcast.plotting.uncertainty import plot_calibration, plot_fan, plot_paths, plot_pit

__all__ = [
    "plot_backtest",
    "plot_calibration",
    "plot_critical_difference",
    "plot_equity",
    "plot_errors",
    "plot_fan",
    "plot_forecast",
    "plot_leaderboard",
    "plot_loss_difference",
    "plot_paths",
    "plot_pit",
    "plot_skill",
    "plot_training",
]
