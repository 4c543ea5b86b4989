"""ConformalForecaster: any forecaster with intervals calibrated on its own errors, which go on learning."""

import math
import warnings
from itertools import product
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from seqcast._parameters import Rule, any_of, at_least, boolean, is_none, one_of, option, parameters, positive
from seqcast.base import BaseForecaster
from seqcast.baselines import SeasonalNaive
from seqcast.ensembles._chains import Rows, lags_of, latest_asked, make_chain, usual_errors
from seqcast.ensembles._conformal import (
    FEWEST,
    Replay,
    adapted_quantiles,
    drift_p_value,
    known_mass,
    series_quantiles,
    window_scores,
)
from seqcast.ensembles._members import fitted, has_quantiles, transformed
from seqcast.exceptions import CalibrationWarning, ShortSeriesError
from seqcast.frames import SERIES
from seqcast.panel import Floats, Integers, Panel, runs
from seqcast.rolling import answer, clip, scales

__all__ = ["ConformalForecaster"]

_HALF_LIVES = (5.0, 10.0, 20.0, 40.0)  # of the local scale, in origins of a chain
_OUTER = [0.1, 0.9]  # quantiles of the forecaster itself that may serve as scale
_WIDTH = float(ndtri(_OUTER[1]) * np.sqrt(np.pi / 2))  # of such a quantile in mean absolute errors, if they are normal
_MOST_POOLED = 20_000  # scores of one step in a window, at most
_MOST_COMPARED = 20_000  # origins by which scales are chosen; beyond it series are left out
_OVERLAP = 4  # times as many origins count, at most, where neighbours within a season are missed together
_TIE = 0.005  # of the likelihood's logarithm, by which neighbouring origins must do better than those a season apart
_DRIFTS = 1e-3  # p-value of the test of drift from which it is told


def _is_forecaster(value: Any) -> bool:
    return isinstance(value[-1] if isinstance(value, Pipeline) else value, BaseForecaster)


class _Places(NamedTuple):
    """Where the series of a panel stand in the calibration."""

    code: Integers  # (n_series,) number in fit; series from elsewhere follow
    shift: Integers  # (n_series,) grid steps by which it is moved: series from elsewhere to the end of the history
    resume: Integers  # (n_series,) position of the first origin whose forecast is not kept
    prior: Floats  # (n_codes, horizon)


@parameters
class ConformalForecaster(BaseForecaster):
    r"""Calibrate the quantiles of any forecaster on its own errors, by conformal prediction.

    The forecaster is fitted on the earlier part of the history and forecasts from every origin of the later part; its
    errors there, which it was not fitted on, say how wide intervals must be. Then it is fitted again on everything.
    ``update`` renews the errors: new ones enter, old ones leave. The point forecast is that of the forecaster.

    Attributes
    ----------
    forecaster_ : forecaster
        The one that answers.
    stride_ : int
        Steps between the origins that calibrate one another: a season where errors repeat with it, else 1. In doubt it
        is a season, so that forecasts that are always made at one hour are calibrated for that hour.
    half_life_ : float
        Of the local scale, in such origins.
    uses_quantiles_ : bool
        Whether the scale is the width of the forecaster's own quantiles, times the local scale of what exceeds them.

    Notes
    -----
    The score of step h from origin t is the signed error over a local scale, known at t: the mean absolute error of
    that step from earlier origins, at weights that halve every ``half_life_`` [1]_, or the width of the forecaster's
    own quantiles times such a mean (conformalised quantile regression in its scaled form [2]_ [3]_), not
    made narrower by fitting again. Before its first error a series has the usual one of the calibration. Which it is,
    the Laplace likelihood of the calibration errors decides. A series with a hundred scores or more at each step has
    its own; those of the others are pooled, step by step, but for series whose scores are all the same. A forecast
    from t uses only errors whose truth was known before t: those of step h arrive h steps later. Levels beyond what the
    signed scores allow are taken from the absolute ones. Where errors have a bias, intervals move and the point
    forecast does not: it may lie outside a narrow one.

    split
        The order statistics ``ceil((n + 1) q)`` of the last n scores. For exchangeable scores the central interval of
        coverage c covers with probability at least c, and at most ``c + 1 / (n + 1)`` without ties, on average over
        calibration and future [1]_ [4]_. Errors of overlapping forecasts are exchangeable at best approximately;
        a trend or shift of the scores, which breaks the promise, is told by a ``CalibrationWarning``.
    weighted
        The same with weights ``w_i`` that halve every `half_life` origins [5]_. The coverage is at least ``c`` less
        ``sum(w_i d_i) / (1 + sum(w_i))``, where ``d_i`` is the distance in total variation between the scores as they
        are and with the i-th and the new one exchanged: small if drift is slow.
    adaptive
        The interval of coverage c that the last n scores give is widened about its median by a factor
        :math:`e^{\theta}`, for each series, step and c: :math:`\theta \leftarrow \theta + \eta (\mathrm{miss} - (1 -
        c))` when an outcome is known (quantile tracking [6]_, in the manner of adaptive conformal inference [7]_), with
        :math:`\eta = 0.12 / l`, l being the origins until an outcome is known, which may be missed together. With no
        assumption on the data the share of misses among T outcomes lies within :math:`|\theta_T - \theta_0| / (\eta T)`
        of 1 - c; until T is many times 25 l, the local scale follows a change. :math:`|\theta|` is kept below 3: no
        interval is empty or infinite, but while it is at 3, and where all scores are equal, the promise rests.
        Coverages of 20, 40, 50, ..., 90, 95, 98 and 99 % learn so; other levels lie between or beyond them.

    All are promises for central intervals, on average over time, not given the state of the series. Rows of the history
    of fit get the widths of its end. A series never seen in fit takes the pooled scores and the scale of its own
    errors. Transformers of a Pipeline that is wrapped are fitted once, on all rows. Parameters of the forecaster that
    stand here too (horizon, season_length, freq, past_features) are given here.

    References
    ----------
    .. [1] Lei, J., G'Sell, M., Rinaldo, A., Tibshirani, R. J. and Wasserman, L. (2018). Distribution-free predictive
       inference for regression. JASA 113(523).
    .. [2] Romano, Y., Patterson, E. and Candès, E. J. (2019). Conformalized quantile regression. NeurIPS 32.
    .. [3] Sesia, M. and Candès, E. J. (2020). A comparison of some conformal quantile regression methods. Stat 9(1).
    .. [4] Vovk, V., Gammerman, A. and Shafer, G. (2005). Algorithmic Learning in a Random World. Springer.
    .. [5] Barber, R. F., Candès, E. J., Ramdas, A. and Tibshirani, R. J. (2023). Conformal prediction beyond
       exchangeability. Annals of Statistics 51(2).
    .. [6] Angelopoulos, A. N., Candès, E. J. and Tibshirani, R. J. (2023). Conformal PID control for time series
       prediction. NeurIPS 36.
    .. [7] Gibbs, I. and Candès, E. J. (2021). Adaptive conformal inference under distribution shift. NeurIPS 34.

    Examples
    --------
    >>> from seqcast import ConformalForecaster, Theta
    >>> from seqcast.datasets import load_dataset
    >>> nile = load_dataset("nile")
    >>> model = ConformalForecaster(Theta(), method="split", horizon=2).fit(nile[:80])
    >>> model.update(nile[80:]).forecast(interval=0.8).round().to_numpy().tolist()
    [[634.0, 796.0, 993.0], [595.0, 794.0, 1066.0]]
    """

    forecaster: Any = option(
        None,
        any_of(is_none(), Rule("a forecaster of seqcast, or a Pipeline that ends in one", _is_forecaster)),
        "What is calibrated; None: the seasonal naive forecast.",
        wraps=True,
    )
    method: str = option("adaptive", one_of("split", "weighted", "adaptive"), "How scores become widths.")
    n_calibration: int | str = option(
        "auto",
        any_of(at_least(1), one_of("auto")),
        'Origins of each series, the latest, that calibrate; "auto" takes a quarter of the rows, at least 20 origins '
        "and at most half of the rows.",
    )
    window: int = option(500, at_least(FEWEST), "Origins, the latest, whose scores count; more if they overlap.")
    half_life: float = option(100.0, positive(), 'Origins in which the weight of a score halves, if "weighted".')
    refit: bool = option(True, boolean(), "Whether the forecaster learns from the calibration part too, afterwards.")

    kept_: pd.DataFrame | None = None  # rows told since fit, before the steps of a Pipeline
    rows_: tuple[Any, ...]  # Rows, as a file can hold them
    resume_: Integers  # (n_series,) grid step of the first origin that is not among them

    def fit(self, X: Any, y: Any = SERIES) -> Self:
        """Learn from a history.

        Parameters
        ----------
        X, y
            As in every forecaster; a Pipeline that is wrapped needs both.

        Returns
        -------
        self

        Warns
        -----
        CalibrationWarning
            With ``method="split"``, if the scores drift.
        """
        self.transformers_, self.kept_ = None, None
        if isinstance(self.forecaster, Pipeline) and _is_forecaster(self.forecaster):
            if y is SERIES or y is None:
                raise ValueError("A Pipeline makes covariates of X: give y too, fit(X, y).")
            self.transformers_ = clone(self.forecaster[:-1]).fit(X, y)
            X = self.transformers_.transform(X)
        return super().fit(X, y)

    def update(self, X: Any, y: Any = SERIES, *, overwrite: bool = False) -> Self:
        """Take in new observations, whose errors calibrate from now on; nothing is retrained.

        Parameters
        ----------
        X, y, overwrite
            As in every forecaster.

        Returns
        -------
        self
        """
        super().update(X, y, overwrite=overwrite)
        if self.transformers_ is not None and y is not SERIES and isinstance(X, pd.DataFrame):
            kept = X[:0] if self.kept_ is None else self.kept_
            self.kept_ = pd.concat([kept[~kept.index.isin(X.index)], X])
        panel = self.panel_
        counts = np.maximum(panel.ends - self.horizon + 1 - self.resume_, 0)  # origins whose whole horizon is known
        series, back = runs(counts)
        steps = self.resume_[series] + back
        if len(series):
            new = self._forecasts(panel, series, steps - panel.first[series], self.horizon, self.uses_quantiles_)
            rows = Rows(*self.rows_).joined(Rows(series, steps, *new))
            least = int(panel.ends.max()) - 4 * self._window * self.stride_ - self.horizon
            if rows.step.min() <= least:  # seldom, since learning begins anew with it
                rows = rows.taken(rows.step > least + 2 * self._window * self.stride_)
            self.rows_ = tuple(rows)
            self.resume_ = self.resume_ + counts
        return self

    @property
    def _window(self) -> int:
        """Origins, the latest, whose scores count; more of neighbours within a season that overlap."""
        return self.window * (min(_OVERLAP, self.horizon) if self.stride_ < self.season_length_ else 1)

    @property
    def _replays(self) -> dict[tuple[int, int], Replay]:
        """Where learning stands, by phase and window; what is not kept in a file is found anew."""
        return self.__dict__.setdefault("_learned", {})

    def _read_rows(self, X: Any) -> tuple[pd.DataFrame, pd.Index | None]:
        is_plain = self.transformers_ is None
        return super()._read_rows(X if is_plain else transformed(self.transformers_, X, self.kept_))

    # Fit: an early forecaster, its errors, the scale that foretells them

    def _fit_panel(self, panel: Panel) -> None:
        held = self._held(panel)
        self.starts_, self.resume_ = panel.first, panel.ends
        self.widening_ = np.ones((self.horizon, 2))
        early = panel.cut(np.arange(panel.n_series), np.zeros(panel.n_series, np.int64), panel.lengths - held)
        self.forecaster_ = self._fitted(early)
        series, back = runs(held)
        positions = (panel.lengths - held)[series] + back
        forecast, width = self._forecasts(panel, series, positions, self.horizon, has_quantiles(self.forecaster_))
        forecast[positions[:, None] + np.arange(self.horizon) >= panel.lengths[series][:, None]] = np.nan
        self._choose(panel, Rows(series, panel.first[series] + positions, forecast, width), scales(self, early))
        if self.refit and held.any():
            self.forecaster_ = self._fitted(panel)
            self._keep_widths(panel)

    def _keep_widths(self, panel: Panel) -> None:
        """Keep the forecaster fitted again, whose errors are unknown, from narrower widths than the one before had."""
        rows = Rows(*self.rows_)
        rows = rows.taken(rows.step >= panel.ends[rows.code] - self.horizon - FEWEST)
        if self.uses_quantiles_ and len(rows.step):
            width = self._forecasts(panel, rows.code, rows.step - panel.first[rows.code], self.horizon, True)[1]
            self.widening_ = np.clip(np.median(rows.width / width, axis=0), 1, 2)  # (horizon, 2)

    def _held(self, panel: Panel) -> Integers:
        """Rows of each series, at its end, that are kept back for calibration; 0 for very short series."""
        auto = self.n_calibration == "auto"
        n_origins = FEWEST if auto else int(self.n_calibration)
        wanted = np.full(panel.n_series, n_origins + self.horizon - 1)
        if auto:
            most = self.window * self.season_length_ + self.horizon
            wanted = np.clip(panel.lengths // 4, wanted, np.maximum(most, wanted))
        elif wanted[0] > panel.lengths.max() // 2:
            raise ShortSeriesError(
                f"n_calibration={n_origins} with horizon={self.horizon} needs a series of {2 * wanted[0]} rows, "
                f"half of them to fit on; the longest has {panel.lengths.max()}. Lower n_calibration."
            )
        held = np.where(panel.lengths >= FEWEST, np.minimum(wanted, panel.lengths // 2), 0)
        known = np.concatenate([[0], np.cumsum(~np.isnan(panel.values))])
        early = known[panel.indptr[1:] - held] - known[panel.indptr[:-1]]
        return np.where(early > 1, held, 0)

    def _fitted(self, panel: Panel) -> BaseForecaster:
        given = self.forecaster[-1] if isinstance(self.forecaster, Pipeline) else self.forecaster
        member = SeasonalNaive() if given is None else given
        return fitted(self, member, panel, is_strict=True)

    def _choose(self, panel: Panel, rows: Rows, scale: Floats) -> None:
        """Choose the scale that foretells the calibration errors best, and keep the forecasts."""
        self.stride_, self.half_life_, self.uses_quantiles_ = 1, _HALF_LIVES[-1], False
        self.usual_, self.prior_ = np.ones(self.horizon), np.repeat(scale[:, None], self.horizon, axis=1)
        plain = rows._replace(width=np.ones((len(rows.code), 1, 2)))
        last, season = int(panel.ends.max()), self.season_length_
        actual = panel.values_at(rows.code, rows.step - panel.first[rows.code], self.horizon)
        if np.isnan(actual - rows.forecast).all():
            self.rows_ = tuple(plain.taken(slice(0)))
            return
        in_phase = (last - rows.step) % season == 0
        is_seasonal = (~np.isnan(actual - rows.forecast)[in_phase]).sum(axis=0).min() >= 2 * FEWEST
        strides = [1, season] if season > 1 and is_seasonal else [1]
        kinds = [False, True] if has_quantiles(self.forecaster_) else [False]
        compared = rows.code % min(-(-len(actual) // _MOST_COMPARED), panel.n_series) == 0
        best = math.inf
        for uses_quantiles in kinds:
            unit = np.ones(panel.n_series) if uses_quantiles else scale
            used = (rows if uses_quantiles else plain).taken(compared)
            usual = usual_errors(used, actual[compared], unit)
            usual = np.clip(usual, 1 / 3, 3) if uses_quantiles else usual  # widths that are far off shall lose
            prior = unit[:, None] * usual
            for stride, half_life in product(strides, _HALF_LIVES):
                loss = make_chain(used, actual[compared], stride, last, half_life, prior).loss
                loss = loss[:: -(strides[-1] // stride)]  # of the same origins, whatever the stride
                mean = float(loss[~np.isnan(loss)].mean()) + (_TIE if stride < strides[-1] else 0.0)
                if mean < best:
                    best, self.uses_quantiles_, self.stride_, self.half_life_ = mean, uses_quantiles, stride, half_life
                    self.usual_, self.prior_ = usual, prior
        kept = rows.step > last - 2 * self._window * self.stride_ - self.horizon
        self.rows_ = tuple((rows if self.uses_quantiles_ else plain).taken(kept))
        if self.method == "split":
            self._warn_of_drift(panel, last)

    def _warn_of_drift(self, panel: Panel, last: int) -> None:
        rows = Rows(*self.rows_)
        actual = panel.values_at(rows.code, rows.step - panel.first[rows.code], self.horizon)
        chain = make_chain(rows, actual, self.stride_, last, self.half_life_, self.prior_)
        p_value = drift_p_value(chain.scores, -(-self.horizon // self.stride_))
        if p_value < _DRIFTS:
            warnings.warn(
                f"The calibration scores drift (p = {p_value:.1g}): they are not exchangeable, and intervals may not "
                'cover as promised. Use method="weighted" or "adaptive".',
                CalibrationWarning,
                stacklevel=6,
            )

    # Forecast

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        return answer(self.forecaster_, panel, series, positions, horizon, None)

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        self._check_calibrated(horizon)
        places = self._places(panel, series, positions)
        rows, actual = self._known_rows(panel, places, positions, series, horizon)
        code, at = places.code[series], panel.first[series] + positions + places.shift[series]
        end = np.append(self.ends_, np.full(panel.n_series, at.min()))[code]
        end = np.where(end <= rows.step.min(), self.ends_.max(), end)  # of a series that ends before the calibration
        at = np.where(at < end, end + (at - end) % self.stride_, at)  # rows of the history: the widths of its end
        point, width = self._forecasts(panel, series, positions, horizon, self.uses_quantiles_)
        out = np.empty((*point.shape, len(quantiles)))
        for phase in np.unique(at % self.stride_):
            mine = np.flatnonzero(at % self.stride_ == phase)
            last = int(at[mine].max())
            chain = make_chain(rows, actual, self.stride_, last, self.half_life_, places.prior[:, :horizon])
            index = chain.scale.shape[1] - 1 - (last - at[mine]) // self.stride_
            levels = np.array(quantiles)
            replay = self._replays.setdefault((int(phase), self._window), Replay())
            score = self._score_quantiles(chain.scores, index, code[mine], levels, replay)  # (n, horizon, n_levels)
            side = np.where(score < 0, width[mine, :, :1], width[mine, :, 1:])
            out[mine] = point[mine, :, None] + score * side * chain.scale[code[mine], index][..., None]
        return clip(out, self.forecaster_.bounds)

    def _forecasts(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, with_width: bool
    ) -> tuple[Floats, Floats]:
        """Forecasts (n, horizon) of the forecaster and the widths of its own quantiles (n, horizon, 2), else 1."""
        if not len(series):
            return np.empty((0, horizon)), np.empty((0, horizon if with_width else 1, 2))
        point = answer(self.forecaster_, panel, series, positions, horizon, None)
        if not with_width:
            return point, np.ones((len(point), 1, 2))
        outer = answer(self.forecaster_, panel, series, positions, horizon, _OUTER)
        width = np.abs(outer - point[..., None]) / _WIDTH * self.widening_[:horizon]
        least = np.maximum(0.01 * width.sum(axis=-1, keepdims=True), 1e-9 * np.maximum(np.abs(point), 1.0)[..., None])
        return point, np.maximum(width, least)

    def _check_calibrated(self, horizon: int) -> None:
        if horizon > self.horizon:
            raise ValueError(
                f"Quantiles are calibrated for {self.horizon} steps, {horizon} are asked for. Fit with "
                f"horizon={horizon}."
            )
        if not len(self.rows_[0]):
            raise ShortSeriesError(
                f"Nothing calibrates the quantiles: the longest series has {self.panel_.lengths.max()} rows, and at "
                f"least {FEWEST} are needed. Give longer series."
            )

    def _places(self, panel: Panel, series: Integers, positions: Integers) -> _Places:
        known = {key: k for k, key in enumerate(zip(self.panel_.ids, self.starts_.tolist(), strict=True))}
        keys = zip(panel.ids, panel.first.tolist(), strict=True)
        code = np.array([known.get(key, -1) for key in keys])
        elsewhere = np.flatnonzero(code < 0)
        shift, resume = np.zeros(panel.n_series, np.int64), self.resume_[code] - panel.first
        prior = self.prior_
        if len(elsewhere):
            code[elsewhere] = len(known) + np.arange(len(elsewhere))
            asked = latest_asked(panel, series, positions)
            time, end = (panel.first + asked)[elsewhere], int(self.panel_.ends.max())
            shift[elsewhere] = end + (time - end) % self.stride_ - time
            resume[elsewhere] = np.maximum(asked[elsewhere] - FEWEST * self.stride_ - self.horizon, 1)
            own = np.ones(panel.n_series) if self.uses_quantiles_ else scales(self, panel)
            prior = np.concatenate([prior, own[elsewhere, None] * self.usual_])
        return _Places(code, shift, resume, prior)

    def _known_rows(
        self, panel: Panel, places: _Places, positions: Integers, series: Integers, horizon: int
    ) -> tuple[Rows, Floats]:
        """The forecasts that are kept and those of the origins since, beside the truth of the panel, (n, horizon)."""
        kept = Rows(*self.rows_)
        kept = kept._replace(forecast=kept.forecast[:, :horizon], width=kept.width[:, :horizon])
        actual = self.panel_.values_at(kept.code, kept.step - self.panel_.first[kept.code], horizon)
        number = np.full(len(places.prior), -1)
        number[places.code] = np.arange(panel.n_series)
        here = number[kept.code] >= 0
        mine = number[kept.code[here]]
        given = panel.values_at(mine, kept.step[here] - panel.first[mine], horizon)
        actual[here] = np.where(np.isnan(actual[here]), given, actual[here])  # a history may end before the one of fit
        new, back = runs(np.maximum(latest_asked(panel, series, positions) - places.resume, 0))
        origin = places.resume[new] + back
        phases = np.unique((panel.first[series] + positions + places.shift[series]) % self.stride_)
        used = np.isin((panel.first[new] + origin + places.shift[new]) % self.stride_, phases)
        new, origin = new[used], origin[used]
        forecasts = self._forecasts(panel, new, origin, horizon, self.uses_quantiles_)
        steps = panel.first[new] + origin
        rows = kept.joined(Rows(places.code[new], steps + places.shift[new], *forecasts))
        return rows, np.concatenate([actual, panel.values_at(new, origin, horizon)])

    def _score_quantiles(
        self, scores: Floats, index: Integers, code: Integers, levels: Floats, replay: Replay
    ) -> Floats:
        """Quantiles of the scores (n, horizon, n_levels) for origins and series of a chain."""
        n_series, _, horizon = scores.shape
        window = min(self._window, max(_MOST_POOLED // n_series, FEWEST))
        share = 0.5 ** (1 / self.half_life) if self.method == "weighted" else 1.0
        weights, lags = share ** np.arange(window), lags_of(horizon, self.stride_)
        origins, which = np.unique(index, return_inverse=True)
        self._check_enough(known_mass(scores, lags, origins, weights), levels)
        if np.nanmin(scores) == np.nanmax(scores):
            warnings.warn(
                "All calibration errors are equal: intervals have no width. Calibrate on data that vary.",
                CalibrationWarning,
                stacklevel=6,
            )
        if self.method == "adaptive":
            return adapted_quantiles(scores, lags, origins, levels, window=window, replay=replay)[which, code]
        quantiles = [series_quantiles(window_scores(scores, lags, t, window), weights, levels) for t in origins]
        return np.array(quantiles)[which, code]

    def _check_enough(self, mass: Floats, levels: Floats) -> None:
        """Raise where a level lies farther out than the scores allow."""
        least, level = float(mass.min()), float(np.minimum(levels, 1 - levels).min())
        if 2 * level * (least + 1) >= 1 - 1e-9 and least > 0:
            return
        widest = least / (least + 1)
        raise ShortSeriesError(
            f"Quantile {level:.6g} or {1 - level:.6g} needs {math.ceil(1 / (2 * level) - 1e-9) - 1} calibration scores "
            f"at each step, step {int(np.argmin(mass.min(axis=0))) + 1} has {least:.4g} by weight, which allow at most "
            f"interval={math.floor(1e4 * widest) / 1e4}. Give a longer history, or more of it by n_calibration."
        )
