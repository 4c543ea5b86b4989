"""RidgeForecaster: the linear skip of the networks, alone."""

import torch

from seqcast._parameters import parameters
from seqcast.models._calendar import Calendar
from seqcast.models._calibration import fit_elasticity, fit_linear, residual_spread, set_typical_scale
from seqcast.models._member import Member
from seqcast.models._model import WindowModel
from seqcast.models._split import Split
from seqcast.models._tail import check_tail
from seqcast.models._task import Choice, make_task
from seqcast.models._window import WindowForecaster
from seqcast.paths import LEVELS

__all__ = ["RidgeForecaster"]


@parameters
class RidgeForecaster(WindowForecaster):
    """Forecast by ridge regression of the whole horizon on the window and the covariates, one for all series.

    Where the past does not settle transform and lookback, it is the mean of some, each with another. Every series is
    smoothed for itself too (`local_smoothing`), and both are averaged.

    Attributes
    ----------
    penalty_ : float
        In units of the mean diagonal of the Gram matrix; 1e6 leaves exponential smoothing, infinity the last value.
    lookback_, normalization_, target_transform_, training_length_
        As given or chosen, like the penalty of the first member; ``members_`` holds all, `choices_` the errors of what
        was tried on the validation tail.
    local_share_ : ndarray of shape (n_series,)
        Of local smoothing in the forecasts of each series: a half (two thirds of short series, none where the last
        value was chosen), or more or less by what its tail says and those of all; 0 where it is not used, as of series
        of which more than half of the values are the lowest or the highest.
    widths_ : SeasonalWidths or None
        ``widths_.factors`` (n_series + 1, season_length): what spreads are multiplied by at each phase of the season;
        the last row is of series that fit did not see.

    Notes
    -----
    ``B = argmin |Y - Z B|^2 + penalty |B - B0|^2`` over all windows, each in units of its own past. B0 is exponential
    smoothing with level, damped trend and season, or with a level that returns to the mean of the window, the best for
    these windows, of what known covariates leave; of each its effect is added, the same at every step, as far as it is
    no noise. Where windows are few, B0 is all there is, unless the tail is clearly for more. Up to ten covariates that
    are known ahead and take more than two values are squared, up to four also multiplied, where that gains more than 10
    % and 1.64 standard errors over the tail and two stretches before it (``curves`` in `choices_`); forecasts then lie
    no farther outside the targets of fit, seen from their windows, than these are apart. Where dates tell the phase of
    the season and windows are many, each phase (each hour of the day) has something of its own added, learned from what
    is left there: a share of it, by the tail that the verdict rests on too. Phases are the steps of seasons of 4 to 48
    steps; of a season of a multiple of 48 (quarters of an hour, 5 minutes) a 48th is one.

    The spread of quantiles is multiplied at each phase of the season, where times are given: by the errors of fit
    there over what quantiles say, as far as phases differ by more than chance and the tail agrees. In a time zone the
    phases of a day are those of its clock, while the lags of the window count steps.

    Local smoothing is for seasons of up to 24 steps and panels of up to four million rows, with ``lookback="auto"``,
    without calendar columns: level, damped trend or return to the mean, and season, of values or of logarithms, are
    averaged by Akaike's weights; where the usual series has up to 512 rows, levels that drift, as in the Theta method,
    stand beside them and count alike, and forecasts without known covariates stay near the values. It reads the last
    1,000 rows of a series, less the effects of known covariates. The quantiles move with the forecast and are as wide
    as its errors in fit say too, by its share; paths written on step by step go without. Its share and the verdict come
    from one tail.

    Of fewer than 200 windows no transform is tried but the logarithm, which growing series may ask for, and the errors
    that tell the quantiles count with both signs and as those of Student's distribution, with as many degrees of
    freedom as there are whole horizons of unrelated series, less one.

    Examples
    --------
    >>> import numpy as np
    >>> y = 10 + np.sin(2 * np.pi * np.arange(120) / 12)
    >>> model = RidgeForecaster(horizon=3, season_length=12).fit(y)
    >>> model.forecast().round(2).tolist()
    [10.0, 10.5, 10.87]
    """

    def _fit_members(
        self, split: Split, choices: list[Choice], past_only: tuple[bool, ...], device: torch.device
    ) -> list[Member]:
        alike = [choice for choice in choices if choice.normalization == choices[0].normalization]  # and so are widths
        return [self._fit_member(split, choice, past_only, device) for choice in alike[: self.n_members]]

    def _fit_member(self, split: Split, choice: Choice, past_only: tuple[bool, ...], device: torch.device) -> Member:
        architecture = self._architecture(choice, past_only)
        task = make_task(split, choice, self.horizon, device, architecture=architecture)
        network = self._build(architecture).to(device)
        set_typical_scale(network, task.train)
        penalty = fit_linear(network, task.train, task.validation, task.tail, penalty=choice.penalty)
        fit_elasticity(network, task.train)
        spread = residual_spread(network, task.train, task.validation)
        extras = spread, Calendar(self.calendar_), split.curves
        model = WindowModel(network, task.scaling, task.features, self.panel_.ids, LEVELS, *extras)
        check = check_tail(model, self.panel_, split, task) if task.validation else None
        if self.refit_tail and task.validation:
            fit_linear(network, task.everything, None, penalty=penalty)
        return Member(architecture, model, penalty, choice.training_length, check=check)
