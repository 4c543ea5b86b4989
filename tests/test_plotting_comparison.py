import numpy as np
import pandas as pd
import pytest
from test_leaderboard import Offset

from seqcast.evaluation import RollingOriginSplit, backtest, friedman, leaderboard, scaled_errors
from seqcast.plotting import plot_critical_difference, plot_errors, plot_leaderboard, plot_loss_difference, plot_skill
from seqcast.plotting._axes import COLORS
from seqcast.plotting.comparison import _joined


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    y = pd.Series(rng.normal(size=120), index=pd.date_range("2024-01-01", periods=120), name="a")
    X = pd.DataFrame({"x": y + rng.normal(scale=0.3, size=120)})
    models = {"far": Offset(3.0), "near": Offset(), "same": Offset(1e-6)}
    return backtest(models, y, X, cv=RollingOriginSplit(4, n_origins=20))


def texts(ax):
    return [text.get_text() for text in ax.texts]


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def test_skill_shows_interval_and_verdict_of_each_model(result):
    board = leaderboard(result, reference="same")
    ax = plot_skill(board)
    assert [text.get_text() for text in ax.get_yticklabels()] == board.sort_values(
        "skill", ascending=False
    ).index.tolist()
    assert texts(ax)[-1] == f"\N{MINUS SIGN}{-100 * board['skill']['far']:.1f}%  worse"
    assert "reference" in texts(ax)
    bars = [drawn for drawn in ax.get_lines() if len(drawn.get_xdata()) == 2 and drawn.get_color() == COLORS[1]]
    assert bars[0].get_xdata() == pytest.approx(board.loc["far", ["skill_lower", "skill_upper"]].tolist())
    assert "20 independent origins" in ax.get_xlabel()
    assert ax.get_lines()[-1].get_zorder() > ax.xaxis.get_zorder()  # the line of no skill is not under the grid


def test_skill_without_a_reference_is_refused(result):
    with pytest.raises(ValueError, match="give leaderboard"):
        plot_skill(leaderboard(result))


def test_skill_is_drawn_where_there_is_no_interval(result):
    board = leaderboard(result, reference="same")
    board.loc["far", ["skill_lower", "skill_upper"]] = np.nan
    board.loc["far", "verdict"] = "too few independent origins"
    assert texts(plot_skill(board))[-1].endswith("too few independent origins")


def test_ranks_within_the_critical_difference_are_joined():
    assert _joined(np.array([1.0, 1.5, 2.2, 4.0]), 1.0) == [(1.0, 1.5), (1.5, 2.2)]
    assert _joined(np.array([1.0, 2.5]), 1.0) == []


def test_critical_difference_names_all_models_with_their_ranks():
    losses = pd.DataFrame(np.random.default_rng(0).normal(size=(15, 3)) + np.array([0, 1, 5]), columns=["a", "b", "c"])
    ranks = friedman(losses, independent=True)
    ax = plot_critical_difference(ranks)
    assert set(texts(ax)) >= {f"a  {ranks.mean_ranks['a']:.2f}", f"{ranks.mean_ranks['c']:.2f}  c"}
    assert f"critical difference {ranks.critical_difference:.2f}" in texts(ax)


@pytest.mark.parametrize("by", ["step", "origin"])
def test_errors_are_lines_of_the_scaled_errors(result, by):
    ax = plot_errors(result, by=by, models=["far", "near"])
    assert labels(ax) == ["far", "near"]
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), scaled_errors(result, by=by)["far"])
    assert ax.get_ylim()[0] == 0


def test_loss_difference_rises_where_the_model_wins(result):
    errors = scaled_errors(result)
    ax = plot_loss_difference(result, "near", "far")
    np.testing.assert_allclose(np.diff(ax.get_lines()[0].get_ydata()), (errors["far"] - errors["near"]).iloc[1:])
    assert labels(ax)[0].startswith("near over far: better (p = ")


def test_models_that_are_not_there_are_named(result):
    with pytest.raises(ValueError, match=r"\['odd'\] not in the result"):
        plot_errors(result, models=["near", "odd"])
    with pytest.raises(ValueError, match=r"\['odd'\] not in the result"):
        plot_loss_difference(result, "odd", "near")


def test_bars_of_a_compared_board_can_be_drawn(result):
    assert plot_leaderboard(leaderboard(result, reference="same"), metric="skill").yaxis_inverted()
