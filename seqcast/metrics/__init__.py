"""Error measures, one function each, on arrays.

`actual` and `forecast` have one shape. NaN in `actual` is masked: such a step counts in no sum. NaN in `forecast` where
the truth is known makes the result NaN: a missing forecast never passes as a good one. `axis` names the axes to average
over (None: all); without any known step the result is NaN.
"""

from seqcast.metrics.finance import (
    deflated_sharpe_ratio,
    directional_accuracy,
    max_drawdown,
    pesaran_timmermann,
    probabilistic_sharpe_ratio,
    qlike,
    sharpe_ratio,
    strategy_returns,
)
from seqcast.metrics.point import bias, mae, mape, mase, mse, rmse, rmsse, seasonal_scale, smape
from seqcast.metrics.quantile import (
    coverage,
    interval_score,
    pinball,
    scaled_quantile_loss,
    weighted_quantile_loss,
)

__all__ = [
    "bias",
    "coverage",
    "deflated_sharpe_ratio",
    "directional_accuracy",
    "interval_score",
    "mae",
    "mape",
    "mase",
    "max_drawdown",
    "mse",
    "pesaran_timmermann",
    "pinball",
    "probabilistic_sharpe_ratio",
    "qlike",
    "rmse",
    "rmsse",
    "scaled_quantile_loss",
    "seasonal_scale",
    "sharpe_ratio",
    "smape",
    "strategy_returns",
    "weighted_quantile_loss",
]
