"""WindowForecaster: from a panel to models of windows that are averaged, and their forecasts back."""

import html
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from seqcast._parameters import any_of, at_least, between, boolean, is_none, one_of, option, parameters, text
from seqcast.base import BaseForecaster
from seqcast.gains import N_OWN, share_to_keep, shares_of_series
from seqcast.models._calendar import Calendar
from seqcast.models._calibration import PRIOR_DEVIATION
from seqcast.models._curves import columns_that_bend, n_products
from seqcast.models._local import MAX_ROWS, LocalSmoothing, effects_of, is_mostly_at_its_end
from seqcast.models._member import Member
from seqcast.models._phases import phases_of, tells_phase
from seqcast.models._split import Split, split_in_time
from seqcast.models._tail import TailCheck, tail_truth, truth_at, verdict_of
from seqcast.models._task import Choice, choose
from seqcast.models._widths import FAR, SAID, SPREAD, Forecasts, SeasonalWidths, origins_by_phase
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.normalization import NORMALIZATIONS
from seqcast.panel import Panel
from seqcast.rolling import scales
from seqcast.transforms import LEAST, TRANSFORMS
from seqcast.verdict import Verdict

__all__ = ["WindowForecaster"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

N_TAILS = 3  # horizons, at least, by which choices are ranked
LOCAL_DEVIATION = 0.15  # of the share of local smoothing in a forecast, before the tail was looked at
ONE_TIME_DEVIATION = 0.05  # of it where short series have a tail of less than two horizons, which may be luck
LEAST_SHARE = 0.01  # of it that is worth the time
N_ORIGINS, N_STEPS = 8, 24  # of each series, at least, whose errors say how wide the quantiles are to be
LEAST_ERROR, MOST_ERROR = 0.1, 3.0  # of local smoothing, in those that the members say
N_PRIOR = 3  # errors' worth of a prior that both are of one size
LEAST_LEFT = 0.01  # of a quantile of what is positive, when it is moved


@parameters
class WindowForecaster(BaseForecaster):
    """Base of the forecasters that read a window: one model for all series, chosen and checked on the tail in time."""

    lookback: int | str = option(
        "auto",
        any_of(at_least(1), one_of("auto")),
        "Steps before the origin that are read, above 512 those there are.",
    )
    normalization: str = option(
        "auto", one_of("auto", *NORMALIZATIONS), "How a window is put in units of its own past."
    )
    target_transform: str = option(
        "auto", one_of("auto", *TRANSFORMS), "Transform of the target, undone in the forecast."
    )
    validation_fraction: float = option(
        0.1,
        between(0, 0.5),
        "Share of each series, its end, for choices and early stopping; of hours at least a week.",
    )
    refit_tail: bool = option(
        True, boolean(), "Whether the tail is learned from too, once it has served for validation."
    )
    calendar: str | None = option(
        None, any_of(is_none(), one_of("auto")), 'Calendar columns beside those of X; "auto" goes by the frequency.'
    )
    n_members: int = option(3, at_least(1), "Models whose forecasts are averaged, each with another good choice.")
    local_smoothing: bool = option(
        True, boolean(), "Whether each series is also smoothed for itself, and both averaged."
    )
    device: str = option("auto", text(), 'Device of torch; "auto" is the first GPU if there is one.')

    def _fit_panel(self, panel: Panel) -> None:
        device = _device(self.device)
        calendar = Calendar.fitted(panel) if self.calendar == "auto" else Calendar()
        self.calendar_: tuple[str, ...] = calendar.cycles
        past_only = tuple(self.schema_.past_mask.tolist())
        panel = calendar.extend(panel)
        split = split_in_time(panel, self.horizon, self.validation_fraction, self.season_length_)
        wanted = self._wanted(panel)
        choices, self.choices_ = choose(
            split_in_time(panel, N_TAILS * self.horizon, self.validation_fraction, self.season_length_),
            past_only,
            horizon=self.horizon,
            season_length=self.season_length_,
            wanted=wanted,
            n_calendar=len(calendar),
        )
        curves, choices = choices[0].curves, self._begun(choices)
        if not set(choices[0].curves) <= set(columns_that_bend(panel.features[split.before(split.ends)], past_only)):
            choices = [replace(choice, curves=curves) for choice in choices]  # they were of other covariates
        split = split.curved(choices[0].curves, len(past_only), split.ends)
        past_only = (*past_only, *[False] * (len(split.curves) + len(calendar)))
        self.members_: list[Member] = self._fit_members(split, choices, past_only, device)
        checks = [member.check for member in self.members_ if member.check]
        for member in self.members_:
            member.settle()
        self.local_: LocalSmoothing | None = None
        if self._is_local and LocalSmoothing.suits(split.ends, self.season_length_):
            checks = self._smooth_locally(split, choices[0], past_only, checks)
        self.widths_: SeasonalWidths | None = None
        self.widths_ = self._seasonal_widths(split, checks)
        self.verdict_: dict[str, Any] | None = self._judged(split, checks)

    def verdict(self) -> Verdict:
        """Return what the validation tail said in fit: skill against naive forecasts, faults, and what to try.

        Returns
        -------
        Verdict
            ``print`` it; ``findings`` is empty if no fault was found. It is unknown without a validation tail.

        Notes
        -----
        The tail was forecast before it was learned from. Faults are: no better than the last value, the last season or
        the same day a week ago; a lagged copy of the series; a flat line; training cut short by ``max_steps``, or
        underfitted; last values outside what was seen in training.

        Examples
        --------
        >>> import seqcast
        >>> from seqcast.datasets import load_dataset
        >>> verdict = seqcast.RidgeForecaster(horizon=12).fit(load_dataset("stocks")["IBM"]).verdict()
        >>> [finding.name for finding in verdict.findings]
        ['no better than naive', 'lagged copy']
        """
        check_is_fitted(self)
        return Verdict.from_state(getattr(self, "verdict_", None))  # files of 0.1.0 have none

    def _smooth_locally(
        self, split: Split, choice: Choice, past_only: tuple[bool, ...], checks: list[TailCheck]
    ) -> list[TailCheck]:
        """Smooth each series for itself; the tail, forecast before it is learned from, says with what share."""
        sizes = {"season_length": self.season_length_, "horizon": int(self.horizon)}
        before, all_of_it = effects_of(split, choice, past_only, **sizes)
        are_short = LocalSmoothing.are_short(split.ends)
        local = LocalSmoothing.fitted(self.panel_, split.cuts, before, **sizes, are_short=are_short)
        prior = local.n_methods / (local.n_methods + 1) if choice.penalty is None else 0.0
        share = np.where(is_mostly_at_its_end(self.panel_), 0.0, prior)
        if checks:
            share, correction = self._local_shares(local, split, _mean([check.forecast for check in checks]), prior)
            checks = [replace(check, forecast=check.forecast + correction) for check in checks]
        if share.any():
            if self.refit_tail:
                local = LocalSmoothing.fitted(self.panel_, split.ends, all_of_it, **sizes, are_short=are_short)
            local = replace(local, share=share)
            self.local_ = replace(local, width=self._local_widths(local, split))
        return checks

    def _local_shares(
        self, local: LocalSmoothing, split: Split, forecast: Floats, prior: float
    ) -> tuple[Floats, Floats]:
        """What share of each series local smoothing is to have, and what the common one adds to the tail."""
        panel, horizon = self.panel_, int(self.horizon)
        series, positions, truth = tail_truth(panel, split, horizon)
        members, forecast = forecast, local.bounded(forecast, panel, series, positions)
        correction = np.nan_to_num(local.forecast(panel, series, positions, horizon) - forecast)
        known, unit = (~np.isnan(truth)).astype(float), scales(self, panel)[series, None]
        moved, error = correction / unit, np.where(known, truth - forecast, 0.0) / unit
        size = np.sqrt(np.maximum((moved**2 * known).sum(1), (error**2).sum(1)) / np.maximum(known.sum(1), 1))
        at = series, panel.first[series] + positions
        is_one_time = local.n_methods > 1 and np.median(split.ends - split.cuts) < 2 * horizon
        deviation = (ONE_TIME_DEVIATION if is_one_time else LOCAL_DEVIATION) if prior else PRIOR_DEVIATION
        common = share_to_keep(moved, error, known, *at, prior=prior, deviation=deviation, size=size)
        share = shares_of_series(moved, error, known, series, positions, panel.n_series, common)
        is_used = (share > LEAST_SHARE) & ~is_mostly_at_its_end(panel)
        common_share = np.where(is_used, common, 0.0)[series, None]  # each series' own would flatter the verdict
        change = np.where(is_used[series, None], forecast - members, 0.0) + common_share * correction
        return np.where(is_used, share, 0.0), change

    def _local_widths(self, local: LocalSmoothing, split: Split) -> Floats:
        """How wide the quantiles of each series are to be, in those of the members, (n_series,).

        The geometric mean of both's spreads, weighted as the forecasts are: that of local smoothing by its mean
        absolute error from some origins of fit, that of the members by what their quantiles say there. No error counts
        more than three times what they say; of a series without any, and where there are few, that is believed.
        """
        panel, horizon = self.panel_, int(self.horizon)
        ends = split.ends if self.refit_tail else split.cuts
        n_origins = max(N_ORIGINS, N_STEPS // horizon)
        first = np.maximum(ends // 3, ends - MAX_ROWS)
        series = np.repeat(np.arange(panel.n_series), n_origins)
        steps = np.maximum(ends - 1 - first, 0)[:, None] * np.arange(1, n_origins + 1) // n_origins
        positions = (first[:, None] + steps).ravel()
        error = truth_at(panel, ends, series, positions, horizon) - local.forecast(panel, series, positions, horizon)
        quantiles = _mean([m.model.quantiles(panel, series, positions, list(SPREAD)) for m in self.members_])
        known, said = ~np.isnan(error), SAID * np.diff(quantiles)[..., 0]
        made = np.minimum(np.abs(np.nan_to_num(error)), MOST_ERROR * said)
        made, said, count = (np.bincount(series, (x * known).sum(1), panel.n_series) for x in (made, said, known))
        ratio = np.divide(made, said, out=np.ones(panel.n_series), where=made > 0)
        told = count * min(N_OWN / horizon, 1)
        return np.maximum(ratio, LEAST_ERROR) ** (local.share * told / (told + N_PRIOR))

    def _seasonal_widths(self, split: Split, checks: list[TailCheck]) -> SeasonalWidths | None:
        """How much wider quantiles are to be at one phase of the season than at another; None if none is told."""
        panel, horizon, season_length = self.panel_, int(self.horizon), self.season_length_
        is_told = tells_phase(panel) or panel.axis.kind == "integer"
        if season_length == 1 or not is_told or self.members_[0].model.distribution is not None:
            return None

        def made(series: Integers, positions: Integers, ends: Integers) -> Forecasts:
            levels = [FAR[0], SPREAD[0], 0.5, SPREAD[1], FAR[1]]
            quantiles = self._quantile_panel(panel, series, positions, horizon, levels)
            truth = truth_at(panel, ends, series, positions, horizon)
            quantiles, truth = (self._as_spread(x, panel, series, positions) for x in (quantiles, truth[..., None]))
            return Forecasts(series, positions, quantiles, truth[..., 0])

        ends = split.ends if self.refit_tail else split.cuts
        fit, tail = made(*origins_by_phase(panel, ends, horizon, season_length), ends), None
        if checks:
            tail = made(*tail_truth(panel, split, horizon)[:2], split.ends)
            forecast = _mean([check.forecast for check in checks])[..., None]  # from before the tail was learned from
            moved = self._as_spread(forecast, panel, tail.series, tail.positions) - tail.quantiles[..., 2:3]
            tail = tail._replace(quantiles=tail.quantiles + moved)
        return SeasonalWidths.fitted(panel, fit, tail, season_length)

    @property
    def _is_local(self) -> bool:
        """Whether series are to be smoothed for themselves; what is given or asked for beside may speak against it."""
        return self.local_smoothing and self.lookback == "auto" and not self.calendar_

    def _judged(self, split: Split, checks: list[TailCheck]) -> dict[str, Any] | None:
        if not checks:
            return None
        return verdict_of(checks, self.panel_, split, scales(self, self.panel_), self.season_length_).to_state()

    def _wanted(self, panel: Panel) -> dict[str, Any]:
        """What is given, or to be chosen ("auto"); it must suit the values."""
        if self.target_transform == "log" and not np.nanmin(panel.values) >= 0:
            raise ValueError('target_transform="log" needs values of at least 0. Use "asinh" or "auto".')
        return {name: getattr(self, name) for name in ("target_transform", "normalization", "lookback")}

    def _fit_members(
        self, split: Split, choices: list[Choice], past_only: tuple[bool, ...], device: torch.device
    ) -> list[Member]:
        """Fit `n_members` models, each of another choice while these last; ridges only as long."""
        raise NotImplementedError

    def _html_repr(self) -> str:
        """Scikit-learn's picture of the estimator, and what was chosen in fit."""
        picture = estimator_html_repr(self)
        if not hasattr(self, "members_"):
            return picture
        tables = {"members": [m.report() for m in self.members_], "choices": self.choices_}
        shown = (f"<details><summary>{k}</summary>{_html_table(v)}</details>" for k, v in tables.items() if v)
        return f"{picture}<p>{html.escape(self.verdict().summary)}</p>" + "".join(shown)

    @property
    def target_transform_(self) -> str:
        """Transform of the first member."""
        return self.members_[0].choice.target_transform

    @property
    def normalization_(self) -> str:
        """Normalisation of the first member."""
        return self.members_[0].choice.normalization

    @property
    def lookback_(self) -> int:
        """Lookback of the first member."""
        return self.members_[0].choice.lookback

    @property
    def training_length_(self) -> int | None:
        """Steps of each series, the latest, that were learned from; None is all of them."""
        return self.members_[0].choice.training_length

    @property
    def penalty_(self) -> float:
        """Penalty of the first member's ridge, in units of the mean diagonal of the Gram matrix.

        1e6 leaves exponential smoothing, infinity the last value.
        """
        return self.members_[0].penalty

    @property
    def local_share_(self) -> Floats:
        """Share of local smoothing in the forecasts of each series, (n_series,)."""
        return self.local_.share if self.local_ else np.zeros(self.panel_.n_series)

    def _architecture(self, choice: Choice, past_only: tuple[bool, ...]) -> dict[str, Any]:
        """What decides the shape of a network."""
        window = min(choice.lookback, self.season_length_) + int(self.horizon)
        return {
            "lookback": choice.lookback,
            "horizon": int(self.horizon),
            "past_only": past_only,
            "normalization": choice.normalization,
            "n_calendar": len(Calendar(self.calendar_)),
            "season_length": self.season_length_,
            "n_curves": n_products(choice.curves),
            "n_phases": 0 if choice.penalty else phases_of(self.panel_, self.season_length_, window),
        }

    def _begun(self, choices: list[Choice]) -> list[Choice]:
        """These, or those of members whose training goes on."""
        return choices

    def _build(self, architecture: dict[str, Any]) -> ForecastNetwork:
        """A new network."""
        return ForecastNetwork(**architecture)

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        mean = _mean([m.model.forecast(panel, series, positions) for m in self.members_])[:, :horizon]
        return self._moved(mean, panel, series, positions)[0]

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        at, wanted = (panel, series, positions), [*quantiles, *SPREAD, 0.5]
        found = _mean([m.model.quantiles(*at, wanted) for m in self.members_])[:, :horizon]
        if self.local_ is None and self.widths_ is None:
            return found[..., : len(quantiles)]
        center, width = (x[..., None] for x in self._moved(found[..., -1], *at))
        added = self._as_spread(self._kept_positive(center + width * (found - found[..., -1:]), found), *at)
        center, middle, spread = (self._as_spread(x, *at) for x in (center, found[..., -1:], found))
        spread = (added + center + width * (spread - middle)) / 2  # low quantiles move by factors, high ones by steps
        if self.widths_ is not None:
            spread = self.widths_.spread(spread, *at)
        return self._as_values(spread[..., : len(quantiles)], *at)

    def _moved(self, middle: Floats, panel: Panel, series: Integers, positions: Integers) -> tuple[Floats, Floats]:
        """Medians (n, horizon) moved to local smoothing, and what their spread is multiplied by."""
        if self.local_ is None:
            return middle, np.ones_like(middle)
        center, width = self.local_.moved(middle, panel, series, positions)
        return self._kept_positive(center, middle), width

    def _kept_positive(self, moved: Floats, found: Floats) -> Floats:
        return np.maximum(moved, LEAST_LEFT * found) if self.target_transform_ == "log" else moved

    def _as_spread(self, values: Floats, panel: Panel, series: Integers, positions: Integers) -> Floats:
        """Values (n, horizon, n_outputs) as they are spread about the median: as logarithms, if all members are."""
        if not self._spreads_by_factors:
            return values
        shift, least = self._shift(panel, series, positions)
        return np.log(np.maximum(values - shift, least))

    def _as_values(self, spread: Floats, panel: Panel, series: Integers, positions: Integers) -> Floats:
        """Undo ``_as_spread``."""
        if not self._spreads_by_factors:
            return spread
        return np.maximum(np.exp(spread) + self._shift(panel, series, positions)[0], 0.0)

    def _shift(self, panel: Panel, series: Integers, positions: Integers) -> tuple[Floats, Floats]:
        """What is taken from values before their logarithms are, and the least that may be left, (n, 1, 1) each."""
        model = max((member.model for member in self.members_), key=lambda model: model.network.lookback)
        scaling, number = model.units(panel, series, positions)
        return scaling.shift[number, None, None], LEAST * scaling.spread[number, None, None]

    @property
    def _spreads_by_factors(self) -> bool:
        """Whether all members forecast logarithms."""
        return all(member.choice.target_transform == "log" for member in self.members_)

    @property
    def _longest(self) -> int:
        return self.members_[0].architecture["horizon"]

    @property
    def _reach(self) -> int:
        reach = max(m.architecture["lookback"] for m in self.members_)
        return max(reach, MAX_ROWS) if self.local_ else reach

    def _stepper(self) -> "WindowForecaster":
        """What writes a path on: the members, which read a window of it; local smoothing would read 1,000 rows."""
        stepper = object.__new__(type(self))  # copy() would take the members from a GPU and back
        stepper.__dict__ = {**vars(self), "local_": None}
        return stepper

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "members_" in state:  # a pickle made on a GPU can be read without one
            state = {**state, "members_": [member.moved(torch.device("cpu")) for member in state["members_"]]}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._to_device()

    def _to_device(self) -> None:
        """Go to the device that is asked for, if it is there."""
        if "members_" in vars(self):
            try:
                device = _device(self.device)
            except ValueError:
                device = torch.device("cpu")
            self.members_ = [member.moved(device) for member in self.members_]

    def _get_state(self) -> dict[str, Any]:
        state = super()._get_state()
        if "members_" not in state:
            return state
        local = self.local_.to_state() if self.local_ else None
        widths = asdict(self.widths_) if self.widths_ else None
        return {**state, "members_": [m.to_state() for m in self.members_], "local_": local, "widths_": widths}

    def _set_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "model_" in state:  # a file of seqcast 0.1 with its one network
            names = {"history_": "history", "penalty_": "penalty", "shrinkage_": "shrinkage"}
            report = {new: state.pop(old) for old, new in names.items() if old in state}
            state["members_"] = [{"architecture": state.pop("architecture_"), "model": state.pop("model_"), **report}]
        super()._set_state(state)
        if "members_" in state:
            self.calendar_ = state.get("calendar_", ())  # files of 0.1.0 have none
            local = state.get("local_")  # nor this
            self.local_ = LocalSmoothing.from_state(local) if local else None
            widths = state.get("widths_")  # nor this
            self.widths_ = SeasonalWidths(**widths) if widths else None
            self.members_ = [Member.from_state(self._build(part["architecture"]), part) for part in state["members_"]]
            self._to_device()


def _html_table(rows: list[dict[str, Any]]) -> str:
    return pd.DataFrame(rows).to_html(float_format="{:.4g}".format)


def _mean(forecasts: list[Floats]) -> Floats:
    return np.mean(forecasts, axis=0) if len(forecasts) > 1 else forecasts[0]


def _device(name: str) -> torch.device:
    """The device of that name, which must be there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'device={name!r} is not there ({str(error).splitlines()[0]}). Use "auto" or "cpu".'
        ) from error
