import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.dummy import DummyRegressor
from statsmodels.stats.multitest import multipletests

from seqcast.evaluation import (
    RollingOriginSplit,
    adjust_p_values,
    backtest,
    diebold_mariano,
    friedman,
    leaderboard,
    model_confidence_set,
    skill_interval,
)
from seqcast.evaluation.diebold_mariano import TOO_FEW
from seqcast.plotting import plot_critical_difference, plot_errors, plot_loss_difference, plot_skill


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_cosine_variance_is_that_of_the_formula_written_as_loops(random):
    a, b = random.normal(size=(2, 50)) ** 2
    d, n = a - b, 50
    count = min(int(0.4 * n ** (2 / 3)), max(2, n // 6))
    sums = []
    for j in range(1, count + 1):
        sums.append(np.sqrt(2 / n) * sum(d[t] * np.cos(np.pi * j * (t + 0.5) / n) for t in range(n)))
    statistic = d.mean() / np.sqrt(np.mean(np.square(sums)) / n)
    found = diebold_mariano(a, b, horizon=3)
    assert_allclose([found.statistic, found.degrees_of_freedom], [statistic, count])
    assert_allclose(found.p_value, 2 * stats.t(count).sf(abs(statistic)))


def test_the_old_form_at_horizon_one_is_a_paired_t_test(random):
    a, b = random.normal(size=(2, 40)) ** 2
    found = diebold_mariano(a, b, method="hln")
    expected = stats.ttest_rel(a, b)
    assert_allclose([found.statistic, found.p_value], [expected.statistic, expected.pvalue])
    assert_allclose(found.interval, expected.confidence_interval(0.95))


@pytest.mark.parametrize("horizon", [1, 12])
def test_equal_forecasts_are_seldom_told_apart_and_less_often_than_by_the_old_form(horizon, random):
    noise = random.normal(size=(600, 100 + horizon))
    differences = np.stack([noise[:, k : k + 100] for k in range(horizon)]).mean(0)  # overlap as forecasts do
    rates = {
        method: np.mean([diebold_mariano(d, 0 * d, horizon=horizon, method=method).p_value < 0.05 for d in differences])
        for method in ("ewc", "hln")
    }
    assert 0.025 < rates["ewc"] < (0.08 if horizon == 1 else 0.12)
    assert horizon == 1 or rates["ewc"] < rates["hln"]


def test_a_better_forecast_is_found(random):
    reference = random.normal(size=(100, 80)) ** 2
    found = [diebold_mariano(0.5 * loss, loss).verdict for loss in reference]
    assert found.count("better") > 90
    assert diebold_mariano(reference[0], 0.5 * reference[0]).verdict == "worse"


def test_few_independent_origins_get_no_verdict(random):
    loss = random.normal(size=(2, 20))
    found = diebold_mariano(*loss, horizon=6)
    assert found.verdict == TOO_FEW
    assert np.isnan(found.p_value)


@pytest.mark.parametrize(("method", "theirs"), [("holm", "holm"), ("benjamini-hochberg", "fdr_bh")])
def test_adjusted_p_values_are_those_of_statsmodels(method, theirs, random):
    p = random.uniform(size=12) ** 2
    assert_allclose(adjust_p_values(p, method=method), multipletests(p, method=theirs)[1])
    assert_allclose(adjust_p_values([*p, np.nan], method=method)[:12], multipletests(p, method=theirs)[1])


@pytest.mark.parametrize("statistic", ["max", "range"])
def test_confidence_set_agrees_with_arch(statistic, random):
    bootstrap = pytest.importorskip("arch.bootstrap")
    losses = random.normal(size=(300, 4)) ** 2 + np.array([0.0, 0.02, 0.5, 1.0])
    ours = model_confidence_set(pd.DataFrame(losses), level=0.9, statistic=statistic, n_bootstrap=2000)
    theirs = bootstrap.MCS(
        losses, size=0.1, reps=2000, block_size=5, method={"max": "max", "range": "R"}[statistic], seed=0
    )
    theirs.compute()
    assert sorted(ours.included) == sorted(theirs.included)
    assert {2, 3}.isdisjoint(ours.included)


def test_confidence_set_keeps_the_best(random):
    kept = []
    for _ in range(60):
        losses = random.normal(size=(60, 5)) ** 2 + 0.05 * np.arange(5)
        kept.append(0 in model_confidence_set(pd.DataFrame(losses), n_bootstrap=200).included)
    assert np.mean(kept) > 0.88


def test_friedman_is_that_of_scipy_on_independent_data_sets(random):
    losses = pd.DataFrame(random.normal(size=(15, 4)) + np.array([0.0, 0.3, 0.6, 2.0]), columns=list("abcd"))
    found = friedman(losses, independent=True)
    square = stats.friedmanchisquare(*losses.to_numpy().T).statistic
    expected = stats.f(3, 3 * 14).sf(14 * square / (15 * 3 - square))  # Iman and Davenport
    assert_allclose(found.p_value, expected)
    assert found.mean_ranks.index[0] == "a" or found.mean_ranks["a"] == found.mean_ranks.min()
    q = stats.studentized_range.ppf(0.95, 4, np.inf) / np.sqrt(2)
    assert_allclose(found.critical_difference, q * np.sqrt(4 * 5 / (6 * 15)), rtol=1e-6)


@pytest.mark.parametrize(("n", "least"), [(8, 0.85), (20, 0.9)])
def test_skill_intervals_cover(n, least, random):
    inside = []
    for _ in range(200):
        reference = random.chisquare(4, size=n)
        loss = 0.8 * random.chisquare(4, size=n)
        low, high = skill_interval(loss, reference, n_bootstrap=200).interval
        inside.append(low <= 0.2 <= high)
    assert np.mean(inside) > least - 0.03


def boards(random):
    index = pd.date_range("2024-01-01", periods=200, freq="D")
    y = pd.Series(random.normal(10, 1, 200), index=index, name="y")
    models = {"mean": DummyRegressor(), "low": DummyRegressor(strategy="constant", constant=5.0)}
    return backtest(models, y, y.to_frame("x"), cv=RollingOriginSplit(2, n_origins=40))


def test_leaderboard_says_which_differences_are_luck(random):
    board = leaderboard(boards(random), reference="low")
    assert board.loc["mean", "verdict"] == "better"
    assert board.loc["mean", "skill"] > 0.3


def test_pictures_of_comparisons_draw_every_model(random):
    result = boards(random)
    board = leaderboard(result, reference="low")
    losses = pd.DataFrame(random.normal(size=(12, 3)), columns=["a", "b", "c"])
    drawn = [
        plot_skill(board),
        plot_errors(result, by="step"),
        plot_errors(result, by="origin"),
        plot_loss_difference(result, "mean", "low"),
        plot_critical_difference(friedman(losses, independent=True)),
    ]
    assert all(ax.lines or ax.collections or ax.patches for ax in drawn)
