"""Scores of probabilistic forecasts against slow second implementations, worked values, and the truth that must win."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from statsmodels.stats.proportion import proportion_confint

from seqcast import metrics
from seqcast.metrics.calibration import effective_size

NAN = float("nan")
DECILES = np.arange(1, 10) / 10


def counts(mean, dispersion):
    """Return scipy's negative binomial in our terms."""
    return stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))


def slow_crps(distribution, y):
    """Integrate the squared difference of the distribution function and the step at y."""
    if hasattr(distribution.dist, "pmf"):
        reach = np.arange(int(max(distribution.isf(1e-16), y)) + 50)
        return ((distribution.cdf(reach) - (reach >= y)) ** 2).sum()
    below = integrate.quad(lambda x: distribution.cdf(x) ** 2, -np.inf, y)[0]
    return below + integrate.quad(lambda x: distribution.sf(x) ** 2, y, np.inf)[0]


DISTRIBUTIONS = {
    "normal": (stats.norm, [(0.0, 1.0), (-3.0, 0.2), (5.0, 40.0)], ("loc", "scale")),
    "student_t": (
        lambda loc, scale, df: stats.t(df, loc, scale),
        [(0.0, 1.0, 1.5), (-3.0, 0.2, 4.0), (5.0, 40.0, 200.0)],
        ("loc", "scale", "df"),
    ),
    "negative_binomial": (counts, [(0.3, 4.0), (7.0, 0.5), (900.0, 0.02), (20.0, 1e-4)], ("mean", "dispersion")),
}
CASES = [(name, case) for name, (_, cases, _) in DISTRIBUTIONS.items() for case in cases]


def distribution_of(name, case):
    make, _, names = DISTRIBUTIONS[name]
    return make(*case), dict(zip(names, case, strict=True))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_closed_form_of_crps_equals_the_integral(name, case):
    distribution, parameters = distribution_of(name, case)
    fast = getattr(metrics, f"crps_{name}")
    for y in np.round(distribution.ppf([0.01, 0.4, 0.9, 0.9999])):
        assert fast([y], **parameters) == pytest.approx(slow_crps(distribution, y), rel=2e-6, abs=1e-9)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_log_score_is_the_negative_log_likelihood(name, case):
    distribution, parameters = distribution_of(name, case)
    y = np.unique(np.round(distribution.ppf([0.01, 0.4, 0.9, 0.9999])))
    density = distribution.logpmf if name == "negative_binomial" else distribution.logpdf
    score = getattr(metrics, f"log_score_{name}")(y, **parameters)
    assert score == pytest.approx(-density(y).mean(), rel=1e-9)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_pit_of_a_distribution_is_between_its_left_and_right_limits(name, case):
    distribution, parameters = distribution_of(name, case)
    y = distribution.rvs(200, random_state=0)
    pit = getattr(metrics, f"pit_{name}")
    if name == "negative_binomial":
        below, upto = distribution.cdf(y - 1), distribution.cdf(y)
        values = pit(y, **parameters, random_state=0)
        assert ((below - 1e-9 <= values) & (values <= upto + 1e-9)).all()
        np.testing.assert_array_equal(values, pit(y, **parameters, random_state=0))
    else:
        np.testing.assert_allclose(pit(y, **parameters), distribution.cdf(y), rtol=1e-9)


@given(mean=st.floats(1e-3, 1e4), dispersion=st.floats(1e-9, 50.0), y=st.integers(0, 20_000))
def test_crps_of_counts_lies_between_its_bounds(mean, dispersion, y):
    score = metrics.crps_negative_binomial([float(y)], mean=mean, dispersion=dispersion)
    std = math.sqrt(mean + dispersion * mean**2)
    assert -1e-9 * (1 + mean) <= score <= abs(y - mean) + std  # at most E|X - y|


def test_counts_without_overdispersion_are_poisson_and_t_without_tails_is_normal():
    poisson = metrics.crps_negative_binomial([4.0], mean=6.5, dispersion=1e-12)
    assert poisson == pytest.approx(slow_crps(stats.poisson(6.5), 4.0), rel=1e-9)
    exact, limit = (metrics.crps_negative_binomial([4.0], mean=6.5, dispersion=d) for d in (1.0001e-4, 0.9999e-4))
    assert exact == pytest.approx(limit, rel=1e-4)  # both sides of where the limit is taken
    heavy = metrics.crps_student_t([1.3], loc=0.2, scale=2.0, df=1e12)
    assert heavy == pytest.approx(metrics.crps_normal([1.3], loc=0.2, scale=2.0), rel=1e-9)


def test_scores_are_in_the_unit_of_the_target():
    one = metrics.crps_student_t([1.0], loc=0.5, scale=2.0, df=3.0)
    assert metrics.crps_student_t([1000.0], loc=500.0, scale=2000.0, df=3.0) == pytest.approx(1000 * one)


def slow_energy(y, paths, fair):
    """Double loop over the paths, each a list of steps; unknown steps are dropped."""
    steps = [t for t in range(len(y)) if not math.isnan(y[t])]
    if not steps:
        return NAN
    m = len(paths)
    near = sum(math.dist([path[t] for t in steps], [y[t] for t in steps]) for path in paths) / m
    apart = sum(math.dist([a[t] for t in steps], [b[t] for t in steps]) for a in paths for b in paths)
    return near - apart / (2 * m * (m - fair))


@pytest.mark.parametrize("fair", [True, False])
def test_crps_of_samples_equals_the_double_loop(fair):
    rng = np.random.default_rng(0)
    y, samples = rng.normal(1e4, 1, 12), np.round(rng.normal(1e4, 1, (12, 7)), 1)  # with ties
    expected = [slow_energy([a], b[:, None].tolist(), fair) for a, b in zip(y, samples, strict=True)]
    np.testing.assert_allclose(metrics.crps_samples(y, samples, fair=fair, axis=()), expected, rtol=1e-9)


@pytest.mark.parametrize("fair", [True, False])
def test_energy_score_equals_the_double_loop(fair):
    rng = np.random.default_rng(1)
    y, paths = rng.normal(size=(4, 5)), rng.normal(size=(4, 5, 6))
    y[0, 1], y[3] = NAN, NAN
    expected = [slow_energy(a, b.T.tolist(), fair) for a, b in zip(y, paths, strict=True)]
    np.testing.assert_allclose(metrics.energy_score(y, paths, fair=fair, axis=()), expected, rtol=1e-12)
    assert metrics.energy_score(y, paths, fair=fair) == pytest.approx(np.nanmean(expected))


def test_energy_score_of_one_step_is_the_crps():
    rng = np.random.default_rng(2)
    y, samples = rng.normal(size=8), rng.normal(size=(8, 5))
    assert metrics.energy_score(y[:, None], samples[:, None]) == pytest.approx(metrics.crps_samples(y, samples))


def test_fair_score_is_unbiased_and_the_plain_one_too_large():
    rng = np.random.default_rng(3)
    samples, n = rng.normal(size=(40_000, 3)), 40_000
    exact = metrics.crps_normal([0.4], loc=0.0, scale=1.0)
    fair, plain = (metrics.crps_samples(np.full(n, 0.4), samples, fair=fair) for fair in (True, False))
    assert fair == pytest.approx(exact, abs=0.01)
    assert plain == pytest.approx(exact + 1 / (3 * math.sqrt(math.pi)), abs=0.01)  # E|X - X'| / (2 m) too large


def test_crps_from_quantiles_is_the_trapezoid_between_zero_and_one():
    y, levels, values = 1.3, [0.1, 0.5, 0.7], [0.0, 1.0, 2.5]
    loss = [0, *(2 * max(q * (y - f), (q - 1) * (y - f)) for q, f in zip(levels, values, strict=True)), 0]
    expected = np.trapezoid(loss, [0, *levels, 1])
    assert metrics.crps_quantiles([y], [values], quantiles=levels) == pytest.approx(expected)


def test_crps_from_many_quantiles_nears_the_closed_form():
    y = np.random.default_rng(4).normal(size=2000)
    for n, error in ((9, 0.02), (99, 5e-4)):
        levels = np.arange(1, n + 1) / (n + 1)
        values = np.broadcast_to(stats.norm.ppf(levels), (len(y), n))
        score = metrics.crps_quantiles(y, values, quantiles=levels)
        assert score == pytest.approx(metrics.crps_normal(y, loc=0.0, scale=1.0), rel=error)
        assert score == pytest.approx(2 * n / (n + 1) * metrics.pinball(y, values, quantiles=levels))


def draws(y, loc, scale):
    return np.broadcast_to(loc, y.shape)[..., None] + scale * np.random.default_rng(99).normal(size=(*y.shape, 60))


def deciles(y, loc, scale):
    return np.broadcast_to(loc, y.shape)[..., None] + scale * stats.norm.ppf(DECILES)


def interval_score(y, loc, scale, axis):
    ends = {"lower": np.full(y.shape, loc - 1.2816 * scale), "upper": np.full(y.shape, loc + 1.2816 * scale)}
    return metrics.interval_score(y, **ends, level=0.8, axis=axis)


# Each score as a function of the truth and of location and scale of a forecast of the truth's family.
SCORES = {
    "crps_normal": metrics.crps_normal,
    "log_score_normal": metrics.log_score_normal,
    "crps_student_t": partial(metrics.crps_student_t, df=5.0),
    "log_score_student_t": partial(metrics.log_score_student_t, df=5.0),
    "crps_samples": lambda y, loc, scale, axis: metrics.crps_samples(y, draws(y, loc, scale), axis=axis),
    "crps_samples_plain": lambda y, loc, scale, axis: metrics.crps_samples(
        y, draws(y, loc, scale), fair=False, axis=axis
    ),
    "crps_quantiles": lambda y, loc, scale, axis: metrics.crps_quantiles(
        y, deciles(y, loc, scale), quantiles=DECILES, axis=axis
    ),
    "pinball": lambda y, loc, scale, axis: metrics.pinball(y, deciles(y, loc, scale), quantiles=DECILES, axis=axis),
    "interval_score": interval_score,
}
WRONG = {"too wide": (0.0, 1.5), "too narrow": (0.0, 0.67), "shifted": (0.4, 1.0)}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", SCORES)
def test_true_distribution_beats_wrong_ones(name, wrong):
    rng = np.random.default_rng(5)
    y = rng.standard_t(5, 4000) if "student" in name else rng.normal(size=4000)
    loc, scale = WRONG[wrong]
    losses = [SCORES[name](y, loc=a, scale=b, axis=()) for a, b in ((0.0, 1.0), (loc, scale))]
    gain = losses[1] - losses[0]
    assert gain.mean() > 3 * gain.std() / math.sqrt(len(y))


@pytest.mark.parametrize("name", ["crps_negative_binomial", "log_score_negative_binomial"])
@pytest.mark.parametrize(("mean", "dispersion"), [(6.0, 2.0), (6.0, 0.1), (8.0, 0.5), (4.5, 0.5)])
def test_true_distribution_of_counts_beats_wrong_ones(name, mean, dispersion):
    y = counts(6.0, 0.5).rvs(20_000, random_state=6).astype(float)
    score = partial(getattr(metrics, name), y, axis=())
    gain = score(mean=mean, dispersion=dispersion) - score(mean=6.0, dispersion=0.5)
    assert gain.mean() > 3 * gain.std() / math.sqrt(len(y))


def autoregression(rng, shape, phi=0.8):
    """Return paths (..., n_steps) of an AR(1) with unit variance."""
    steps = rng.normal(size=shape)
    for t in range(1, shape[-1]):
        steps[..., t] = phi * steps[..., t - 1] + math.sqrt(1 - phi**2) * steps[..., t]
    return steps


@pytest.mark.parametrize("fair", [True, False])
@pytest.mark.parametrize("wrong", [*WRONG, "steps independent"])
def test_true_process_beats_wrong_ones_in_the_energy_score(wrong, fair):
    rng = np.random.default_rng(7)
    y = autoregression(rng, (3000, 6))
    paths = np.swapaxes(autoregression(rng, (3000, 40, 6)), 1, 2)
    loc, scale = WRONG.get(wrong, (0.0, 1.0))
    other = loc + scale * (rng.permuted(paths, axis=-1) if wrong not in WRONG else paths)
    gain = metrics.energy_score(y, other, fair=fair, axis=()) - metrics.energy_score(y, paths, fair=fair, axis=())
    assert gain.mean() > 3 * gain.std() / math.sqrt(len(y))


# Scores of counts, in the same terms, for the rules on NaN and axes.
COUNTS = {
    name: lambda y, loc, scale, axis, name=name: getattr(metrics, name)(
        np.round(np.abs(y)), mean=np.abs(loc), dispersion=scale, axis=axis
    )
    for name in ("crps_negative_binomial", "log_score_negative_binomial")
}


@pytest.mark.parametrize("name", [*SCORES, *COUNTS])
def test_missing_truth_is_masked_and_missing_forecasts_are_not(name):
    rng = np.random.default_rng(8)
    truth, loc = rng.normal(5, 2, (4, 6)), rng.normal(5, 2, (4, 6))
    known = rng.random(truth.shape) < 0.8
    known[0], known[1, 0], known[2, 0] = False, False, True
    score = (SCORES | COUNTS)[name]
    each = score(truth, loc=loc, scale=1.0, axis=())
    expected = [row[k].mean() if k.any() else NAN for row, k in zip(each, known, strict=True)]
    loc[1, 0] = NAN  # nothing is known there
    masked = np.where(known, truth, NAN)
    np.testing.assert_allclose(score(masked, loc=loc, scale=1.0, axis=-1), expected, rtol=1e-12)
    assert score(masked, loc=loc, scale=1.0, axis=None) == pytest.approx(each[known].mean())
    loc[2, 0] = NAN
    assert np.isnan(score(masked, loc=loc, scale=1.0, axis=-1)).tolist() == [True, False, True, False]


def test_a_missing_path_is_not_passed_over():
    paths = np.ones((2, 3, 4))
    paths[0, 1, 2], paths[1, 1] = NAN, NAN
    y = np.array([[1.0, 1.0, 1.0], [1.0, NAN, 1.0]])
    np.testing.assert_array_equal(metrics.energy_score(y, paths, axis=()), [NAN, 0.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.crps_normal([1.0], loc=0.0, scale=0.0), "scale must be positive, got 0.0"),
        (lambda: metrics.crps_normal([1.0], loc=[0.0, 1.0], scale=1.0), r"loc of shape \(2,\) does not fit actual"),
        (lambda: metrics.crps_student_t([1.0], loc=0.0, scale=1.0, df=1.0), "df must be above 1"),
        (lambda: metrics.crps_negative_binomial([1.5], mean=1.0, dispersion=1.0), "must hold counts .* got 1.5"),
        (lambda: metrics.log_score_negative_binomial([-1.0], mean=1.0, dispersion=1.0), "got -1.0"),
        (lambda: metrics.pit_negative_binomial([1.0], mean=-1.0, dispersion=1.0), "mean must be 0 or more, got -1.0"),
        (lambda: metrics.crps_samples([1.0], [[1.0]]), r"At least 2 sample\(s\) are needed, got 1"),
        (lambda: metrics.crps_samples([1.0, 2.0], [1.0, 2.0]), "do not fit actual"),
        (lambda: metrics.energy_score([1.0, 2.0], [[1.0, 2.0]]), "do not fit actual"),
        (lambda: metrics.energy_score(1.0, [1.0, 2.0]), "an axis of steps"),
        (lambda: metrics.crps_quantiles([1.0], [[1.0, 2.0]], quantiles=[0.5, 0.1]), "increase between 0 and 1"),
        (lambda: metrics.crps_quantiles([1.0], [[1.0, 2.0]], quantiles=[0.5, 1.0]), "increase between 0 and 1"),
        (lambda: metrics.pit_quantiles([1.0], [[1.0]], quantiles=[0.5]), r"at least 2 level\(s\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_zero_mean_is_certain_of_zero():
    parameters = {"mean": 0.0, "dispersion": 2.0}
    assert metrics.log_score_negative_binomial([0.0], **parameters) == pytest.approx(0.0)
    assert metrics.log_score_negative_binomial([1.0], **parameters) == math.inf
    assert metrics.crps_negative_binomial([0.0, 3.0], **parameters) == 1.5


PITS = {
    "normal": (stats.norm(3.0, 2.0), lambda y: metrics.pit_normal(y, loc=3.0, scale=2.0)),
    "student_t": (stats.t(4.0, 3.0, 2.0), lambda y: metrics.pit_student_t(y, loc=3.0, scale=2.0, df=4.0)),
    "negative_binomial": (
        counts(1.5, 1.0),
        lambda y: metrics.pit_negative_binomial(y, mean=1.5, dispersion=1.0, random_state=0),
    ),
    "quantiles": (
        stats.norm(3.0, 2.0),
        lambda y: metrics.pit_quantiles(y, deciles(y, 3.0, 2.0), quantiles=DECILES, random_state=0),
    ),
    "quantiles of counts": (
        counts(1.5, 1.0),
        lambda y: metrics.pit_quantiles(
            y,
            np.tile(counts(1.5, 1.0).ppf(np.arange(1, 500) / 500), (len(y), 1)),
            quantiles=np.arange(1, 500) / 500,
            random_state=0,
        ),
    ),
    "samples": (
        stats.norm(3.0, 2.0),
        lambda y: metrics.pit_samples(y, 3 + 2 * np.random.default_rng(9).normal(size=(*y.shape, 4)), random_state=0),
    ),
    "samples of counts": (
        counts(1.5, 1.0),
        lambda y: metrics.pit_samples(y, counts(1.5, 1.0).rvs((*y.shape, 4), random_state=9), random_state=0),
    ),
}


@pytest.mark.parametrize("name", PITS)
def test_pit_is_uniform_under_the_true_distribution_only(name):
    distribution, pit = PITS[name]
    y = distribution.rvs(3000, random_state=10).astype(float)
    assert stats.kstest(pit(y), "uniform").pvalue > 0.01
    assert stats.kstest(pit(np.round(1.3 * y)), "uniform").pvalue < 1e-6


@pytest.mark.parametrize("name", PITS)
def test_pit_keeps_the_shape_and_nan_of_the_truth(name):
    y = np.array([[1.0, NAN, 2.0], [0.0, 4.0, NAN]])
    pit = PITS[name][1] if name != "quantiles of counts" else PITS["quantiles"][1]
    np.testing.assert_array_equal(np.isnan(pit(y)), np.isnan(y))


def test_pit_of_a_missing_forecast_is_nan():
    assert math.isnan(metrics.pit_normal(1.0, loc=NAN, scale=1.0))
    assert math.isnan(metrics.pit_samples(1.0, [1.0, NAN]))
    assert math.isnan(metrics.pit_quantiles(1.0, [0.0, NAN], quantiles=[0.1, 0.9]))


def test_pit_of_normal_quantiles_is_exact_beyond_the_outer_ones_too():
    y = np.array([-9.0, 1.0, 3.1, 8.0])
    values = metrics.pit_quantiles(y, deciles(y, 3.0, 2.0)[:, ::4], quantiles=DECILES[::4])
    np.testing.assert_allclose(values, stats.norm.cdf(y, 3.0, 2.0), rtol=1e-9)


def test_pit_of_equal_quantiles_is_drawn_between_their_levels():
    forecast, levels = [0.0, 0.0, 0.0, 4.0, 4.0, 9.0], [0.1, 0.2, 0.5, 0.6, 0.8, 0.9]
    y = np.repeat([0.0, 4.0, 9.0, -1.0], 2000)
    drawn = metrics.pit_quantiles(y, np.tile(forecast, (8000, 1)), quantiles=levels, random_state=0).reshape(4, 2000)
    for row, ends in zip(drawn[:2], [(0.0, 0.5), (0.6, 0.8)], strict=True):
        assert stats.kstest(row, "uniform", args=(ends[0], ends[1] - ends[0])).pvalue > 0.01
    np.testing.assert_allclose(drawn[2], 0.9)
    assert (drawn[3] == 0).all()  # below a bound that a tenth of the mass or more lies at


def test_pit_of_quantiles_rises_with_the_truth():
    rng = np.random.default_rng(11)
    forecast = np.sort(rng.choice([0.0, 1.0, 1.5, 2.0, 7.0], (50, 9)), axis=-1)
    y = np.sort(rng.normal(1.5, 2, 40))
    for row in forecast:
        assert (np.diff(metrics.pit_quantiles(y, np.tile(row, (40, 1)), quantiles=DECILES)) >= 0).all()


@pytest.mark.parametrize(("n_inside", "n"), [(0, 5), (3, 5), (45, 50), (50, 50)])
def test_interval_of_independent_values_is_wilsons(n_inside, n):
    actual = np.where(np.arange(n) < n_inside, 0.0, 9.0)
    ends = metrics.coverage_interval(actual, lower=np.full(n, -1.0), upper=np.full(n, 1.0), confidence=0.9)
    np.testing.assert_allclose(ends, proportion_confint(n_inside, n, 0.1, method="wilson"), atol=1e-12)


def test_values_that_repeat_within_a_block_count_once():
    happened = np.repeat(np.random.default_rng(12).random(200) < 0.8, 5).astype(float)
    shrunk = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 199)) ** 2
    assert effective_size(happened[:, None], block=5) == pytest.approx(199 * shrunk)
    assert effective_size(happened.reshape(200, 5, 1), block=1) == pytest.approx(199 * shrunk)
    assert effective_size(happened[:, None]) == 1000


def test_all_inside_counts_each_block_once_and_truth_that_is_missing_not():
    actual = np.zeros(40)
    actual[:10] = NAN
    ends = {"lower": actual - 1, "upper": actual + 1}
    low, high = metrics.coverage_interval(actual, **ends, block=10)
    size = 3 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 2)) ** 2
    np.testing.assert_allclose((low, high), proportion_confint(size, size, method="wilson"), atol=1e-9)
    assert math.isnan(metrics.coverage_interval(actual[:10], lower=ends["lower"][:10], upper=ends["upper"][:10])[0])


def test_interval_of_overlapping_origins_holds_the_coverage_as_often_as_it_says():
    """Forecasts of the sum of the next 12 steps from every step: one row an origin, 12 rows overlap."""
    rng, held = np.random.default_rng(13), {None: 0, 24: 0}
    half = 1.2816 * math.sqrt(12)
    for _ in range(400):
        sums = np.convolve(rng.normal(size=600), np.ones(12), "valid")
        ends = {"lower": np.full(len(sums), -half), "upper": np.full(len(sums), half)}
        for block in held:
            low, high = metrics.coverage_interval(sums, **ends, block=block)
            held[block] += low <= 0.8 <= high
    assert held[24] / 400 > 0.91
    assert held[None] / 400 < 0.7


def test_missing_ends_make_the_interval_nan_and_bad_options_raise():
    y = np.zeros(6)
    assert np.isnan(metrics.coverage_interval(y, lower=y, upper=np.where(y == 0, NAN, y))).all()
    for options, message in [
        ({"confidence": 1.0}, "confidence must lie between 0 and 1"),
        ({"block": 0}, "block must be a number of rows"),
        ({"block": 6}, "block=6 leaves 1 block of 6 rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            metrics.coverage_interval(y, lower=y, upper=y, **options)
