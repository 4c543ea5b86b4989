"""Backtests, leaderboards, tests of significance and scores of anything with ``fit(X, y)`` and ``predict(X)``."""

from seqcast.evaluation.backtest import backtest
from seqcast.evaluation.confidence_set import ModelConfidenceSet, model_confidence_set
from seqcast.evaluation.diebold_mariano import DieboldMariano, adjust_p_values, diebold_mariano
from seqcast.evaluation.leaderboard import leaderboard
from seqcast.evaluation.leakage import LeakageReport, check_no_lookahead
from seqcast.evaluation.losses import overlap, scaled_errors
from seqcast.evaluation.monitoring import detect_anomalies, scores_by
from seqcast.evaluation.ranks import Friedman, friedman
from seqcast.evaluation.result import BacktestResult
from seqcast.evaluation.scorers import scorer
from seqcast.evaluation.skill import Skill, skill_interval
from seqcast.splits import CombinatorialPurgedSplit, RollingOriginSplit

__all__ = [
    "BacktestResult",
    "CombinatorialPurgedSplit",
    "DieboldMariano",
    "Friedman",
    "LeakageReport",
    "ModelConfidenceSet",
    "RollingOriginSplit",
    "Skill",
    "adjust_p_values",
    "backtest",
    "check_no_lookahead",
    "detect_anomalies",
    "diebold_mariano",
    "friedman",
    "leaderboard",
    "model_confidence_set",
    "overlap",
    "scaled_errors",
    "scorer",
    "scores_by",
    "skill_interval",
]
