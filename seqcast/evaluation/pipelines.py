"""Looks through searches and Pipelines for the forecaster at their end."""

from typing import Any

from sklearn.pipeline import Pipeline

__all__ = ["final_forecaster", "holds_forecaster", "is_forecaster", "transformed"]


def final_forecaster(estimator: Any) -> tuple[list[Any], Any | None]:
    """Return the transformers to go through and the forecaster behind them, None where there is none.

    Fitted searches are followed into their best estimator, others into the one they search with.
    """
    transformers: list[Any] = []
    while not is_forecaster(estimator):
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "estimator") and hasattr(estimator, "refit"):
            estimator = estimator.estimator
        elif isinstance(estimator, Pipeline):
            transformers += [step for _, step in estimator.steps[:-1] if step not in (None, "passthrough")]
            estimator = estimator[-1]
        else:
            return transformers, None
    return transformers, estimator


def transformed(transformers: list[Any], X: Any) -> Any:
    """Return rows after the transformers of a Pipeline."""
    for step in transformers:
        X = step.transform(X)
    return X


def holds_forecaster(estimator: Any) -> bool:
    """Whether a forecaster is among the parts of an estimator."""
    parts = estimator.get_params().values() if hasattr(estimator, "get_params") else ()
    return is_forecaster(estimator) or any(is_forecaster(part) for part in parts)


def is_forecaster(estimator: Any) -> bool:
    """Whether an estimator answers from many origins at once."""
    return hasattr(estimator, "_forecast_origins") and not isinstance(estimator, type)
