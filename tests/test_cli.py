import subprocess
import sys

import pandas as pd
import pytest

from seqcast.__main__ import main
from seqcast.datasets import load_dataset, make_series

COLUMNS = ["--time", "time", "--target", "y"]
QUICK = ["--horizon", "4", "--models", "naive", "SeasonalNaive"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "y.csv"
    make_series(60, gaps=0.1, random_state=0).rename_axis("time").to_csv(path)
    return path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_help_explains_each_command():
    for command in ([], ["backtest"], ["forecast"]):
        done = subprocess.run([sys.executable, "-m", "seqcast", *command, "--help"], capture_output=True, text=True)
        assert done.returncode == 0
        assert "forecast" in done.stdout
        assert not done.stderr


def test_backtest_prints_a_leaderboard_and_writes_forecasts_and_a_picture(file, tmp_path, capsys):
    output, plot = tmp_path / "f.csv", tmp_path / "f.png"
    assert run("backtest", file, *COLUMNS, *QUICK, "--origins", 3, "--output", output, "--plot", plot) == 0
    printed = capsys.readouterr()
    assert printed.out.split()[:2] == ["MASE", "RMSSE"]
    assert "SeasonalNaive" in printed.out
    assert "backtest" in printed.err
    assert len(pd.read_csv(output)) == 2 * 3 * 4
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_forecast_continues_the_times_of_the_file(file, tmp_path, capsys):
    output = tmp_path / "f.csv"
    assert run("forecast", file, *COLUMNS, *QUICK, "--quantiles", 0.1, 0.9, "--output", output) == 0
    table = pd.read_csv(output, parse_dates=["time"])
    assert table.columns.tolist() == ["model", "time", "forecast", "0.1", "0.9"]
    assert table["time"].tolist() == 2 * list(pd.date_range("2024-01-03 12:00", periods=4, freq="h"))
    assert "SeasonalNaive" in capsys.readouterr().out


def test_forecast_reads_panels_from_parquet(tmp_path):
    path, output = tmp_path / "stocks.parquet", tmp_path / "f.csv"
    load_dataset("stocks").reset_index().to_parquet(path)
    columns = ["--time", "time", "--target", "price", "--series", "series"]
    assert run("forecast", path, *columns, *QUICK, "--output", output, "--plot", tmp_path / "f.png") == 0
    table = pd.read_csv(output)
    assert table.groupby(["model", "series"]).size().tolist() == [4] * 20


def test_integer_steps_stay_integers(tmp_path):
    path, output = tmp_path / "y.csv", tmp_path / "f.csv"
    pd.DataFrame({"time": range(10, 30), "y": range(20)}).to_csv(path)
    assert run("forecast", path, *COLUMNS, *QUICK, "--season", 5, "--output", output) == 0
    assert pd.read_csv(output)["time"].tolist() == 2 * [30, 31, 32, 33]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--target", "z"], "has no column ['z']; it has ['time', 'y']"),
        (["--horizon", "0"], "horizon must be an integer of at least 1, got 0"),
        (["--models", "oracle"], "There is no model 'oracle'. There are: "),
        (["--quantiles", "2"], "2"),
        (["--freq", "fortnight"], "fortnight"),
        (["--time", "y"], "different columns"),
    ],
)
@pytest.mark.parametrize("command", ["backtest", "forecast"])
def test_wrong_input_is_one_clear_line(file, capsys, command, changed, said):
    assert run(command, file, *COLUMNS, *QUICK, *changed) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("seqcast: ")
    assert said in lines[-1]


def rows(*lines):
    return "time,y\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No columns"),
        (rows(), "no rows"),
        (rows("2024-01-01,1", "2024-01-01,2", "2024-01-02,3"), "2024-01-01"),
        (rows("2024-01-01 00:00,1", "2024-01-01 01:00,2", "2024-01-01 01:07,3", "2024-01-01 04:00,3"), "01:0"),
        (rows("2024-01-01,a", "2024-01-02,b", "2024-01-03,c"), "must be numbers"),
        (rows("2024-01-01,1", "2024-01-02,inf", "2024-01-03,1"), "2024-01-02"),
        (rows("2024-01-01,", "2024-01-02,", "2024-01-03,"), "y"),
        (rows("then,1", "now,2"), "then"),
        (rows("2024-01-01 00:00+00:00,1", "2024-01-01 03:00+02:00,2"), "zone"),
    ],
    ids=["empty", "header only", "twice", "irregular", "text", "inf", "all missing", "no times", "mixed zones"],
)
def test_bad_files_are_one_clear_line(tmp_path, capsys, text, said):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert run("forecast", path, *COLUMNS, "--horizon", 2, "--models", "naive") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("seqcast: ")
    assert said in line


def test_a_missing_file_and_a_missing_option_are_one_line(tmp_path, capsys):
    assert run("forecast", tmp_path / "lost.csv", *COLUMNS, *QUICK) == 2
    assert "lost.csv" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run("forecast", tmp_path / "lost.csv")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "--time" in lines[0]
