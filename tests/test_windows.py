import numpy as np
import pytest
from numpy.testing import assert_array_equal

from seqcast.windows import make_windows, tail_lengths, window_positions

LENGTHS = np.array([7, 1, 12])
INDPTR = np.concatenate([[0], LENGTHS.cumsum()])


def slow_window(values, features, position, lookback, horizon):
    """One window of one series, step by step."""
    out = np.zeros((lookback + horizon, 2 + features.shape[1]), np.float32)
    for k in range(lookback + horizon):
        row = position - lookback + k
        if 0 <= row < len(values):
            if not np.isnan(values[row]):
                out[k, :2] = values[row], 1
            out[k, 2:] = features[row]
    return out


@pytest.mark.parametrize(("lookback", "horizon"), [(3, 2), (2, 5), (1, 1), (20, 3)])
def test_gather_equals_step_by_step_copy_at_every_origin(lookback, horizon):
    rng = np.random.default_rng(0)
    values, features = rng.normal(size=INDPTR[-1]), rng.normal(size=(INDPTR[-1], 2))
    values[[1, 9, 19]] = np.nan
    features[3, 1] = np.nan
    windows = make_windows(values, features, INDPTR, lookback=lookback, horizon=horizon)
    series = np.repeat(np.arange(3), LENGTHS + 1)
    positions = np.concatenate([np.arange(n + 1) for n in LENGTHS])
    batch = windows.gather(windows.rows(series, positions)).numpy()
    for window, i, position in zip(batch, series, positions, strict=True):
        rows = slice(INDPTR[i], INDPTR[i + 1])
        assert_array_equal(window, slow_window(values[rows], features[rows], position, lookback, horizon))


@pytest.mark.parametrize(("lookback", "horizon"), [(3, 2), (2, 5), (20, 3)])
def test_positions_are_those_that_rows_were_made_of(lookback, horizon):
    windows = make_windows(np.zeros(20), np.empty((20, 0)), INDPTR, lookback=lookback, horizon=horizon)
    series = np.repeat(np.arange(3), LENGTHS + 1)
    positions = np.concatenate([np.arange(n + 1) for n in LENGTHS])
    assert_array_equal(windows.positions(windows.rows(series, positions)), positions)


def test_memory_grows_with_the_series_not_with_the_lookback():
    windows = make_windows(np.zeros(10_000), np.empty((10_000, 0)), np.array([0, 10_000]), lookback=500, horizon=50)
    assert windows.data.numel() == 2 * (10_000 + 1000)
    view = windows.data.as_strided((windows.data.shape[0] - 549, 550 * 2), (2, 1))
    assert view.data_ptr() == windows.data.data_ptr()


def test_positions_have_something_to_learn():
    observed = np.array([False, True, False, False, True, True])
    series, positions = window_positions(
        observed, np.array([0, 6]), np.array([0]), np.array([6]), lookback=2, horizon=1
    )
    assert series.tolist() == [0]  # origin 5: rows 3 and 4 before it, row 5 after it
    assert positions.tolist() == [5]


def test_positions_equal_slow_search():
    rng = np.random.default_rng(1)
    observed = rng.random(INDPTR[-1]) < 0.5
    found = window_positions(observed, INDPTR, np.zeros(3, int), LENGTHS, lookback=3, horizon=2)
    slow = [
        (i, p)
        for i in range(3)
        for p in range(LENGTHS[i] + 1)
        if observed[INDPTR[i] : INDPTR[i + 1]][max(p - 3, 0) : p].any()
        and observed[INDPTR[i] : INDPTR[i + 1]][p : p + 2].any()
    ]
    assert list(zip(*found, strict=True)) == slow


def test_tail_holds_three_origins_but_never_more_than_a_third():
    assert tail_lengths(np.array([1000, 100, 12, 2]), 10, 0.1).tolist() == [100, 12, 4, 0]
