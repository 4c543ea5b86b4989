"""Error measures and scores, one function each, on arrays.

`actual` and `forecast` have one shape; quantiles and samples are one axis more, the last. NaN in `actual` is masked:
such a step counts in no sum. NaN in `forecast` where the truth is known makes the result NaN: a missing forecast never
passes as a good one. `axis` names the axes to average over (None: all); without any known step the result is NaN. A PIT
is a value for each step, not a mean: NaN where the truth is. Lower is better for every score.
"""

from seqcast.metrics.calibration import coverage_interval, pit_quantiles
from seqcast.metrics.distribution import (
    crps_negative_binomial,
    crps_normal,
    crps_student_t,
    log_score_negative_binomial,
    log_score_normal,
    log_score_student_t,
    pit_negative_binomial,
    pit_normal,
    pit_student_t,
)
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
    crps_quantiles,
    interval_score,
    pinball,
    scaled_quantile_loss,
    weighted_quantile_loss,
)
from seqcast.metrics.samples import crps_samples, energy_score, pit_samples

__all__ = [
    "bias",
    "coverage",
    "coverage_interval",
    "crps_negative_binomial",
    "crps_normal",
    "crps_quantiles",
    "crps_samples",
    "crps_student_t",
    "deflated_sharpe_ratio",
    "directional_accuracy",
    "energy_score",
    "interval_score",
    "log_score_negative_binomial",
    "log_score_normal",
    "log_score_student_t",
    "mae",
    "mape",
    "mase",
    "max_drawdown",
    "mse",
    "pesaran_timmermann",
    "pinball",
    "pit_negative_binomial",
    "pit_normal",
    "pit_quantiles",
    "pit_samples",
    "pit_student_t",
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
