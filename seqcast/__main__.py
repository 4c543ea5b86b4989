"""The command line: ``python -m seqcast backtest FILE ...`` and ``python -m seqcast forecast FILE ...``."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

import seqcast
from seqcast import plotting
from seqcast.evaluation import RollingOriginSplit, backtest, leaderboard

__all__ = ["main"]

_DEFAULT_MODELS = ["LSTM", "Ridge", "ETS", "SeasonalNaive", "Naive"]
_NOT_BY_NAME = (
    "BaseForecaster",
    "SeriesForecaster",
    "ConformalForecaster",
    "EnsembleForecaster",
    "RegressionForecaster",
)
_EPILOG = """\
FILE has one row a time (and series), columns by name; empty cells are missing readings, and so are missing rows.

  python -m seqcast backtest sales.csv --time date --target units --series shop --horizon 28 --models LSTM ETS Naive
  python -m seqcast forecast sales.csv --time date --target units --series shop --horizon 28 --output forecasts.csv

The table goes to stdout, progress and warnings to stderr. Exit code 2: the input is wrong, and one line says why.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit code: 0, or 2 where the input is wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            table = options.run(options)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"seqcast: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"seqcast: warning: {message}", file=sys.stderr)
    print(table)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"seqcast: {message}; {self.prog} --help explains.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m seqcast",
        description="Forecast time series in a CSV or Parquet file, by themselves: other columns are not read.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    shared: dict[str, Any] = {"epilog": _EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
    compare = commands.add_parser("backtest", help="compare models on the past, print a leaderboard", **shared)
    ahead = commands.add_parser("forecast", help="forecast the steps after the end of the file", **shared)
    for command in (compare, ahead):
        command.add_argument("file", type=Path, metavar="FILE", help="CSV or Parquet")
        command.add_argument(
            "--time",
            required=True,
            metavar="COLUMN",
            help="column of the times, or integer steps; with times that come twice give --series too",
        )
        command.add_argument("--target", required=True, metavar="COLUMN", help="column to forecast")
        command.add_argument("--series", metavar="COLUMN", help="column that says which series a row belongs to")
        command.add_argument("--horizon", required=True, type=int, metavar="N", help="steps to forecast")
        command.add_argument(
            "--models", nargs="+", default=_DEFAULT_MODELS, metavar="NAME", help=f"any of: {', '.join(_model_names())}"
        )
        command.add_argument("--freq", help="frequency of the times as pandas spells it; inferred by default")
        command.add_argument("--season", type=int, metavar="N", help="steps of a season; from the frequency by default")
        command.add_argument("--quantiles", nargs="+", type=float, metavar="Q", help="levels between 0 and 1")
        command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the networks (default: 0)")
        command.add_argument("--output", type=Path, metavar="CSV", help="write the forecasts here")
        command.add_argument("--plot", type=Path, metavar="PNG", help="draw the forecasts here")
    compare.add_argument("--origins", type=int, default=5, metavar="N", help="forecasts to score (default: 5)")
    compare.add_argument("--step", type=int, metavar="N", help="steps from origin to origin (default: the horizon)")
    compare.add_argument("--refit", action="store_true", help="fit at every origin instead of once")
    compare.set_defaults(run=_backtest)
    ahead.set_defaults(run=_forecast)
    return parser


def _model_names() -> list[str]:
    names = [name for name in seqcast.__all__ if hasattr(getattr(seqcast, name, None), "_forecast_panel")]
    return [name.removesuffix("Forecaster") for name in names if name not in _NOT_BY_NAME]


def _models(options: argparse.Namespace) -> dict[str, Any]:
    """Make the forecasters that the user named, in any case."""
    known = {name.lower(): name for name in _model_names()}
    models = {}
    for name in options.models:
        if name.lower() not in known:
            raise ValueError(f"There is no model {name!r}. There are: {', '.join(known.values())}.")
        name = known[name.lower()]
        cls = getattr(seqcast, name if name in seqcast.__all__ else f"{name}Forecaster")
        season = "auto" if options.season is None else options.season
        models[name] = cls(horizon=options.horizon, season_length=season, freq=options.freq)
        if "random_state" in models[name].get_params():
            models[name].set_params(random_state=options.seed)
    return models


def _read(options: argparse.Namespace) -> pd.Series:
    """Return the series, or the panel, in the file."""
    is_parquet = options.file.suffix in (".parquet", ".pq")
    frame = pd.read_parquet(options.file) if is_parquet else pd.read_csv(options.file)
    columns = [name for name in (options.series, options.time, options.target) if name is not None]
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ValueError(f"{options.file} has no column {missing}; it has {list(frame.columns)}.")
    if frame.empty:
        raise ValueError(f"{options.file} has a header but no rows.")
    if len(set(columns)) < len(columns):
        raise ValueError(f"--time, --target and --series must name different columns, got {columns}.")
    if not pd.api.types.is_integer_dtype(frame[options.time]):
        try:
            frame[options.time] = pd.to_datetime(frame[options.time])
        except ValueError as error:
            raise ValueError(
                f"The times in column {options.time!r} of {options.file} cannot be read: {error} "
                "Write all in one form, such as 2024-01-31 18:00, and in one zone."
            ) from error
    return frame.set_index(columns[:-1])[options.target].sort_index()


def _backtest(options: argparse.Namespace) -> str:
    cv = RollingOriginSplit(options.horizon, n_origins=options.origins, step=options.step)
    result = backtest(
        _models(options), _read(options), cv=cv, refit=options.refit, quantiles=options.quantiles, verbose=True
    )
    if options.output is not None:
        result.forecasts.to_csv(options.output, index=False)
    if options.plot is not None:
        figure = Figure(figsize=(9, 4), layout="constrained")
        plotting.plot_backtest(result, ax=figure.subplots())
        figure.savefig(options.plot, dpi=150)
    return leaderboard(result).to_string()


def _forecast(options: argparse.Namespace) -> str:
    y = _read(options)
    points, spreads = {}, {}
    for name, model in tqdm(_models(options).items(), desc="forecast", unit="model", leave=False, disable=None):
        points[name] = model.fit(y).forecast().rename("forecast")
        if options.quantiles is not None:
            spreads[name] = model.forecast(quantiles=options.quantiles)
    table = pd.concat(points, names=["model"]).to_frame()
    if spreads:
        table = table.join(pd.concat(spreads, names=["model"]))
    table = table.reset_index()
    if options.output is not None:
        table.to_csv(options.output, index=False)
    if options.plot is not None:
        figure = Figure(figsize=(9, 3 * len(points)), layout="constrained")
        for ax, name in zip(figure.subplots(len(points), squeeze=False).flat, points, strict=True):
            plotting.plot_forecast(y, spreads.get(name, points[name]), ax=ax).set_title(name, loc="right")
        figure.savefig(options.plot, dpi=150)
    return table.to_string(index=False)


if __name__ == "__main__":
    raise SystemExit(main())
