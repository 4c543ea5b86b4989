"""What scikit-learn's checks find in a forecaster whose rows are moments in time."""

__all__ = ["EXPECTED_FAILED_CHECKS"]

EXPECTED_FAILED_CHECKS = {
    "check_methods_sample_order_invariance": "rows are moments in time: their order carries meaning",
    "check_methods_subset_invariance": "rows without times follow the training rows: a subset stands for other moments",
    "check_regressor_multioutput": "its targets are negative, which forecasters of prices and variances refuse",
}
