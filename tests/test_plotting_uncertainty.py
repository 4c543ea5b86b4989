import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqcast import Naive, SeasonalNaive, metrics
from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.plotting import plot_calibration, plot_fan, plot_paths, plot_pit

DAYS = pd.date_range("2024-01-01", periods=30)
INDEXES = [
    DAYS,
    DAYS.tz_localize("Europe/Berlin"),
    pd.period_range("2020-01", periods=30, freq="M"),
    pd.RangeIndex(5, 35),
]
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
Y = pd.Series(np.arange(30.0), index=DAYS, name="a")
SHAPES = ["wide", "panel"]


def quantiles(point):
    return pd.DataFrame({level: point + level - 0.5 for level in LEVELS})


def paths(point, n=40, seed=0):
    noise = np.random.default_rng(seed).normal(size=(len(point), n))
    return pd.DataFrame(point.to_numpy()[:, None] + noise, index=point.index, columns=pd.RangeIndex(n, name="path"))


def joined(parts, shape):
    return pd.concat(parts, axis=1 if shape == "wide" else 0)


def line(ax, label):
    (found,) = [drawn for drawn in ax.get_lines() if drawn.get_label() == label]
    return found


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def reach_of(band):
    """Return the lowest and highest y of a band at its last x."""
    points = band.get_paths()[0].vertices
    last = points[points[:, 0] == points[:, 0].max(), 1]
    return last.min(), last.max()


@pytest.mark.parametrize("index", INDEXES)
def test_fan_shades_pairs_of_quantiles_from_the_outside_and_draws_the_median(index):
    y = Y.set_axis(index)
    ax = plot_fan(y[:-5], quantiles(y[-5:]), actual=y, n_history=7)
    assert labels(ax) == ["history", "90 % interval", "50 % interval", "median", "actual"]
    assert line(ax, "history").get_ydata().tolist() == y[-12:-5].tolist()
    assert line(ax, "median").get_ydata().tolist() == y[-5:].tolist()
    np.testing.assert_allclose([reach_of(band) for band in ax.collections], [(28.55, 29.45), (28.75, 29.25)])
    shades = [band.get_facecolor()[0, 0] for band in ax.collections]
    assert shades[0] > shades[1]  # the outer one is lighter


def test_fan_without_the_median_draws_no_line_for_it():
    ax = plot_fan(Y[:-5], quantiles(Y[-5:])[[0.05, 0.95]])
    assert labels(ax) == ["history", "90 % interval"]


@pytest.mark.parametrize("shape", SHAPES)
def test_fan_and_paths_of_one_of_several_series(shape):
    history = joined({"a": Y[:-5], "b": 10 * Y[:-5]}, shape)
    for draw, ahead in ((plot_fan, quantiles), (plot_paths, paths)):
        forecast = joined({"a": ahead(Y[-5:]), "b": ahead(10 * Y[-5:])}, shape)
        ax = draw(history, forecast, series="b")
        assert ax.get_ylabel() == "b"
        assert line(ax, "history").get_ydata()[-1] == 240.0
        assert line(ax, "median").get_ydata()[-1] == pytest.approx(290.0, abs=1)
        assert draw(history, forecast).get_ylabel() == "a"
        with pytest.raises(ValueError, match="series='c' is not among"):
            draw(history, forecast, series="c")


@pytest.mark.parametrize(
    "forecast", [Y[-5:], quantiles(Y[-5:])[[0.5]], pd.DataFrame({"lower": Y[-5:], "forecast": Y[-5:], "upper": Y[-5:]})]
)
def test_fan_of_anything_but_quantiles_is_refused(forecast):
    with pytest.raises(ValueError, match="plot_fan needs two quantiles or more"):
        plot_fan(Y[:-5], forecast)


def test_paths_show_some_lines_and_median_and_band_of_all():
    scenarios = paths(Y[-5:])
    ax = plot_paths(Y[:-5], scenarios, n_paths=3, interval=0.5, actual=Y)
    assert labels(ax) == ["history", "50 % of the paths", "3 of 40 paths", "median", "actual"]
    thin = [drawn for drawn in ax.get_lines() if drawn.get_color() == line(ax, "3 of 40 paths").get_color()]
    np.testing.assert_array_equal([drawn.get_ydata() for drawn in thin], scenarios.iloc[:, :3].to_numpy().T)
    np.testing.assert_allclose(line(ax, "median").get_ydata(), scenarios.median(axis=1))
    np.testing.assert_allclose(reach_of(ax.collections[0]), scenarios.iloc[-1].quantile([0.25, 0.75]))
    assert ax.get_ylabel() == "a"


def test_paths_as_sample_gives_them_are_drawn():
    model = SeasonalNaive(horizon=5, season_length=7).fit(Y[:-5])
    assert labels(plot_paths(Y[:-5], model.sample(10, random_state=0)))[2] == "10 of 10 paths"
    wide = pd.DataFrame({"a": Y, "b": 2 * Y})
    made = SeasonalNaive(horizon=5, season_length=7).fit(wide).sample(10, random_state=0)
    assert plot_paths(wide, made, series="b").get_ylabel() == "b"


@pytest.mark.parametrize("interval", [0, 1, 80])
def test_paths_refuse_an_interval_that_is_no_share(interval):
    with pytest.raises(ValueError, match="interval must lie between 0 and 1"):
        plot_paths(Y[:-5], paths(Y[-5:]), interval=interval)


def result(n_origins=60, step=1, horizon=1, n=100, **changes):
    """Return the backtest of a right model and of one whose quantiles are half as wide."""
    y = pd.Series(np.random.default_rng(1).normal(size=n), index=pd.date_range("2024-01-01", periods=n))
    y.iloc[-3] = np.nan
    cv = RollingOriginSplit(horizon, n_origins=n_origins, step=step)
    made = backtest({"right": Naive(horizon=horizon), "narrow": Naive(horizon=horizon)}, y, cv=cv, quantiles=LEVELS)
    for level in LEVELS:
        z = stats.norm.ppf(level)
        made.forecasts[level] = np.where(made.forecasts["model"] == "right", z, z / 2)
    return made


def test_calibration_draws_the_share_below_each_quantile():
    made = result()
    ax = plot_calibration(made)
    assert labels(ax) == ["95 % band", "right", "narrow"]
    for name in ("right", "narrow"):
        rows = made.forecasts[(made.forecasts["model"] == name) & made.forecasts["actual"].notna()]
        assert line(ax, name).get_xdata().tolist() == LEVELS
        expected = [(rows["actual"] <= rows[level]).mean() for level in LEVELS]
        np.testing.assert_allclose(line(ax, name).get_ydata(), expected)
    assert labels(plot_calibration(made, models=["narrow"], confidence=0.5)) == ["50 % band", "narrow"]


def test_calibration_band_holds_a_right_model_and_not_a_wrong_one():
    ax = plot_calibration(result(n=1100, n_origins=1000))
    for name, drawn, inside in (("right", 0, True), ("narrow", 1, False)):
        vertices = ax.collections[drawn].get_paths()[0]
        points = line(ax, name).get_xydata()[[0, 1, 3, 4]]  # the median is right in both
        assert vertices.contains_points(points).tolist() == [inside] * 4


def test_calibration_band_of_independent_values_is_the_binomials():
    made = result(n=500, n_origins=400)
    (band,) = plot_calibration(made, models=["right"], confidence=0.9).collections
    points = band.get_paths()[0].vertices
    highest = points[np.isclose(points[:, 0], 0.5), 1].max()
    assert highest == pytest.approx(0.5 + 1.645 * 0.5 / np.sqrt(399), rel=0.03)  # the size is an estimate


def test_without_two_origins_apart_there_is_no_band():
    made = result(n_origins=4, step=2, horizon=10)
    assert labels(plot_calibration(made)) == ["right", "narrow"]
    assert labels(plot_pit(made)) == ["right"]


def test_origins_that_overlap_make_the_band_wider():
    """Ten steps from every step tell hardly more than one step from every step, though there are ten times as many."""
    reach = {}
    for horizon in (1, 10):
        (band,) = plot_calibration(result(n=500, n_origins=400, horizon=horizon), models=["right"]).collections
        reach[horizon] = band.get_paths()[0].vertices[:, 1][np.isclose(band.get_paths()[0].vertices[:, 0], 0.5)].max()
    assert reach[10] - 0.5 > 0.7 * (reach[1] - 0.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": ["wide"]}, r"models=\['wide'\] is no list of models of the result"),
        ({"models": "right"}, "models='right' is no list"),
        ({"models": []}, r"models=\[\] is no list"),
        ({"confidence": 2}, "confidence must lie between 0 and 1"),
    ],
)
def test_calibration_names_what_it_does_not_know(changed, message):
    with pytest.raises(ValueError, match=message):
        plot_calibration(result(), **changed)


def test_pictures_say_that_they_need_pandas_and_paths():
    model = SeasonalNaive(horizon=5, season_length=7).fit(Y.to_numpy())
    for draw, answer in ((plot_fan, model.forecast(quantiles=[0.1, 0.9])), (plot_paths, model.sample(5))):
        with pytest.raises(TypeError, match="need pandas objects, got ndarray"):
            draw(Y.to_numpy(), answer)
    model.fit(Y)
    for answer in (model.forecast(), model.forecast(quantiles=[0.1, 0.9])):
        with pytest.raises(ValueError, match="plot_paths needs paths"):
            plot_paths(Y, answer)
    with pytest.raises(ValueError, match="n_paths must be"):
        plot_paths(Y, model.sample(5), n_paths=-1)


def test_models_without_quantiles_are_left_out_unless_asked_for():
    made = result()
    made.forecasts.loc[made.forecasts["model"] == "right", LEVELS] = np.nan
    assert labels(plot_calibration(made)) == ["95 % band", "narrow"]
    with pytest.raises(ValueError, match="'right' has quantiles for 0 of 59 known values"):
        plot_calibration(made, models=["right"])
    made.forecasts.loc[made.forecasts.index[-9], 0.5] = np.nan
    with pytest.raises(ValueError, match="'narrow' has quantiles for 58 of 59"):
        plot_pit(made)


def test_a_result_without_quantiles_says_how_to_get_them():
    made = backtest({"naive": Naive(horizon=1)}, Y, cv=RollingOriginSplit(1, n_origins=3))
    for draw in (plot_calibration, plot_pit):
        with pytest.raises(ValueError, match=r"Ask for some: backtest\(..., quantiles="):
            draw(made)


def heights(ax):
    return [bar.get_height() for bar in ax.containers[0]]


def test_pit_bars_are_densities_and_the_band_is_the_binomials():
    ax = plot_pit([0.0, 0.1, 0.3, 0.30001, np.nan, 0.9, 1.0, 0.55, 0.45], n_bins=4)
    assert heights(ax) == [1.0, 1.5, 0.5, 1.0]
    band = next(patch for patch in ax.patches if patch.get_label() == "95 % band")
    assert band.get_y() == 0.0
    assert band.get_y() + band.get_height() == pytest.approx(1 + 1.96 * np.sqrt(3 / 8), rel=1e-3)


def test_pit_of_a_result_is_that_of_its_quantiles():
    made = result()
    ax = plot_pit(made, model="narrow", n_bins=5)
    rows = made.forecasts[made.forecasts["model"] == "narrow"]
    pit = metrics.pit_quantiles(rows["actual"], rows[LEVELS], quantiles=LEVELS)
    counts = np.histogram(pit[~np.isnan(pit)], bins=5, range=(0, 1))[0]
    np.testing.assert_allclose(heights(ax), 5 * counts / counts.sum())
    assert labels(ax) == ["95 % band", "narrow"]


def test_pit_values_that_repeat_in_blocks_widen_the_band():
    values = np.repeat(np.random.default_rng(2).uniform(size=100), 10)
    bands = [plot_pit(values, block=block).patches[-1].get_height() for block in (None, 10)]
    assert bands[1] == pytest.approx(bands[0] * np.sqrt(10), rel=0.05)


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.5, 1.2], [-0.1]])
def test_pit_refuses_what_are_no_pit_values(values):
    with pytest.raises(ValueError, match="PIT values from 0 to 1"):
        plot_pit(values)
