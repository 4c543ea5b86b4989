import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.signal import lfilter
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from seqcast.evaluation import (
    adjust_p_values,
    diebold_mariano,
    friedman,
    model_confidence_set,
    skill_interval,
)
from seqcast.evaluation.bootstrap import block_length, bootstrap_means
from seqcast.evaluation.confidence_set import _eliminate
from seqcast.evaluation.ranks import _statistic


def squared_errors(rng, n, *, horizon=1, phi=0.0, size=()):
    """Squared errors of optimal h-step forecasts, whose shocks are an AR(1), (*size, n)."""
    shocks = lfilter([1.0], [1.0, -phi], rng.normal(size=(*size, n + horizon + 50)))[..., 50:]
    return lfilter(np.ones(horizon), [1.0], shocks)[..., horizon:] ** 2 / horizon


# Diebold and Mariano -------------------------------------------------------------------------------------------------


def test_cosine_statistic_equals_its_formula_in_loops():
    d = squared_errors(np.random.default_rng(0), 41, phi=0.8) - 0.7
    n, count = 41, 4  # min(floor(.4 * 41^(2/3) = 4.75), max(2, floor(41 / 2)))
    squares = []
    for j in range(1, count + 1):
        total = sum(d[t] * np.cos(np.pi * j * (t + 0.5) / n) for t in range(n))
        squares.append((np.sqrt(2 / n) * total) ** 2)
    centred = d - d.mean()
    r = sum(centred[t] * centred[t + 1] for t in range(n - 1)) / sum(centred**2)
    r = max(r + (1 + 10 * r) / n, 0)
    held = np.mean([(1 - r) ** 2 / abs(1 - r * np.exp(1j * np.pi * j / n)) ** 2 for j in range(1, count + 1)])
    assert held < 1
    expected = d.mean() / np.sqrt(np.mean(squares) / held / n)
    found = diebold_mariano(d, np.zeros(n))
    assert found.degrees_of_freedom == count
    assert found.statistic == pytest.approx(expected)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(expected), count))


@pytest.mark.parametrize(("n", "horizon", "freedom"), [(20, 1, 2), (50, 1, 5), (200, 1, 13), (50, 12, 2), (200, 12, 8)])
def test_cosines_are_as_many_as_the_horizon_leaves(n, horizon, freedom):
    d = np.random.default_rng(0).normal(size=n)
    assert diebold_mariano(d, np.zeros(n), horizon=horizon).degrees_of_freedom == freedom


@pytest.mark.parametrize("horizon", [1, 4])
def test_hln_is_the_regression_on_a_constant_with_uniform_weights(horizon):
    n = 60
    d = squared_errors(np.random.default_rng(1), n, horizon=horizon) - 0.8
    options = {"maxlags": horizon - 1, "kernel": "uniform", "use_correction": False}
    error = OLS(d, np.ones(n)).fit(cov_type="HAC", cov_kwds=options).bse[0]
    correction = np.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    found = diebold_mariano(d, np.zeros(n), horizon=horizon, method="hln")
    assert found.statistic == pytest.approx(correction * d.mean() / error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.statistic), n - 1))


def test_hln_at_horizon_one_is_the_t_test():
    d = np.random.default_rng(2).normal(0.3, size=40)
    expected = stats.ttest_1samp(d, 0.0)
    found = diebold_mariano(d, np.zeros(40), method="hln")
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))


def test_hln_survives_autocovariances_that_sum_to_nothing():
    d = np.tile([1.0, -1.0], 20) + 0.01
    assert np.isfinite(diebold_mariano(d, np.zeros(40), horizon=2, method="hln").statistic)


def test_swapping_the_models_turns_the_verdict():
    loss = squared_errors(np.random.default_rng(0), 80)
    ahead, behind = diebold_mariano(0.4 * loss, loss), diebold_mariano(loss, 0.4 * loss)
    assert (ahead.verdict, behind.verdict) == ("better", "worse")
    assert ahead.p_value == pytest.approx(behind.p_value)
    assert ahead.interval[1] < 0 < behind.interval[0]


def test_overlapping_origins_give_no_verdict():
    loss = np.arange(47.0)
    found = diebold_mariano(loss, loss + 1, horizon=12)
    assert found.verdict == "too few independent origins"
    assert np.isnan([found.statistic, found.p_value, *found.interval]).all()
    assert diebold_mariano(np.arange(48.0), np.arange(48.0)[::-1], horizon=12).verdict == "not distinguishable"


def test_one_degree_of_freedom_gives_no_verdict():
    loss = 1 + squared_errors(np.random.default_rng(0), 12)
    assert diebold_mariano(loss[:11], 10 * loss[:11]).verdict == "too few independent origins"
    enough = diebold_mariano(loss, 10 * loss)
    assert (enough.verdict, enough.degrees_of_freedom) == ("better", 2)


def test_equal_forecasts_are_not_distinguishable():
    loss = np.arange(20.0)
    assert diebold_mariano(loss, loss).p_value == 1


def test_origins_without_a_loss_are_left_out_and_counted():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30))
    gaps = np.array(a)
    gaps[[3, 7]] = np.nan
    found, expected = diebold_mariano(gaps, b), diebold_mariano(np.delete(a, [3, 7]), np.delete(b, [3, 7]))
    assert found == expected
    assert found.n_origins == 28


@pytest.mark.parametrize(
    ("horizon", "n", "phi"), [(1, 20, 0.0), (1, 50, 0.8), (1, 200, 0.8), (12, 50, 0.0), (12, 200, 0.8)]
)
def test_size_of_the_cosine_form_is_near_five_percent(horizon, n, phi):
    a, b = squared_errors(np.random.default_rng(0), n, horizon=horizon, phi=phi, size=(2, 600))
    rejected = [diebold_mariano(x, y, horizon=horizon).p_value < 0.05 for x, y in zip(a, b, strict=True)]
    assert 0.02 <= np.mean(rejected) <= 0.08  # 600 draws: a standard error of .009


def persistent(size, n):
    """Losses that are an AR(.8), (*size, n)."""
    return lfilter([1.0], [1.0, -0.8], np.random.default_rng(0).normal(size=(*size, n + 100)))[..., 100:]


@pytest.mark.parametrize("n", [20, 50, 200])
def test_size_holds_where_the_differences_themselves_persist(n, monkeypatch):
    differences = persistent((1000,), n)

    def rejected():
        return np.mean([diebold_mariano(one, np.zeros(n)).p_value < 0.05 for one in differences])

    assert 0.03 <= rejected() <= 0.08  # a standard error of .007
    monkeypatch.setitem(diebold_mariano.__globals__, "persistence", lambda values, horizon: 0.0)
    assert rejected() >= 0.08


def test_skill_intervals_cover_where_losses_persist():
    base, own = np.sqrt(squared_errors(np.random.default_rng(0), 50, phi=0.8, size=(2, 300)))
    intervals = [skill_interval(0.4 * (x + y), y, n_bootstrap=300).interval for x, y in zip(base, own, strict=True)]
    assert np.mean([low <= 0.2 <= high for low, high in intervals]) >= 0.92  # .86 without the share of the blocks


def test_the_set_keeps_the_best_where_losses_persist():
    losses = persistent((300, 2), 50).swapaxes(1, 2)
    kept = [model_confidence_set(one, n_bootstrap=300).p_values.iloc[0] > 0.1 for one in losses]
    assert np.mean(kept) >= 0.88  # .82 without the share of the blocks


def test_infinite_losses_have_no_test():
    loss = np.random.default_rng(0).random(50)
    found = diebold_mariano(np.r_[np.inf, loss[1:]], loss)
    assert (found.verdict, found.mean_difference) == ("infinite loss", np.inf)
    assert np.isnan(found.p_value)


def test_hln_rejects_a_third_of_true_nulls_with_autocorrelated_errors():
    a, b = squared_errors(np.random.default_rng(0), 50, phi=0.8, size=(2, 300))
    rejected = [diebold_mariano(x, y, method="hln").p_value < 0.05 for x, y in zip(a, b, strict=True)]
    assert np.mean(rejected) > 0.2


def test_power_grows_with_the_origins():
    rng = np.random.default_rng(0)
    power = []
    for n in (20, 200):
        a, b = squared_errors(rng, n, size=(2, 200))
        power.append(np.mean([diebold_mariano(0.6 * x, y).verdict == "better" for x, y in zip(a, b, strict=True)]))
    assert power[0] < 0.5
    assert power[1] > 0.7


@pytest.mark.parametrize("options", [{"horizon": 0}, {"level": 1.0}, {"method": "dm"}])
def test_parameters_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        diebold_mariano(np.ones(9), np.ones(9), **options)


def test_losses_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\(9,\) and \(8,\)"):
        diebold_mariano(np.ones(9), np.ones(8))


@pytest.mark.parametrize(("method", "theirs"), [("holm", "holm"), ("benjamini-hochberg", "fdr_bh")])
def test_adjusted_p_values_are_those_of_statsmodels(method, theirs):
    p = np.random.default_rng(0).uniform(size=12) ** 3
    np.testing.assert_allclose(adjust_p_values(p, method=method), multipletests(p, method=theirs)[1])


def test_a_comparison_that_was_not_made_does_not_count():
    np.testing.assert_allclose(adjust_p_values([0.01, np.nan, 0.03]), [0.02, np.nan, 0.03])
    with pytest.raises(ValueError, match="'bonferroni' is none of"):
        adjust_p_values([0.1], method="bonferroni")


# Bootstrap and skill -------------------------------------------------------------------------------------------------


def test_resampled_means_are_of_whole_circular_blocks():
    values = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0])[:, None]
    pairs = {11.0, 110.0, 1100.0, 11000.0, 10001.0}
    possible = {a + b + c for a in pairs for b in pairs for c in values.ravel()}
    found = 5 * bootstrap_means(values, 2, 4000, np.random.default_rng(0)).ravel()
    assert set(found.round(6)) == possible


def test_block_bootstrap_has_the_standard_deviation_of_arch():
    bootstrap = pytest.importorskip("arch.bootstrap")
    loss = squared_errors(np.random.default_rng(3), 120, horizon=6)
    theirs = bootstrap.CircularBlockBootstrap(12, loss, seed=0).apply(np.mean, 4000).std()
    ours = bootstrap_means(loss[:, None], 12, 4000, np.random.default_rng(0)).std()
    assert ours == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize(("n", "horizon"), [(5, 1), (48, 12), (500, 12), (20, 1), (3, 3)])
def test_blocks_cover_the_horizon_and_leave_at_least_two(n, horizon):
    assert min(horizon, n // 2) <= block_length(n, horizon) <= max(n // 2, 1)


def test_skill_is_exact_where_the_ratio_of_losses_is_constant():
    loss = np.random.default_rng(0).uniform(1, 2, 30)
    found = skill_interval(0.75 * loss, loss)
    assert (found.skill, *found.interval) == pytest.approx((0.25, 0.25, 0.25))
    assert found.n_independent == 30


def test_skill_of_overlapping_origins_counts_the_independent_ones():
    a, b = squared_errors(np.random.default_rng(0), 60, horizon=12, size=(2,))
    assert skill_interval(a, b, horizon=12).n_independent == 5
    few = skill_interval(a[:40], b[:40], horizon=12)
    assert few.skill == pytest.approx(1 - a[:40].mean() / b[:40].mean())
    assert np.isnan(few.interval).all()


def test_skill_of_a_perfect_forecast_is_one():
    assert skill_interval(np.zeros(20), np.ones(20)).interval == (1.0, 1.0)


def test_reference_without_loss_has_no_interval():
    found = skill_interval(np.ones(20), np.zeros(20))
    assert found.skill == -np.inf
    assert np.isnan(found.interval).all()


@pytest.mark.parametrize(("blocks", "horizon", "least"), [(8, 1, 0.85), (8, 12, 0.85), (20, 12, 0.91), (50, 1, 0.93)])
def test_interval_covers_the_true_skill(blocks, horizon, least):
    rng = np.random.default_rng(0)
    shared, own = np.sqrt(squared_errors(rng, blocks * horizon, horizon=horizon, size=(2, 400)))
    covered = []
    for x, y in zip(shared, own, strict=True):
        low, high = skill_interval(0.8 * (0.5 * x + 0.5 * y), x, horizon=horizon, n_bootstrap=200).interval
        covered.append(low <= 0.2 <= high)
    assert np.mean(covered) >= least - 0.02  # 400 draws: a standard error of .012


# Model confidence set ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("statistic", "theirs"), [("max", "max"), ("range", "R")])
def test_elimination_equals_that_of_arch_on_the_same_resamples(statistic, theirs):
    bootstrap = pytest.importorskip("arch.bootstrap")
    losses = squared_errors(np.random.default_rng(1), 120, size=(5,)).T + np.array([0.0, 0.1, 0.2, 0.4, 0.8])
    expected = bootstrap.MCS(losses, 0.1, block_size=5, method=theirs, bootstrap="circular", seed=3, reps=500)
    expected.compute()
    resampled = np.stack([losses[rows].mean(axis=0) for rows in expected._bootstrap_indices])
    found = _eliminate(losses.mean(axis=0), resampled, statistic, widening=1.0)
    np.testing.assert_allclose(found, expected.pvalues["Pvalue"].sort_index())


@pytest.mark.parametrize("statistic", ["max", "range"])
def test_set_keeps_the_best_and_drops_the_worst(statistic):
    losses = squared_errors(np.random.default_rng(0), 200, size=(3,)).T + np.array([0.0, 0.05, 3.0])
    found = model_confidence_set(pd.DataFrame(losses, columns=["a", "b", "c"]), statistic=statistic)
    assert found.included == ["a", "b"]
    assert found.p_values["c"] < 0.05
    assert found.block_length == 6


@pytest.mark.parametrize("horizon", [1, 12])
def test_set_keeps_the_best_at_its_level(horizon):
    losses = squared_errors(np.random.default_rng(0), 60, horizon=horizon, size=(300, 4)).swapaxes(1, 2)
    kept = [0 in model_confidence_set(one, horizon=horizon, n_bootstrap=200).included for one in losses]
    assert np.mean(kept) >= 0.86  # .9 - .02, less a standard error of .017


def test_too_few_independent_origins_leave_all_models_in_the_set():
    losses = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)) + np.array([0.0, 9.0]), columns=["a", "b"])
    with pytest.warns(UserWarning, match="30 origins of horizon 12 are too few independent origins"):
        found = model_confidence_set(losses, horizon=12)
    assert found.included == ["a", "b"]
    assert found.p_values.isna().all()


def test_models_that_are_the_same_stay_together():
    loss = squared_errors(np.random.default_rng(0), 50)
    found = model_confidence_set(np.stack([loss, loss, loss + 1], axis=1))
    assert found.included == [0, 1]


@pytest.mark.parametrize("options", [{"statistic": "t"}, {"level": 0}, {"horizon": 0}])
def test_set_names_parameters_out_of_range(options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        model_confidence_set(np.ones((20, 2)), **options)


# Friedman and Nemenyi ------------------------------------------------------------------------------------------------


def data_sets(n=12, shift=(0.0, 0.3, 0.6, 2.0)):
    return pd.DataFrame(
        np.random.default_rng(0).normal(size=(n, len(shift))) + shift, columns=list("abcd")[: len(shift)]
    )


def test_friedman_is_scipys_in_the_form_of_iman_and_davenport():
    losses = data_sets().round(1)  # with ties
    losses.iloc[0, :2] = 0.5
    n, k = losses.shape
    chi2 = stats.friedmanchisquare(*losses.to_numpy().T).statistic
    found = friedman(losses, independent=True)
    assert found.statistic == pytest.approx((n - 1) * chi2 / (n * (k - 1) - chi2))
    assert found.p_value == pytest.approx(stats.f.sf(found.statistic, k - 1, (k - 1) * (n - 1)))


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (5, 2.728), (10, 3.164)])  # table 5 of Demšar (2006)
def test_critical_difference_has_the_quantiles_of_the_table(k, q):
    losses = np.random.default_rng(0).normal(size=(14, k))
    found = friedman(losses, independent=True).critical_difference
    assert found == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), rel=3e-4)


def test_pairs_differ_where_their_ranks_are_farther_apart_than_the_critical_difference():
    found = friedman(data_sets(), independent=True)
    ranks = found.mean_ranks
    assert ranks.index[0] == "a" and ranks.index[-1] == "d"
    for one in ranks.index:
        for other in ranks.index:
            is_apart = abs(ranks[one] - ranks[other]) > found.critical_difference
            assert (found.pairwise.loc[one, other] < 0.05) == is_apart


def test_data_sets_must_be_declared_independent():
    with pytest.raises(ValueError, match="needs independent data sets"):
        friedman(data_sets())


def test_rows_named_as_series_are_warned_of():
    with pytest.warns(UserWarning, match="those of one panel are not independent"):
        friedman(data_sets().rename_axis("series"), independent=True)


def test_data_sets_that_move_together_are_refused():
    rng = np.random.default_rng(0)
    own, shared = rng.normal(size=(8, 30, 3)), rng.normal(size=(30, 3))
    assert friedman(own, independent=True).n_datasets == 8
    with pytest.raises(ValueError, match="8 data sets move together"):
        friedman(own + shared, independent=True)


def test_missing_losses_are_refused():
    losses = data_sets()
    losses.iloc[2, 1] = np.nan
    with pytest.raises(ValueError, match="12 x 4 with 1 NaN"):
        friedman(losses, independent=True)


def test_size_over_independent_data_sets_is_five_percent_and_in_a_panel_far_more():
    rng = np.random.default_rng(0)
    alone = rng.normal(size=(300, 20, 3))
    panel = 0.7 * alone + rng.normal(size=(300, 1, 3))
    critical = stats.f.ppf(0.95, 2, 2 * 19)
    rejected = [
        np.mean([_statistic(stats.rankdata(one, axis=1)) > critical for one in many]) for many in (alone, panel)
    ]
    assert 0.02 < rejected[0] < 0.08
    assert rejected[1] > 0.6
