"""Backtests, leaderboards and scores of anything that has ``fit(X, y)`` and ``predict(X)``."""

from seqcast.evaluation.backtest import backtest
from seqcast.evaluation.leaderboard import leaderboard
from seqcast.evaluation.result import BacktestResult
from seqcast.evaluation.scorers import scorer
from seqcast.splits import CombinatorialPurgedSplit, RollingOriginSplit

__all__ = ["BacktestResult", "CombinatorialPurgedSplit", "RollingOriginSplit", "backtest", "leaderboard", "scorer"]
