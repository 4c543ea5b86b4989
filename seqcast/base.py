"""BaseForecaster: the contract of every forecaster. It knows frames and panels, and nothing of networks."""

from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from seqcast import persistence
from seqcast._parameters import any_of, at_least, between, check_parameters, each, instance_of, is_none, one_of, option, parameters, text
from seqcast.exceptions import NonFiniteError, ShortSeriesError, UnknownSeriesError
from seqcast.frames import SERIES, Layout, read_features, read_target, says_when
from seqcast.panel import Floats, Integers, Panel
from seqcast.rolling import answer, clip, errors_at, filled, forecast_rows, latest_origins, scaled_errors, scales
from seqcast.schema import Schema
from seqcast.times import season_length_of

__all__ = ["BaseForecaster"]


@parameters
class BaseForecaster(RegressorMixin, BaseEstimator):
    """Forecaster of one or many series with the interface of a scikit-learn regressor whose rows are moments in time.

    A subclass implements ``_fit_panel`` and ``_forecast_panel``.
    """

    horizon: int = option(1, at_least(1), "Steps that are forecast at once, and by default.")
    season_length: int | str = option("auto", any_of(at_least(1), one_of("auto")), 'Steps of a season; "auto" takes it from the frequency.')
    freq: str | None = option(None, any_of(is_none(), text()), "Frequency of the times as pandas spells it; inferred by default.")
    past_features: tuple = option((), each(instance_of(Hashable, "a column label")), "Columns of X that are known only up to the forecast's origin.")
    bounds: tuple | None = option(None, any_of(is_none(), instance_of(tuple, "(low, high), None where open")), "Limits to which forecasts are clipped.")

    def fit(self, X: Any, y: Any = SERIES) -> Self:
        """Learn from a history.

        Parameters
        ----------
        X : Series, DataFrame or array of shape (n_rows, n_features)
            Covariates; without `y` the series themselves.
        y : Series, DataFrame or array of shape (n_rows,) or (n_rows, n_series)
            Series; wide frame, whose columns are series; (series, time) panel; array. NaN is a missing reading.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters out of their range, irregular times, infinite or no values.
        """
        check_parameters(self)
        schema, panel = Schema.fitted(X, y, self.past_features, self.freq)
        _check_known(panel)
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        if schema.encoder.columns:
            validate_data(self, X if isinstance(X, pd.DataFrame) else read_features(X)[0].to_numpy(), skip_check_array=True)
        self.schema_, self.panel_ = schema, panel
        self.freq_ = panel.axis.freq_name
        self.season_length_ = season_length_of(panel.axis.freq) if self.season_length == "auto" else int(self.season_length)
        self._fit_panel(panel)
        return self

    def predict(self, X: Any, *, quantiles: Sequence[float] | None = None) -> Any:
        """Return one forecast for each row of X, whose index says when.

        Rows after the history are forecast from its end, training rows get one-step-ahead fitted values from what was known before them.

        Parameters
        ----------
        X : DataFrame, Series, Index or array
            Rows with the covariates of fit; without covariates only the index is read. Rows without times follow the training rows.
        quantiles : sequence of float, optional
            Levels between 0 and 1.

        Returns
        -------
        Series, DataFrame or ndarray
            In the kind of `y` in fit; with quantiles a column for each level.

        Raises
        ------
        ValueError
            For rows before the history, lost times, other covariates than in fit.
        """
        check_is_fitted(self)
        levels = _checked_quantiles(quantiles)
        frame, index = self._read_rows(X)
        features = self.schema_.encoder.encode(frame)
        start = 0 if self._is_training(X, features, index) else self.panel_.ends[0]
        codes, steps = self.schema_.locate(self.panel_, index, len(frame), start)
        index = self.panel_.axis.index(steps) if index is None else index
        codes, steps, features = self.schema_.spread(self.panel_, codes, steps, features)
        values = self._predict_rows(codes, steps, features, levels)
        if self.schema_.layout.is_wide:
            values = np.moveaxis(values.reshape(self.panel_.n_series, len(frame), *values.shape[1:]), 0, 1)  # (n_rows, n_series, ...)
        return self.schema_.layout.assemble(values, index, levels, "quantile")

    def forecast(
        self,
        horizon: int | None = None,
        X: Any = None,
        *,
        history: Any = None,
        quantiles: Sequence[float] | None = None,
        interval: float | None = None,
    ) -> Any:
        """Return the steps after the end of the history.

        Parameters
        ----------
        horizon : int, optional
            Number of steps; by default that of the rows of X after the history, else the fitted one.
        X : DataFrame or array, optional
            Covariates of these steps; rows at the times of `history` are its covariates.
        history : Series, DataFrame or array, optional
            Another history: another end, or a series never seen in fit.
        quantiles : sequence of float, optional
            Levels between 0 and 1, one column each.
        interval : float, optional
            Coverage between 0 and 1 of the columns lower, forecast, upper.

        Returns
        -------
        Series, DataFrame or ndarray
            In the kind of the history, its index continued.

        Raises
        ------
        MissingFeaturesError
            If covariates of steps ahead are missing, with the first missing time.
        """
        check_is_fitted(self)
        if quantiles is not None and interval is not None:
            raise ValueError("Give quantiles= or interval=, not both.")
        levels = _checked_quantiles(quantiles if interval is None else _interval_levels(interval))
        layout, panel = self._history(X, history)
        panel, ends, horizon = self._with_future(panel, X, horizon)
        series = np.arange(panel.n_series)
        values = answer(self, panel, series, ends, horizon, levels)
        labels, level = levels, "quantile"
        if interval is not None:
            point = answer(self, panel, series, ends, horizon, None)
            values, labels, level = np.stack([values[..., 0], point, values[..., 1]], axis=-1), ["lower", "forecast", "upper"], None
        return self._assemble_steps(layout, panel, ends, values, labels, level)

    def sample(self, n_paths: int = 100, horizon: int | None = None, *, X: Any = None, history: Any = None, random_state: Any = None) -> Any:
        """Return scenarios: the forecast plus errors of whole rolling-origin forecasts, those of one origin for all series at once.

        Parameters
        ----------
        n_paths : int, default=100
            Number of scenarios.
        horizon, X, history
            As in ``forecast``.
        random_state : int, RandomState or None
            Decides which errors are drawn.

        Returns
        -------
        DataFrame or ndarray
            Series: columns 0 to n_paths - 1; wide: columns (series, path); panel: rows (series, time).
        """
        check_is_fitted(self)
        if not at_least(1).holds(n_paths):
            raise ValueError(f"n_paths must be an integer of at least 1, got {n_paths!r}.")
        layout, panel = self._history(X, history)
        panel, ends, horizon = self._with_future(panel, X, horizon)
        point = answer(self, panel, np.arange(panel.n_series), ends, horizon, None)
        errors = scaled_errors(self, horizon)  # (n_origins, n_series, horizon)
        random = check_random_state(random_state)
        known = errors[:, random.randint(0, errors.shape[1], panel.n_series)] if panel.ids != self.panel_.ids else errors
        chosen = filled(known, random)[random.randint(0, len(errors), n_paths)]  # (n_paths, n_series, horizon)
        paths = point[..., None] + scales(self, panel)[:, None, None] * np.moveaxis(chosen, 0, -1)
        return self._assemble_steps(layout, panel, ends, clip(paths, self.bounds), list(range(n_paths)), "path")

    def update(self, X: Any, y: Any = SERIES, *, overwrite: bool = False) -> Self:
        """Take in new observations; nothing is retrained.

        Parameters
        ----------
        X, y
        As in ``fit``: rows after the history, or values for missing readings.
        overwrite : bool, default=False
            Whether known values may change.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a known value changes and `overwrite` is False.
        """
        check_is_fitted(self)
        new = self._panel(X, y, start=int(self.panel_.ends[0]))
        unknown = [i for i in new.ids if i not in self.panel_.ids]
        if unknown:
            raise UnknownSeriesError(f"Series {unknown[:5]} were not in fit. Fit again, or use forecast(history=...).")
        codes = np.array([self.panel_.ids.index(i) for i in new.ids])
        rows, mine = _shared_rows(self.panel_, new, codes)
        old, given = self.panel_.values[mine], new.values[rows]
        changed = ~np.isnan(old) & ~np.isnan(given) & ~np.isclose(old, given)
        if changed.any() and not overwrite:
            k = rows[np.argmax(changed)]
            time = new.axis.index(new.steps()[k : k + 1])[0]
            raise ValueError(
                f"{changed.sum()} known values change, the first of series {new.ids[new.codes()[k]]!r} at {time}. Pass overwrite=True if that is meant."
            )
        self.panel_ = self.panel_.merged(new, codes)
        return self

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R² over the rows whose target is known, the mean over series.

        Parameters
        ----------
        X, y
            As in ``fit``; without `y`, X is the series.
        sample_weight : array of shape (n_rows,), optional
            Weights of the rows.

        Returns
        -------
        float
            1 is perfect, 0 is the mean of the rows.

        Raises
        ------
        ShortSeriesError
            If no series has two known rows.
        """
        truth = X if y is None else y
        _, actual, index = read_target(truth)
        forecast = np.asarray(self.predict(X)).reshape(actual.shape)
        groups = pd.factorize(index.get_level_values(0))[0] if isinstance(index, pd.MultiIndex) else np.zeros(len(actual), int)
        weight = np.ones(len(actual)) if sample_weight is None else np.asarray(sample_weight)
        scores = []
        for column in range(actual.shape[1]):
            for group in range(groups.max(initial=0) + 1):
                rows = (groups == group) & ~np.isnan(actual[:, column])
                if rows.sum() > 1:
                    scores.append(r2_score(actual[rows, column], forecast[rows, column], sample_weight=weight[rows]))
        if not scores:
            raise ShortSeriesError(f"R² needs two known rows of a series, got {len(actual)} row(s). Score more rows, or use evaluation.scorer('mae').")
        return float(np.mean(scores))

    def residuals(self, n_origins: int = 20) -> pd.DataFrame:
        """Return actual minus forecast of this fitted forecaster from rolling origins near the end of the history.

        Parameters
        ----------
        n_origins : int, default=20
            Latest origins, one step apart, whose whole horizon is in the history.

        Returns
        -------
        DataFrame of shape (n_origins, horizon) or (n_series * n_origins, horizon)
            Rows by origin, the last time known; columns are the steps 1 to horizon; NaN where the target is missing.
        """
        check_is_fitted(self)
        panel, horizon = self.panel_, self.horizon
        series, positions = latest_origins(panel, n_origins, horizon)
        errors = errors_at(self, panel, series, positions, horizon)
        times = panel.axis.index(panel.first[series] + positions - 1).rename("origin")
        if panel.n_series > 1:
            labels = pd.Index([panel.ids[i] for i in series], tupleize_cols=False)
            times = pd.MultiIndex.from_arrays([labels, times], names=["series", "origin"])
        return pd.DataFrame(errors, index=times, columns=pd.RangeIndex(1, horizon + 1, name="step"))

    def save(self, path: Any) -> None:
        """Write the fitted forecaster to one file, which ``seqcast.load`` reads.

        Parameters
        ----------
        path : str or Path
            File to write.
        """
        check_is_fitted(self)
        persistence.save(self, path)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        tags.regressor_tags.poor_score = True
        return tags

    # What a subclass says of itself -------------------------------------------------------------------------------------

    def _fit_panel(self, panel: Panel) -> None:
        raise NotImplementedError

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        raise NotImplementedError

    def _quantile_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]) -> Floats:
        """Default quantiles: the forecast plus the empirical quantiles, by step, of scaled rolling-origin errors."""
        point = self._forecast_panel(panel, series, positions, horizon)
        spread = np.nanquantile(scaled_errors(self, horizon), quantiles, axis=(0, 1)).T  # (horizon, n_quantiles)
        return point[..., None] + scales(self, panel)[series, None, None] * spread

    @property
    def _longest(self) -> int | None:
        """Most steps that are forecast at once; None: any number."""
        return None

    @property
    def _reach(self) -> int | None:
        """Rows before the origin that a forecast reads; None: all."""
        return None

    def _get_state(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def _set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    # Frames to panels ---------------------------------------------------------------------------------------------------

    def _panel(self, X: Any, y: Any = SERIES, *, start: int = 0) -> Panel:
        """The panel of other data of the kind of fit; rows without times count from `start`."""
        if y is not SERIES and y is not None and self.schema_.encoder.columns:
            X, _ = self._read_rows(X)
        return self.schema_.read(X, y, start=start)

    def _read_rows(self, X: Any) -> tuple[pd.DataFrame, pd.Index | None]:
        frame, index = self.schema_.read_rows(X)
        if self.schema_.encoder.columns:
            validate_data(self, frame if index is not None else frame.to_numpy(), reset=False, skip_check_array=True)
            if index is not None and not hasattr(self, "feature_names_in_") and not isinstance(self.schema_.encoder.columns[0], int):
                self.schema_.check_labels(frame)
        return frame, index

    def _history(self, X: Any, history: Any) -> tuple[Layout, Panel]:
        if history is None:
            return self.schema_.layout, self.panel_
        frame, index = (None, None) if X is None else self._read_rows(X)
        layout, panel = self.schema_.read_history(frame, index, history)
        _check_known(panel)
        return layout, panel

    def _is_training(self, X: Any, features: Floats, index: pd.Index | None) -> bool:
        """Whether rows without times are the training rows themselves."""
        panel = self.panel_
        if says_when(index) or self.schema_.layout.has_levels or len(features) != panel.lengths[0]:
            return False
        if self.schema_.encoder.columns:
            return np.array_equal(features, panel.features[panel.series(0)], equal_nan=True)
        return np.size(X) == 0 or np.array_equal(np.asarray(X, dtype=np.float64).T.ravel(), panel.values, equal_nan=True)

    def _predict_rows(self, codes: Integers, steps: Integers, features: Floats, quantiles: list[float] | None) -> Floats:
        panel = self.panel_
        positions = steps - panel.first[codes]
        if (positions < 0).any():
            k = int(np.argmax(positions < 0))
            raise ValueError(
                f"Row {panel.axis.index(steps[k : k + 1])[0]} of series {panel.ids[codes[k]]!r} lies before the history, which starts at "
                f"{panel.axis.index(panel.first[codes[k : k + 1]])[0]}. Fit on earlier rows too."
            )
        past = positions < panel.lengths[codes]
        if self.schema_.encoder.columns:
            self.schema_.check_kept(panel, codes[past], positions[past], features[past])
            panel = panel.extended(codes[~past], steps[~past], features[~past])
        return forecast_rows(self, panel, codes, positions, quantiles)

    def _with_future(self, panel: Panel, X: Any, horizon: int | None) -> tuple[Panel, Integers, int]:
        """The panel with the covariates of the steps ahead, the origins of its series and the horizon."""
        if horizon is not None and not at_least(1).holds(horizon):
            raise ValueError(f"horizon must be an integer of at least 1, got {horizon!r}.")
        schema, ends = self.schema_, panel.ends
        if X is None or (not schema.encoder.columns and horizon is not None):
            horizon = int(horizon or self.horizon)
            schema.check_future(panel, np.zeros((panel.n_series, horizon), bool))
            return panel, panel.lengths, horizon
        frame, index = self._read_rows(X)
        holds_history = panel is not self.panel_ and len(frame) > panel.lengths[0]
        codes, steps = schema.locate(panel, index, len(frame), 0 if holds_history else int(ends[0]))
        codes, steps, features = schema.spread(panel, codes, steps, schema.encoder.encode(frame))
        ahead = steps >= ends[codes]
        codes, steps, features = codes[ahead], steps[ahead], features[ahead]
        given = np.zeros((panel.n_series, int((steps - ends[codes]).max(initial=-1)) + 1), bool)
        given[codes, steps - ends[codes]] = True
        horizon = int(horizon or given.shape[1] or self.horizon)
        given = np.pad(given, ((0, 0), (0, max(horizon - given.shape[1], 0))))[:, :horizon]
        schema.check_future(panel, given)
        return panel.extended(codes, steps, features), panel.lengths, horizon

    def _assemble_steps(self, layout: Layout, panel: Panel, ends: Integers, values: Floats, labels: list | None, level: str | None) -> Any:
        """Forecasts (n_series, horizon, ...) in the kind of the history, its index continued."""
        steps = (panel.first + ends)[:, None] + np.arange(values.shape[1])  # (n_series, horizon)
        if layout.is_wide:
            return layout.assemble(np.moveaxis(values, 0, 1), panel.axis.index(steps[0]), labels, level)
        index = panel.axis.index(steps.ravel())
        if layout.has_levels:
            series = pd.Index(list(panel.ids), tupleize_cols=False).repeat(values.shape[1])
            index = pd.MultiIndex.from_arrays([series, index], names=self.schema_.level_names)
        return layout.assemble(values.reshape(-1, *values.shape[2:]), index, labels, level)

    def _forecast_origins(self, panel: Panel, cutoffs: Integers, horizon: int, quantiles: Sequence[float] | None = None) -> Floats:
        """Forecasts of every series from each cutoff, the grid step of the first forecast step: (n_series, n_cutoffs, horizon[, n_quantiles]).

        NaN where a series has no known value before the cutoff.
        """
        levels = _checked_quantiles(quantiles)
        series = np.repeat(np.arange(panel.n_series), len(cutoffs))
        positions = np.tile(cutoffs, panel.n_series) - panel.first[series]
        known = np.concatenate([[0], np.cumsum(~np.isnan(panel.values))])
        inside = (positions > 0) & (positions <= panel.lengths[series])
        rows = panel.indptr[series] + np.where(inside, positions, 0)
        inside &= known[rows] > known[panel.indptr[series]]
        out = np.full((len(series), horizon, *([len(levels)] if levels else [])), np.nan)
        if inside.any():
            out[inside] = answer(self, panel, series[inside], positions[inside], horizon, levels)
        return out.reshape(panel.n_series, len(cutoffs), *out.shape[1:])


def _checked_quantiles(quantiles: Sequence[float] | None) -> list[float] | None:
    if quantiles is None:
        return None
    levels = list(quantiles) if np.ndim(quantiles) == 1 else []
    if not levels or not all(between(0, 1, closed="neither").holds(q) for q in levels) or len(set(levels)) < len(levels):
        raise ValueError(f"quantiles must be different numbers above 0 and below 1, got {quantiles!r}. Example: quantiles=[0.1, 0.5, 0.9].")
    return [round(float(q), 6) for q in levels]


def _interval_levels(interval: float) -> list[float]:
    if not between(0, 1, closed="neither").holds(interval):
        raise ValueError(f"interval must be a number above 0 and below 1, got {interval!r}. Example: interval=0.9.")
    return [(1 - interval) / 2, (1 + interval) / 2]


def _check_known(panel: Panel) -> None:
    """Raise where a series holds nothing but NaN."""
    n_known = np.add.reduceat(~np.isnan(panel.values), panel.indptr[:-1], dtype=np.int64)
    if (n_known == 0).any():
        names = [panel.ids[i] for i in np.flatnonzero(n_known == 0)[:5]]
        raise NonFiniteError(f"{(n_known == 0).sum()} of {panel.n_series} series hold nothing but NaN: {names}. Drop them.")


def _shared_rows(panel: Panel, new: Panel, codes: Integers) -> tuple[Integers, Integers]:
    """Rows of `new` whose steps lie in `panel`, where its series i is series codes[i], and their rows there."""
    mine = codes[new.codes()]
    positions = new.steps() - panel.first[mine]
    rows = np.flatnonzero((positions >= 0) & (positions < panel.lengths[mine]))
    return rows, panel.indptr[mine[rows]] + positions[rows]
