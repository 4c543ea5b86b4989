"""check_no_lookahead: change what lies after an origin, and see whether a forecast made there moves."""

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from seqcast._parameters import check_count
from seqcast.evaluation.folds import take_rows
from seqcast.evaluation.perturbation import VARIANTS, perturbed
from seqcast.evaluation.pipelines import final_forecaster, holds_forecaster
from seqcast.evaluation.tracing import leaking_step, mirrors, same
from seqcast.exceptions import LeakageError, LeakageWarning, ShortSeriesError
from seqcast.panel import Floats

__all__ = ["Leak", "LeakageReport", "check_no_lookahead"]

Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Leak:
    """A column of the data whose future values changed a forecast.

    Parameters
    ----------
    step : str
        Where they came in: "prepare", or the name of a step of the pipeline.
    columns : tuple
        Columns of the data as they were given; several only where none leaks alone.
    origin : object
        Time of the forecast that moved.
    reason : str
        What was seen.
    """

    step: str
    columns: tuple[Hashable, ...]
    origin: Any
    reason: str

    def __str__(self) -> str:
        return f"step {self.step!r}, column {', '.join(map(repr, self.columns))}: {self.reason} (origin {self.origin})"


@dataclass(frozen=True)
class LeakageReport:
    """What `check_no_lookahead` tried and found.

    Parameters
    ----------
    leaks : tuple of Leak
        Empty if no forecast moved.
    origins : tuple
        Times from which forecasts were made.
    horizon : int
        Steps of each.
    """

    leaks: tuple[Leak, ...]
    origins: tuple[Any, ...]
    horizon: int

    def __str__(self) -> str:
        count = "1 leak" if len(self.leaks) == 1 else f"{len(self.leaks)} leaks"
        text = f"{count} in forecasts of {self.horizon} steps from {len(self.origins)} origins"
        return "\n".join([text + (":" if self.leaks else "."), *map(str, self.leaks)])


def check_no_lookahead(
    pipeline: Any,
    X: Any,
    y: Any,
    *,
    known_features: Sequence[Hashable] = (),
    prepare: Callable[[pd.DataFrame], tuple[Any, Any]] | None = None,
    horizon: int | None = None,
    n_origins: int = 3,
    on_fail: str | None = "raise",
) -> LeakageReport:
    """Raise if a forecast depends on anything that was not known when it was made.

    Parameters
    ----------
    pipeline : estimator
        Anything with ``fit(X, y)`` and ``predict(X)``. It is cloned; where `random_state` is None the clone gets 0.
    X : DataFrame or array, optional
        Covariates, with the rows of `y`; None if there are none.
    y : Series, DataFrame or array
        Series, wide frame or (series, time) panel.
    known_features : sequence, default=()
        Columns of `X`, of arrays their numbers, that are known `horizon` steps ahead, such as the calendar or a weather
        forecast.
    prepare : callable, optional
        ``prepare(frame) -> X, y``: what is done before the pipeline. It gets `X` and `y` side by side in one frame, the
        target under its name, as a copy; times it drops or adds are told by the index.
    horizon : int, optional
        Times that are forecast; by default those of the forecaster in the pipeline, else 1.
    n_origins : int, default=3
        Origins to try, beside those at the beginning of each column's longest gap.
    on_fail : {"raise", "warn"} or None, default="raise"
        Whether leaks raise a `LeakageError`, give a `LeakageWarning`, or are only in the report.

    Returns
    -------
    LeakageReport

    Raises
    ------
    LeakageError
        If a forecast moved: the steps and the columns that leaked.
    ValueError
        If the series are too short, or two equal fits give different forecasts.

    Notes
    -----
    At each origin the pipeline is fitted on the rows up to it, and predicts up to twice the horizon that follows; the
    first `horizon` times count. Then, before `prepare`, `y` and the columns of `X` get other values after the origin,
    those in `known_features` after origin + horizon, and the forecasts must stay the same up to rounding: with two
    kinds of other values, of all columns and of each alone. Training rows that `prepare` makes of later values are a
    leak also where this model's forecasts do not feel them, unless it does not read the column.

    A known column that is the target itself, in another unit or moved by less than the horizon, is found by its
    correlation with it (of the differences above 0.999, or of the ranks above 0.9999), unless an earlier part of the
    target explains it as well: periods and trends do. What a step learned before it came into the pipeline cannot be
    seen: its fit belongs in `prepare`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> times = pd.date_range("2024-01-01", periods=60, name="day")
    >>> y = pd.Series(np.random.default_rng(0).normal(size=60), index=times, name="load")
    >>> print(check_no_lookahead(Ridge(), pd.DataFrame({"hour": np.arange(60.0)}, times), y, known_features=["hour"]))
    0 leaks in forecasts of 1 steps from 3 origins.
    >>> check_no_lookahead(Ridge(), pd.DataFrame({"level": y.shift(-1).ffill()}), y)
    Traceback (most recent call last):
    seqcast.exceptions.LeakageError: 1 leak in forecasts of 1 steps from 3 origins:
    step 'Ridge', column 'level': reads values after the origin (origin 2024-01-31 00:00:00)
    """
    if on_fail not in ("raise", "warn", None):
        raise ValueError(f"on_fail must be 'raise', 'warn' or None, got {on_fail!r}.")
    audit = _audit(pipeline, X, y, known_features, prepare, horizon)
    origins = audit.origins(check_count("n_origins", n_origins))
    leaks: list[Leak] = []
    for origin in origins:
        leaks += audit.leaks_at(origin, {column for leak in leaks for column in leak.columns})
    report = LeakageReport(tuple(leaks), tuple(origins), audit.horizon)
    if leaks and on_fail == "raise":
        raise LeakageError(str(report))
    if leaks and on_fail == "warn":
        warnings.warn(str(report), LeakageWarning, stacklevel=2)
    return report


@dataclass(frozen=True)
class _Run:
    """A fit on the rows up to an origin, and the forecasts made there."""

    fitted: Any
    X: Any  # as prepared, all rows
    y: Any
    past: Rows  # up to the origin
    batch: Rows  # after it, up to twice the horizon
    is_first: Rows  # those of the batch within the horizon
    forecast: Floats  # (n_first, n_columns)


@dataclass(frozen=True)
class _Audit:
    pipeline: Any
    frame: pd.DataFrame  # covariates and targets, before `prepare`
    is_target: Rows  # (n_columns,)
    is_known: Rows
    prepare: Callable[[pd.DataFrame], tuple[Any, Any]]
    is_prepared: bool  # by the user
    horizon: int

    def origins(self, n_origins: int) -> list[Any]:
        """Times spread over the second half, and the beginning of each column's longest gap, and the horizon before."""
        with _quiet():
            X, y = self.prepare(self.frame.copy())
        times = _times(y, X).unique().sort_values()
        high = len(times) - 2 * self.horizon - 1
        if high < 1:
            raise ShortSeriesError(
                f"A check of {self.horizon} steps needs at least {2 * self.horizon + 2} times, got {len(times)}."
            )
        low = min(len(times) // 2, high)
        places = set(np.linspace(low, high, n_origins).astype(int))
        raw = _times(self.frame)
        unknown = [raw[column.isna()].unique() for _, column in self.frame.items()] + [times.difference(raw)]
        gaps = [_runs(np.sort(times.get_indexer(gap.intersection(times)))) for gap in unknown]
        starts = [max(runs)[1] for runs in gaps if runs]
        places |= {k for start in starts for k in (start, start - self.horizon) if 1 <= k <= high}
        return [times[k] for k in sorted(places)]

    def leaks_at(self, origin: Any, found: set[Hashable]) -> Iterator[Leak]:
        """Leaks of columns that are not found yet."""
        base = self.run(self.frame, origin)
        suspects = [k for k in range(self.frame.shape[1]) if self.frame.columns[k] not in found]
        for variant in VARIANTS:
            rows = self._after(base, origin, suspects)
            guilty = self._guilty(base, origin, rows, variant) if rows else []
            yield from guilty
            taken = {column for leak in guilty for column in leak.columns}
            suspects = [k for k in suspects if self.frame.columns[k] not in taken]
        yield from self._hidden_targets(base, origin, suspects)

    def run(self, frame: pd.DataFrame, origin: Any) -> _Run:
        with _quiet():
            return self.fit(*self.prepare(frame.copy()), origin)

    def fit(self, X: Any, y: Any, origin: Any) -> _Run:
        """Fit on the rows up to the origin, predict those after it."""
        times = _times(y, X)
        end, last = self._ends(times, origin)
        past, batch = np.asarray(times <= origin), np.asarray((times > origin) & (times <= last))
        known = ~pd.isna(np.asarray(y, dtype=np.float64)).reshape(len(times), -1).any(axis=1)
        train = past if holds_forecaster(self.pipeline) else past & known
        fitted = _seeded(clone(self.pipeline)).fit(take_rows(X, train), take_rows(y, train))
        is_first = np.asarray(times[batch] <= end)
        forecast = np.asarray(fitted.predict(take_rows(X, batch)), dtype=np.float64).reshape(len(is_first), -1)
        return _Run(fitted, X, y, past, batch, is_first, forecast[is_first])

    def _ends(self, times: pd.Index, origin: Any) -> tuple[Any, Any]:
        """The times that are one and two horizons after the origin."""
        grid = times.unique().sort_values()
        place = int(grid.searchsorted(origin, side="right")) - 1
        return grid[min(place + self.horizon, len(grid) - 1)], grid[min(place + 2 * self.horizon, len(grid) - 1)]

    def _after(self, base: _Run, origin: Any, columns: list[int]) -> dict[int, Rows]:
        """Rows of each column that are not known at the origin."""
        times, (end, _) = _times(self.frame), self._ends(_times(base.y, base.X), origin)
        return {k: np.asarray(times > (end if self.is_known[k] else origin)) for k in columns}

    def _guilty(self, base: _Run, origin: Any, rows: dict[int, Rows], variant: str) -> list[Leak]:
        """The leak of each column that moves the forecast, or else of all together."""
        try:
            everything = self.run(perturbed(self.frame, rows, variant), origin)
        except Exception:  # some steps refuse values that they have not seen; the other variant has none
            if variant == VARIANTS[-1]:
                raise
            return []
        if not self._is_leak(base, everything, origin):
            return []
        if _moved(base, self.run(self.frame, origin)):
            raise ValueError(
                "Two equal fits give different forecasts, so that nothing can be said of leaks. Set random_state, and "
                "leave out steps that keep something from one fit to the next."
            )
        alone = [([k], self.run(perturbed(self.frame, {k: rows[k]}, variant), origin)) for k in rows]
        alone = [(which, run) for which, run in alone if self._is_leak(base, run, origin)]
        return [self._leak(base, run, which, origin) for which, run in alone or [(list(rows), everything)]]

    def _is_leak(self, base: _Run, other: _Run, origin: Any) -> bool:
        """Whether forecasts moved, or else training rows that the pipeline reads."""
        if _moved(base, other):
            return True
        before, after = pd.DataFrame(base.X), pd.DataFrame(other.X)
        if before.shape != after.shape:
            return True
        changed = [k for k in range(before.shape[1]) if not same(before.iloc[:, k], after.iloc[:, k], base.past)]
        if not changed:
            return not same(base.y, other.y, base.past)
        rows = perturbed(before.reset_index(drop=True), dict.fromkeys(changed, base.past), "drawn")
        with _quiet():
            return _moved(base, self.fit(_like(base.X, rows), base.y, origin))

    def _leak(self, base: _Run, other: _Run, columns: list[int], origin: Any) -> Leak:
        names = tuple(self.frame.columns[k] for k in columns)
        until = "origin + horizon" if all(self.is_known[k] for k in columns) else "the origin"
        made = self._made_before(base, other)
        if made:
            return Leak("prepare", names, origin, f"values after {until} change {made} of earlier rows")
        return Leak(_step(base, other), names, origin, f"reads values after {until}")

    def _made_before(self, base: _Run, other: _Run) -> str:
        """What `prepare` made of later values, in the rows that a forecast reads; empty if nothing."""
        if not self.is_prepared:
            return ""
        if np.shape(base.X) != np.shape(other.X):
            return "the shape"
        before, after = pd.DataFrame(base.X), pd.DataFrame(other.X)
        read = base.past.copy()
        read[np.flatnonzero(base.batch)[base.is_first]] = True
        raw = self.frame.reindex(before.index) if before.index.is_unique and self.frame.index.is_unique else before
        made = [
            label
            for k, label in enumerate(before)
            if not same(before.iloc[:, k], after.iloc[:, k], base.past)
            or (
                not same(before.iloc[:, k], after.iloc[:, k], read)
                and not (label in raw and same(before.iloc[:, k], raw[label], read))
            )
        ]
        made += [] if same(base.y, other.y, base.past) else ["y"]
        return ", ".join(map(repr, made))

    def _hidden_targets(self, base: _Run, origin: Any, columns: list[int]) -> Iterator[Leak]:
        """Known columns that are the target itself, and are read."""
        targets = [self.frame.iloc[:, k] for k in np.flatnonzero(self.is_target)]
        for k in columns:
            values = self.frame.iloc[:, k]
            is_number = getattr(values.dtype, "kind", "O") in "iuf"
            if self.is_known[k] and is_number and any(mirrors(values, target, self.horizon) for target in targets):
                ahead = np.asarray(_times(self.frame) > origin) & ~self._after(base, origin, [k])[k]
                other = self.run(perturbed(self.frame, {k: ahead}, "beyond"), origin)
                if _moved(base, other):
                    reason = "is the target itself, in the steps to forecast"
                    yield Leak(_step(base, other), (values.name,), origin, reason)


def _audit(
    pipeline: Any,
    X: Any,
    y: Any,
    known_features: Sequence[Hashable],
    prepare: Callable[[pd.DataFrame], tuple[Any, Any]] | None,
    horizon: int | None,
) -> _Audit:
    targets = y.to_frame("y" if y.name is None else y.name) if isinstance(y, pd.Series) else pd.DataFrame(y)
    covariates = targets[[]] if X is None else pd.DataFrame(X)
    if len(covariates) != len(targets):
        raise ValueError(f"X has {len(covariates)} rows, y has {len(targets)}. Give X the rows of y.")
    unknown = [label for label in known_features if label not in covariates.columns]
    if unknown:
        raise ValueError(f"known_features {unknown} are not among the columns of X, {list(covariates.columns)}.")
    if prepare is not None and covariates.columns.intersection(targets.columns).size:
        raise ValueError(f"X and y both have the columns {list(covariates.columns.intersection(targets.columns))}.")
    n = covariates.shape[1]
    index = _index(targets if hasattr(y, "index") else covariates)
    frame = pd.concat([covariates.set_axis(index), targets.set_axis(index)], axis=1)

    def split(frame: pd.DataFrame) -> tuple[Any, Any]:
        return frame.iloc[:, :0] if X is None else _like(X, frame.iloc[:, :n]), _like(y, frame.iloc[:, n:])

    is_target = np.arange(frame.shape[1]) >= n
    is_known = np.array([label in known_features for label in covariates] + [False] * (len(is_target) - n), dtype=bool)
    found = final_forecaster(pipeline)[1]
    steps = check_count("horizon", getattr(found, "horizon", 1) if horizon is None else horizon)
    return _Audit(pipeline, frame, is_target, is_known, prepare or split, prepare is not None, steps)


def _like(data: Any, frame: pd.DataFrame) -> Any:
    """A frame in the kind of `data`: Series, frame or array."""
    if isinstance(data, pd.Series):
        return frame.iloc[:, 0].set_axis(data.index).rename(data.name)
    if isinstance(data, pd.DataFrame):
        return frame.set_axis(data.index).set_axis(data.columns, axis=1)
    data = np.asarray(data)
    return frame.to_numpy(data.dtype).reshape(data.shape)


def _index(*data: Any) -> pd.Index:
    """The index of the first of the data that has one."""
    return next((rows.index for rows in data if hasattr(rows, "index")), pd.RangeIndex(len(data[0])))


def _times(*data: Any) -> pd.Index:
    index = _index(*data)
    return index.get_level_values(-1) if isinstance(index, pd.MultiIndex) else index


def _runs(places: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Length and first place of each run of consecutive places."""
    parts = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return [(len(part), int(part[0])) for part in parts if len(part)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings, which would tell of values that are not the user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _seeded(pipeline: Any) -> Any:
    names = [k for k, v in pipeline.get_params().items() if k.split("__")[-1] == "random_state" and v is None]
    return pipeline.set_params(**dict.fromkeys(names, 0))


def _moved(base: _Run, other: _Run) -> bool:
    """Whether forecasts differ by more than rounding."""
    if base.forecast.shape != other.forecast.shape:
        return True
    truth = np.asarray(base.y, dtype=np.float64).reshape(len(base.past), -1)[base.past]
    spread = float(np.nanmax(truth) - np.nanmin(truth))
    size = float(np.nanmax(np.abs(base.forecast), initial=0.0))
    return not np.allclose(base.forecast, other.forecast, rtol=0, atol=1e-6 * spread + 1e-12 * size, equal_nan=True)


def _step(base: _Run, other: _Run) -> str:
    with _quiet():
        return leaking_step(base.fitted, take_rows(base.X, base.batch), take_rows(other.X, other.batch), base.is_first)
