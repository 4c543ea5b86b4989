"""BaseForecaster: the contract of every forecaster. It knows frames and panels, and nothing of networks."""

import math
from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.tseries.offsets import BaseOffset
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from seqcast import persistence
from seqcast._parameters import (
    any_of,
    at_least,
    between,
    check_count,
    check_interval,
    check_parameters,
    check_quantiles,
    each,
    instance_of,
    is_none,
    one_of,
    option,
    pair_of,
    parameters,
    text,
)
from seqcast.exceptions import ShortSeriesError, UnknownSeriesError
from seqcast.frames import SERIES, Layout, in_order_of, read_features, read_target, shared_index
from seqcast.metrics._arrays import mean_r2
from seqcast.panel import Floats, Integers, Panel
from seqcast.paths import draw_paths
from seqcast.rolling import (
    answer,
    empirical_quantiles,
    ends_of_fit,
    errors_at,
    forecast_origins,
    forecast_rows,
    latest_origins,
)
from seqcast.schema import Schema
from seqcast.seasons import season_of
from seqcast.verdict import Verdict, judge_history

__all__ = ["BOUNDS", "BaseForecaster"]

_SEASON = any_of(at_least(1), one_of("auto"))
_FREQ = any_of(is_none(), text(), instance_of(BaseOffset, "an offset of pandas"))
_LABELS = each(instance_of(Hashable, "a column label"))
BOUNDS = any_of(is_none(), pair_of(any_of(is_none(), between(-math.inf, math.inf))))


@parameters
class BaseForecaster(RegressorMixin, BaseEstimator):
    """Forecaster of one or many series with the interface of a scikit-learn regressor whose rows are moments in time.

    A subclass implements ``_fit_panel`` and ``_forecast_panel``.
    """

    horizon: int = option(1, at_least(1), "Steps that are forecast at once, and by default.")
    season_length: int | str = option("auto", _SEASON, 'Steps of a season; "auto" goes by frequency or values.')
    freq: str | BaseOffset | None = option(None, _FREQ, "Frequency of pandas, or an exchange (XNYS); None infers it.")
    past_features: tuple = option((), _LABELS, "Columns of X known only up to the origin of a forecast.")
    bounds: tuple | None = option(None, BOUNDS, "Limits to which forecasts are clipped.")

    def fit(self, X: Any, y: Any = SERIES) -> Self:
        """Learn from a history.

        Parameters
        ----------
        X : Series, DataFrame or array of shape (n_rows, n_features)
            Covariates, NaN where one is missing; without `y` the series themselves.
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
        panel.check_known()
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        if schema.encoder.columns:
            named = X if isinstance(X, pd.DataFrame) else read_features(X)[0].to_numpy()
            validate_data(self, named, skip_check_array=True)
        self._fit_read(schema, panel)
        return self

    def _fit_read(self, schema: Schema, panel: Panel) -> None:
        """Fit to what was read of the user's frames."""
        self.schema_: Schema = schema
        self.panel_: Panel = panel
        self.ends_ = panel.ends  # what was known in fit
        self.freq_: str = panel.axis.freq_name
        given = self.season_length
        self.season_length_: int = season_of(panel) if given == "auto" else int(given)
        self._fit_panel(panel)

    def predict(self, X: Any, *, quantiles: Sequence[float] | None = None) -> Any:
        """Return one forecast for each row of X, whose index says when.

        Rows after the history are forecast from its end; training rows get one-step-ahead fitted values, from what was
        known before them.

        Parameters
        ----------
        X : DataFrame, Series, Index or array
            Rows with the covariates of fit; without covariates only the index is read. Rows without times follow the
            training rows.
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
        levels = check_quantiles(quantiles)
        schema, panel = self.schema_, self.panel_
        frame, index = self._read_rows(X)
        features = schema.encoder.encode(frame)
        start = 0 if schema.is_training(panel, ends_of_fit(self), X, features, index) else int(panel.ends[0])
        codes, steps = schema.locate(panel, index, len(frame), start)
        index = panel.axis.index(steps) if index is None else index
        codes, steps, features = schema.spread(panel, codes, steps, features)
        positions = schema.positions(panel, codes, steps)
        if schema.encoder.columns:
            past = positions < panel.lengths[codes]
            schema.check_kept(panel, codes[past], positions[past], features[past])
            panel = panel.extended(codes[~past], steps[~past], features[~past])
        values = forecast_rows(self, panel, codes, positions, levels)  # (n_rows * n_series, ...)
        if schema.layout.is_wide:
            values = np.moveaxis(values.reshape(panel.n_series, len(frame), *values.shape[1:]), 0, 1)
        return schema.layout.assemble(values, index, levels, "quantile")

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
            Number of steps; by default that of the rows of X after the history, else the fitted one. Where series end
            at different times and X at one, it is as many as all series have.
        X : DataFrame or array, optional
            Covariates of these steps; rows at the times of `history` are its covariates, else those that fit saw.
        history : Series, DataFrame or array, optional
            Another history: another end, or a series never seen in fit. Labels tell: of a panel give y.loc[[label]].
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
            If covariates of steps ahead are missing, with the first missing time. ValueError, if fit had none.
        """
        check_is_fitted(self)
        if quantiles is not None and interval is not None:
            raise ValueError("Give quantiles= or interval=, not both.")
        levels = check_quantiles(quantiles) if interval is None else check_interval(interval)
        layout, history_ = self._history(X, history)
        panel, horizon = self._ahead(history_, X, horizon)
        values = self._ask(history_, panel, horizon, levels)
        if interval is None:
            return self.schema_.assemble_steps(layout, history_, values, levels, "quantile")
        values = np.insert(values, 1, self._ask(history_, panel, horizon, None), axis=-1)
        return self.schema_.assemble_steps(layout, history_, values, ["lower", "forecast", "upper"])

    def sample(
        self,
        n_paths: int = 100,
        horizon: int | None = None,
        *,
        strategy: str = "direct",
        X: Any = None,
        history: Any = None,
        random_state: Any = None,
    ) -> Any:
        """Return scenarios that are coherent over the horizon, and across the series where these move together.

        Parameters
        ----------
        n_paths : int, default=100
            Number of scenarios.
        strategy : {"direct", "recursive"}, default="direct"
            Whether the whole horizon is drawn at once or, for as long as asked, one fitted horizon after the other,
            each forecast from the path so far (with ``horizon=1`` step by step); every further one costs the same.
        horizon, X, history
            As in ``forecast``.
        random_state : int, RandomState or None
            Decides which errors are drawn.

        Returns
        -------
        DataFrame or ndarray
            Series: columns 0 to n_paths - 1; wide: columns (series, path); panel: rows (series, time).

        Notes
        -----
        At each step direct paths have the quantiles of ``forecast``; a Gaussian copula, learned from past errors, ties
        steps and series (Pinson et al. 2009, Wind Energy 12(1), 51-62). Where a series returns to its line, so do
        recursive paths (Dickey and Fuller 1979, JASA 74, 427-431); none leaves the range of the history by more than
        its width and, for every length of the history, as much again.
        """
        check_is_fitted(self)
        check_count("n_paths", n_paths)
        if strategy not in ("direct", "recursive"):
            raise ValueError(f'strategy must be "direct" or "recursive", got {strategy!r}.')
        layout, history_ = self._history(X, history)
        panel, horizon = self._ahead(history_, X, horizon)
        paths = draw_paths(self, history_, panel, horizon, n_paths, strategy, check_random_state(random_state))
        return self.schema_.assemble_steps(layout, history_, paths, range(n_paths), "path")

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
            If a known value or covariate changes and `overwrite` is False, or rows lie before the history.
        """
        check_is_fitted(self)
        new = self._panel(X, y, start=int(self.panel_.ends[0]))
        unknown = [i for i in new.ids if i not in self.panel_.ids]
        if unknown:
            raise UnknownSeriesError(f"Series {unknown[:5]} were not in fit. Fit again, or use forecast(history=...).")
        codes = np.array([self.panel_.ids.index(i) for i in new.ids])
        self.panel_ = self.panel_.merged(self.schema_.told(self.panel_, new, codes, overwrite=overwrite), codes)
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
        forecast = self.predict(X)
        _, actual, index = read_target(in_order_of(forecast, X if y is None else y))
        index, forecast = shared_index(X, index), np.asarray(forecast).reshape(actual.shape)
        groups = np.zeros(len(actual), np.int64)
        if isinstance(index, pd.MultiIndex):
            groups = pd.factorize(index.get_level_values(0))[0]
        weight = np.ones(len(actual)) if sample_weight is None else np.asarray(sample_weight)
        score = mean_r2(actual, forecast, groups, weight)
        if np.isnan(score):
            raise ShortSeriesError(
                f"R² needs two known rows of a series, got {len(actual)} row(s). "
                "Score more rows, or use evaluation.scorer('mae')."
            )
        return score

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
            labels = pd.Index(panel.ids, tupleize_cols=False)[series]
            times = pd.MultiIndex.from_arrays([labels, times], names=["series", "origin"])
        return pd.DataFrame(errors, index=times, columns=pd.RangeIndex(1, horizon + 1, name="step"))

    def verdict(self) -> Verdict:
        """Return what forecasts from the latest origins of the history say: skill against naive forecasts, and faults.

        Returns
        -------
        Verdict
            ``print`` it; ``findings`` is empty if no fault was found. The fit has seen these values, which flatters it.
        """
        check_is_fitted(self)
        return judge_history(self)

    def save(self, path: Any) -> None:
        """Write the fitted forecaster to one file, which ``seqcast.load`` reads; ensembles with their members.

        Parameters
        ----------
        path : str or Path
            Where to; an existing file is replaced only once the new one is complete.

        Raises
        ------
        TypeError
            If a parameter or learned attribute is an object of another library, such as a scikit-learn regressor.
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

    # What a subclass says of itself

    def _fit_panel(self, panel: Panel) -> None:
        raise NotImplementedError

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        raise NotImplementedError

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        """Default quantiles: the forecast plus the empirical quantiles, by step, of scaled rolling-origin errors."""
        return empirical_quantiles(self, panel, series, positions, horizon, quantiles)

    @property
    def _longest(self) -> int | None:
        """Most steps that are forecast at once; None: any number."""
        return None

    @property
    def _reach(self) -> int | None:
        """Rows before the origin that a forecast reads, at most; None: all."""
        return None

    def _get_state(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def _set_state(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    # Frames to panels

    def _panel(self, X: Any, y: Any = SERIES, *, start: int = 0) -> Panel:
        """The panel of other data of the kind of fit; rows without times count from `start`."""
        if y is not SERIES and y is not None and self.schema_.encoder.columns:
            X, _ = self._read_rows(X)
        return self.schema_.read(X, y, start=start)

    def _read_rows(self, X: Any) -> tuple[pd.DataFrame, pd.Index | None]:
        frame, index = self.schema_.read_rows(X)
        if self.schema_.encoder.columns:
            validate_data(self, frame if index is not None else frame.to_numpy(), reset=False, skip_check_array=True)
            if index is not None and not hasattr(self, "feature_names_in_"):
                self.schema_.check_labels(frame)
        return frame, index

    def _history(self, X: Any, history: Any) -> tuple[Layout, Panel]:
        if history is None:
            return self.schema_.layout, self.panel_
        frame, index = (None, None) if X is None else self._read_rows(X)
        layout, panel = self.schema_.read_history(frame, index, history, self.panel_)
        panel.check_known()
        return layout, panel

    def _ahead(self, panel: Panel, X: Any, horizon: int | None) -> tuple[Panel, int]:
        """The panel with the covariates of the steps ahead, and the horizon."""
        if isinstance(horizon, (pd.DataFrame, pd.Series, pd.Index, np.ndarray)):
            raise TypeError("The horizon comes first, and covariates by name: forecast(X=...), or predict(X).")
        schema, horizon = self.schema_, None if horizon is None else check_count("horizon", horizon)
        schema.check_use(X)
        if X is None or (not schema.encoder.columns and horizon is not None):
            horizon = horizon or self.horizon
            schema.check_future(panel, np.zeros((panel.n_series, horizon), bool))
            return panel, horizon
        frame, index = self._read_rows(X)
        holds_history = panel is not self.panel_ and len(frame) > panel.lengths[0]
        codes, steps = schema.locate(panel, index, len(frame), 0 if holds_history else int(panel.ends[0]))
        codes, steps, features = schema.spread(panel, codes, steps, schema.encoder.encode(frame))
        ahead, horizon = schema.rows_ahead(panel, codes, steps, features, horizon, self.horizon)
        return panel.extended(codes[ahead], steps[ahead], features[ahead]), horizon

    def _ask(self, history: Panel, panel: Panel, horizon: int, levels: list[float] | None) -> Floats:
        """Forecasts (n_series, horizon, ...) from the end of the history, which `panel` extends."""
        return answer(self, panel, np.arange(panel.n_series), history.lengths, horizon, levels)

    def _forecast_origins(
        self, panel: Panel, cutoffs: Integers, horizon: int, quantiles: Sequence[float] | None = None
    ) -> Floats:
        return forecast_origins(self, panel, cutoffs, horizon, check_quantiles(quantiles))
