"""Data to try things on: real ones that the dependencies ship, public files, and series with known answers."""

import hashlib
import os
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.cbook
import numpy as np
import pandas as pd
from statsmodels.datasets import co2, elnino, macrodata, nile, sunspots

from seqcast.exceptions import CorruptFileError

__all__ = ["list_datasets", "load_dataset", "make_series"]

_ROOT = Path(__file__).parent
_CARDS = _ROOT / "_cards" if (_ROOT / "_cards").is_dir() else _ROOT.parent / "datasets"  # a wheel, or a checkout
_RUN = 5  # steps of one gap in make_series


def list_datasets() -> pd.DataFrame:
    """Return what there is: one row a data set.

    Returns
    -------
    DataFrame
        Index: the names for `load_dataset`. Columns: ``what``, ``kind`` (Series, frame or panel), ``frequency``,
        ``unit``, ``licence``, ``source``, ``splits`` (a dict: of rows, or of the steps at the end that are the test),
        and ``ready`` (False where a file must be downloaded first).

    Examples
    --------
    >>> list_datasets().loc["co2", ["kind", "frequency", "unit"]].tolist()
    ['Series', 'W-SAT', 'ppm']
    """
    columns = ["what", "kind", "frequency", "unit", "licence", "source", "splits"]
    table = pd.DataFrame(
        {name: [card.get(column) for column in columns] for name, card in _cards().items()}, index=columns
    ).T.rename_axis("name")
    folder = _folder(None)
    table["ready"] = [
        "files" not in card or (folder is not None and all((folder / file).is_file() for file in card["files"]))
        for card in _cards().values()
    ]
    return table


def load_dataset(name: str, *, folder: str | Path | None = None) -> pd.Series | pd.DataFrame:
    """Return a data set by name.

    Parameters
    ----------
    name : str
        One of ``list_datasets().index``.
    folder : str or Path, optional
        Where the downloaded files of a public data set lie; by default the folder that the environment variable
        ``SEQCAST_DATA`` names. Not needed for those that the dependencies ship.

    Returns
    -------
    Series or DataFrame
        A Series, a frame of columns with the same times, or a panel: a Series with a two-level index (series, time).

    Raises
    ------
    ValueError
        If there is no such name.
    FileNotFoundError
        If a file has to be downloaded first; the message says from where.
    CorruptFileError
        If a file is not the original.

    Examples
    --------
    >>> co2 = load_dataset("co2")
    >>> co2.index.freqstr, int(co2.isna().sum())
    ('W-SAT', 59)
    """
    cards = _cards()
    if name not in cards:
        raise ValueError(f"There is no data set {name!r}. There are: {', '.join(cards)}.")
    card = cards[name]
    if name in _SHIPPED:
        return _SHIPPED[name]()
    files = [_checked(name, card, file, digest, folder) for file, digest in card["files"].items()]
    return _READERS[card["read"]["format"]](files, card["read"])


def make_series(
    n: int = 500,
    *,
    trend: float = 0.0,
    seasons: tuple[tuple[float, float], ...] = ((24, 1.0),),
    noise: float = 0.1,
    level_shifts: tuple[tuple[int, float], ...] = (),
    gaps: float = 0.0,
    freq: str = "h",
    random_state: int | None = None,
) -> pd.Series:
    r"""Return a series with a known answer.

    Parameters
    ----------
    n : int
        Steps.
    trend : float
        Rise a step.
    seasons : tuple of (period, amplitude)
        Sine waves.
    noise : float
        Standard deviation of the Gaussian noise.
    level_shifts : tuple of (step, size)
        From this step on, the level is higher by this much.
    gaps : float
        Share of the steps that are NaN, in runs of about five; the first and the last step are kept.
    freq : str
        Frequency of the index, which starts with 2024.
    random_state : int, optional
        Seed of the noise and the gaps.

    Returns
    -------
    Series of length n

    Notes
    -----
    .. math:: y_t = \beta t + \sum_k a_k \sin(2 \pi t / p_k) + \sum_j s_j [t \ge t_j] + \sigma \epsilon_t

    With ``noise=0`` and ``gaps=0`` the same call gives the truth.

    Examples
    --------
    >>> truth = make_series(48, trend=0.5, seasons=(), noise=0)
    >>> truth.iloc[[0, 1, 47]].tolist()
    [0.0, 0.5, 23.5]
    >>> y = make_series(48, trend=0.5, seasons=(), noise=1.0, gaps=0.2, random_state=0)
    >>> y.index.equals(truth.index)
    True
    """
    if n < 1 or noise < 0 or not 0 <= gaps < 1:
        raise ValueError(f"make_series needs n >= 1, noise >= 0 and 0 <= gaps < 1, got {n=}, {noise=}, {gaps=}.")
    rng = np.random.default_rng(random_state)
    t = np.arange(n, dtype=float)
    y = trend * t + noise * rng.standard_normal(n)
    for period, amplitude in seasons:
        y += amplitude * np.sin(2 * np.pi * t / period)
    for step, size in level_shifts:
        y[step:] += size
    masked = np.repeat(rng.random(n // _RUN + 1) < gaps, _RUN)[:n]
    masked[[0, -1]] = False
    return pd.Series(np.where(masked, np.nan, y), index=pd.date_range("2024", periods=n, freq=freq), name="y")


@cache
def _cards() -> dict[str, dict[str, Any]]:
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(_CARDS.glob("*.toml"))}


def _folder(folder: str | Path | None) -> Path | None:
    found = folder or os.environ.get("SEQCAST_DATA")
    return Path(found) if found else None


def _checked(name: str, card: Mapping[str, Any], file: str, digest: str, folder: str | Path | None) -> Path:
    """Return the path of a public file that is there and unaltered."""
    place = _folder(folder)
    if place is None or not (place / file).is_file():
        raise FileNotFoundError(
            f"The data set {name!r} needs the file {file}, which is not {f'in {place}' if place else 'here'}. "
            f"Get it from {card['source']}, and name its folder: load_dataset({name!r}, folder=...), "
            "or SEQCAST_DATA in the environment."
        )
    found = hashlib.sha256((place / file).read_bytes()).hexdigest()
    if found != digest:
        raise CorruptFileError(
            f"{place / file} is not the original: its sha256 is {found[:12]}..., not {digest[:12]}.... "
            f"Get it again from {card['source']}."
        )
    return place / file


def _co2() -> pd.Series:
    return co2.load_pandas().data["co2"].rename_axis("time")


def _stocks() -> pd.Series:
    """Read the prices at month starts; the other rows are dividend days without a price and one last stray day."""
    path = matplotlib.cbook.get_sample_data("Stocks.csv", asfileobj=False)
    wide = pd.read_csv(path, comment="#", index_col="Date", parse_dates=True)
    wide = wide[wide.index.day == 1]
    return wide.unstack().dropna().rename_axis(["series", "time"]).rename("price")


def _google() -> pd.Series:
    days = np.load(matplotlib.cbook.get_sample_data("goog.npz", asfileobj=False))["price_data"]
    index = pd.DatetimeIndex(days["date"].astype("M8[s]"), name="time")
    return pd.Series(days["adj_close"], index=index, name="google").asfreq("B")


def _sunspots() -> pd.Series:
    return _regular(sunspots.load_pandas().data["SUNACTIVITY"], "1700", "YS", "sunspots")


def _nile() -> pd.Series:
    return _regular(nile.load_pandas().data["volume"], "1871", "YS", "nile")


def _elnino() -> pd.Series:
    years = elnino.load_pandas().data.drop(columns="YEAR")  # one row a year, one column a month
    return _regular(years.stack(), "1950", "MS", "elnino")


def _macrodata() -> pd.DataFrame:
    frame = macrodata.load_pandas().data.drop(columns=["year", "quarter"])
    return frame.set_index(pd.period_range("1959Q1", periods=len(frame), freq="Q", name="time"))


def _regular(values: pd.Series, start: str, freq: str, name: str) -> pd.Series:
    index = pd.date_range(start, periods=len(values), freq=freq, name="time")
    return pd.Series(values.to_numpy(dtype=float), index=index, name=name)


def _read_csv(files: list[Path], how: Mapping[str, Any]) -> pd.DataFrame | pd.Series:
    """Read columns of the same times; `how` is the table ``read`` of a card."""
    times = how.get("time", [])
    names = how.get("names")
    frame = pd.read_csv(
        files[0],
        header=None if names else 0,
        names=names,
        dtype=dict.fromkeys(times, str),
        na_values=how.get("missing"),
    ).rename(columns=str.strip)
    if times:
        text = frame[times[0]].str.cat([frame[name] for name in times[1:]], sep=" ")
        frame.index = pd.DatetimeIndex(pd.to_datetime(text, format=how["time_format"]), name="time")
    frame = frame.drop(columns=[*times, *how.get("drop", [])])
    frame = frame.astype(dict.fromkeys(frame.columns, float) | dict.fromkeys(how.get("categories", []), "category"))
    return frame[how["series"]] if "series" in how else frame


def _read_m4(files: list[Path], how: Mapping[str, Any]) -> pd.Series:
    """Join the training and test parts of the M4 competition; times are counted from 1, since the files have none."""
    parts = [pd.read_csv(file, index_col=0).stack().dropna().droplevel(1) for file in files]
    joined = pd.concat(parts)
    joined = joined.iloc[np.argsort(pd.factorize(joined.index)[0], kind="stable")]
    steps = joined.groupby(level=0, sort=False).cumcount() + 1
    joined.index = pd.MultiIndex.from_arrays([joined.index, steps], names=["series", "time"])
    return joined.rename("y")


def _read_tsf(files: list[Path], how: Mapping[str, Any]) -> pd.Series:
    """Read the format of the Monash archive: name:start:value,value,... in each line after @data."""
    series = {}
    for line in files[0].read_text(encoding="latin-1").partition("@data\n")[2].splitlines():
        name, start, text = line.split(":")
        values = np.array(text.split(","), dtype=float)
        series[name] = pd.Series(values, index=pd.date_range(start[:10], periods=len(values), freq=how["frequency"]))
    return pd.concat(series, names=["series", "time"]).rename("y")


_SHIPPED: dict[str, Callable[[], pd.Series | pd.DataFrame]] = {
    "co2": _co2,
    "elnino": _elnino,
    "google": _google,
    "macrodata": _macrodata,
    "nile": _nile,
    "stocks": _stocks,
    "sunspots": _sunspots,
}
_READERS = {"csv": _read_csv, "m4": _read_m4, "tsf": _read_tsf}
