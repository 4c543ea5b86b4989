"""Backtests, leaderboards and scores of anything that has ``fit(X, y)`` and ``predict(X)``."""

from seqcast.evaluation.backtest import backtest
from seqcast.evaluation.leaderboard import leaderboard
from seqcast.evaluation.leakage import LeakageReport, check_no_lookahead
from seqcast.evaluation.monitoring import detect_anomalies, scores_by
from seqcast.evaluation.result import BacktestResult
from seqcast.evaluation.scorers import scorer
from seqcast.splits import CombinatorialPurgedSplit, RollingOriginSplit

__all__ = [
    "BacktestResult",
    "CombinatorialPurgedSplit",
    "LeakageReport",
    "RollingOriginSplit",
    "backtest",
    "check_no_lookahead",
    "detect_anomalies",
    "leaderboard",
    "scorer",
    "scores_by",
]
