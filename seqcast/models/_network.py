"""NetworkForecaster: members made, trained, checked on the tail and trained on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, Self

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from seqcast._parameters import (
    any_of,
    anything,
    at_least,
    between,
    boolean,
    each,
    one_of,
    option,
    parameters,
    positive,
)
from seqcast.frames import SERIES
from seqcast.models._calendar import Calendar
from seqcast.models._calibration import (
    fit_elasticity,
    fit_linear,
    fit_width,
    has_few_windows,
    residual_spread,
    set_typical_scale,
    trusted_share,
)
from seqcast.models._member import Member
from seqcast.models._model import WindowModel, check_counts
from seqcast.models._split import Split, split_in_time
from seqcast.models._tail import check_tail
from seqcast.models._task import Choice, Task, make_task, patch_length_for
from seqcast.models._window import WindowForecaster
from seqcast.networks.distributions import DISTRIBUTIONS, Distribution
from seqcast.networks.embedding import PatchEmbedding
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.heads import Head, finished_head
from seqcast.panel import Panel
from seqcast.paths import LEVELS
from seqcast.training import LOSSES, Loss, Sample, TrainingOptions, fit_network, loss_function

__all__ = ["NetworkForecaster"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TAIL_SHARE, TAIL_RATE = 0.2, 0.3  # of the best number of steps, of the learning rate: training on everything at the end
FEWEST_STEPS, MOST_STEPS, STEPS_A_WINDOW = 200, 3200, 2  # what max_steps="auto" comes to
SMALLEST_BATCH, LARGEST_BATCH, BATCHES_OF_AN_EPOCH = 32, 256, 32  # what batch_size="auto" comes to
USUAL_SHARE = 0.5  # of a network's correction, before the tail has been looked at
SEEDING = Lock()  # torch initialises weights from one generator for the whole process
STEPS_UNCHECKED = 200  # steps, at most, where the data are too few for validation


@parameters
class NetworkForecaster(WindowForecaster):
    """Base of the network forecasters: the mean of members, each a linear forecast and a network that corrects it.

    Members differ in seed and, where the past does not settle it, in transform, normalisation and lookback;
    ``members_`` holds them and ``choices_`` the errors of what was tried on the validation tail. Every series is
    smoothed for itself too, by its ``local_share_``, and spreads widened by ``widths_``, as `RidgeForecaster` says.
    """

    patch_length: int | str = option(
        "auto", any_of(at_least(1), one_of("auto")), "Steps that make one token; 1 reads step by step."
    )
    linear_skip: bool = option(
        True, boolean(), "Whether the network corrects a ridge regression, rather than forecasting alone."
    )
    loss: str = option(
        "quantile", one_of(*LOSSES), "What training minimises; quantile gives all `quantiles`, of 200 windows or more."
    )
    quantiles: tuple = option(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        each(between(0, 1, closed="neither")),
        'Levels of loss="quantile".',
    )
    series_embedding: bool = option(
        False, boolean(), "Whether every series of `fit` has a learned vector; others forecast without."
    )
    hidden_size: int = option(64, at_least(1), "Width of the tokens and of every layer.")
    n_layers: int = option(1, at_least(1), "Layers of the backbone.")
    dropout: float = option(0.1, between(0, 1, closed="left"), "Share of the units that a training step leaves out.")
    learning_rate: float = option(
        3e-3, positive(), "Highest rate of AdamW, after a short warm-up; a cosine leads to 0."
    )
    weight_decay: float = option(0.01, between(0, 10), "Weight decay of AdamW.")
    batch_size: int | str = option(
        "auto", any_of(at_least(1), one_of("auto")), "Windows of one training step; fewer where there are few."
    )
    max_steps: int | str = option("auto", any_of(at_least(1), one_of("auto")), "Steps, fewer of few windows.")
    early_stopping: bool = option(True, boolean(), "Whether training stops when the validation loss does not improve.")
    n_iter_no_change: int = option(1, at_least(1), "Rounds in a row without a better one that end training.")
    warm_start: bool = option(False, boolean(), "Whether another fit begins at the weights of the last.")
    random_state: Any = option(None, anything(), "Seed of weights, order and dropout.")
    verbose: bool = option(False, boolean(), "Whether a progress bar is shown.")

    @property
    def shrinkage_(self) -> float:
        """Share of the network's correction that is kept, the mean over the members."""
        return float(np.mean([float(m.model.network.shrinkage) for m in self.members_]))

    @property
    def history_(self) -> dict[str, list[float]]:
        """Losses of the first member by step."""
        return self.members_[0].history

    @property
    def patch_length_(self) -> int:
        """Steps of a token of the first member."""
        return self.members_[0].architecture["patch_length"]

    def partial_fit(self, X: Any, y: Any = SERIES) -> Self:
        """Take in new observations and train on, on everything, at most `max_steps` steps.

        Parameters
        ----------
        X, y
            As in ``update``; the first call is a ``fit``.

        Returns
        -------
        self

        Notes
        -----
        Choices, linear forecast and width of the quantiles stay; these are learned once windows are many (200).
        """
        if not hasattr(self, "members_"):
            return self.fit(X, y)
        self.ends_ = self.update(X, y).panel_.ends
        split = split_in_time(self.members_[0].model.extended(self.panel_), self._longest, 0)
        for member, seed in zip(self.members_, _seeds(self.random_state, len(self.members_)), strict=True):
            model, architecture = member.model, member.architecture
            task = make_task(split, member.choice, self._longest, model.device, model, architecture=architecture)
            options = self._training_options(architecture, len(task.everything.rows))
            generator = torch.Generator().manual_seed(seed)
            member.history, _ = fit_network(model.network, task.everything, None, options, generator)
            if model.spread is not None and architecture["levels"]:
                self._measure(member, task.everything, None, options.loss)
        return self

    def distribution(self, horizon: int | None = None, X: Any = None, *, history: Any = None) -> Any:
        """Return the parameters of the predictive distributions of a network with such a loss.

        Parameters
        ----------
        horizon, X, history
            As in ``forecast``, with a horizon that is at most the fitted one.

        Returns
        -------
        DataFrame or ndarray
            As quantiles come from ``forecast``, with columns ``loc, scale`` (normal), ``loc, scale, df`` (student_t) or
            ``mean, dispersion`` (negative_binomial, with variance mean + dispersion mean²): the mean over the members.

        Raises
        ------
        ValueError
            If the loss is none of these.

        Notes
        -----
        With ``target_transform_`` "log" or "asinh" they are those of ``log(y - shift)`` or
        ``asinh((y - shift) / spread)``, with the shift and spread of each series in fit.
        """
        check_is_fitted(self)
        layout, history_ = self._history(X, history)
        panel, horizon = self._ahead(history_, X, horizon)
        values = self._parameters(panel, np.arange(panel.n_series), history_.lengths, horizon)
        return self.schema_.assemble_steps(layout, history_, values, self._family().names, "parameter")

    def log_likelihood(self, X: Any, y: Any = SERIES) -> float:
        """Return the mean log-likelihood of what came after the history, each series from its end at once.

        Parameters
        ----------
        X, y
            As in ``update``, at most the fitted horizon; NaN is left out.

        Returns
        -------
        float
            Of the target in its own unit, per known step; higher is better.

        Raises
        ------
        ValueError
            If the loss is no distribution, or rows do not follow the history.
        """
        check_is_fitted(self)
        self._family()
        new = self._panel(X, y, start=int(self.panel_.ends[0]))
        if self._gives_counts:
            check_counts(new, self.loss)
        codes = np.array([self.panel_.ids.index(label) for label in new.ids])
        panel = self.panel_.merged(new, codes)
        horizon = int((panel.ends - self.panel_.ends).max())
        if horizon < 1:
            raise ValueError("The rows do not follow the history. Give those that came after it.")
        at = np.arange(panel.n_series), self.panel_.lengths
        ahead = panel.cut(at[0], at[1], at[1] + horizon)  # NaN where nothing came
        actual = ahead.values.reshape(-1, horizon)
        parameters = self._parameters(panel, *at, horizon)
        return float(np.nanmean(self.members_[0].model.log_density(panel, at[0], parameters, actual)))

    def _family(self) -> Distribution:
        family = self.members_[0].model.distribution
        if family is None:
            raise ValueError(f"loss={self.loss!r} gives no distribution. Fit with loss= one of {list(DISTRIBUTIONS)}.")
        return family

    def _parameters(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        self._family()
        if not 1 <= horizon <= self._longest:
            raise ValueError(f"horizon={horizon} lies outside 1 to {self._longest}, the fitted one. Fit with more.")
        return np.mean([m.model.parameters(panel, series, positions)[:, :horizon] for m in self.members_], axis=0)

    @property
    def _gives_counts(self) -> bool:
        return self.loss in DISTRIBUTIONS and DISTRIBUTIONS[self.loss].is_count

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        if self._gives_counts:
            return self._quantile_panel(panel, series, positions, horizon, [0.5])[..., 0]
        return super()._forecast_panel(panel, series, positions, horizon)

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        if self._gives_counts:  # the mean of quantiles is no count
            return self._family().quantiles(self._parameters(panel, series, positions, horizon), np.asarray(quantiles))
        return super()._quantile_panel(panel, series, positions, horizon, quantiles)

    def _wanted(self, panel: Panel) -> dict[str, Any]:
        if not self._gives_counts:
            return super()._wanted(panel)
        check_counts(panel, self.loss)
        if self.target_transform not in ("auto", "none"):
            raise ValueError(f'loss={self.loss!r} is one of counts: target_transform must be "auto" or "none".')
        normalization = "mean" if self.normalization == "auto" else self.normalization  # a rare count's last value is 0
        return {**super()._wanted(panel), "target_transform": "count", "normalization": normalization}

    @property
    def _is_local(self) -> bool:
        return bool(self.linear_skip) and self.loss not in DISTRIBUTIONS and super()._is_local

    @property
    def _former(self) -> list[Member]:
        return getattr(self, "members_", []) if self.warm_start else []

    def _begun(self, choices: list[Choice]) -> list[Choice]:
        if len(self._former) != self.n_members:
            return choices
        given = {k: v for k, v in self._wanted(self.panel_).items() if v != "auto"}
        return [replace(member.choice, **given) for member in self._former]

    def _fit_members(
        self, split: Split, choices: list[Choice], past_only: tuple[bool, ...], device: torch.device
    ) -> list[Member]:
        if self.loss in DISTRIBUTIONS:  # parameters are averaged: they are those of one transform
            choices = [choice for choice in choices if choice.target_transform == choices[0].target_transform]
        seeds = _seeds(self.random_state, self.n_members)
        former = [*self._former, *[None] * self.n_members]
        work = [(choices[k % len(choices)], seed, former[k]) for k, seed in enumerate(seeds)]
        is_even = len({choice.lookback for choice, _, _ in work}) == 1
        wanted = self.n_members if is_even else min(self.n_members, torch.get_num_threads())
        with single_threads(wanted, device) as n_jobs:
            fit_one = delayed(self._fit_member)
            return Parallel(n_jobs, backend="threading")(fit_one(split, past_only, device, *one) for one in work)

    def _fit_member(
        self,
        split: Split,
        past_only: tuple[bool, ...],
        device: torch.device,
        choice: Choice,
        seed: int,
        former: Member | None,
    ) -> Member:
        architecture = self._architecture(choice, past_only)
        task = make_task(split, choice, self.horizon, device, architecture=architecture)
        with SEEDING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self._build(architecture).to(device)
        if former is not None:
            _copy_weights(former.model.network, network)
        extras = None, Calendar(self.calendar_), split.curves
        model = WindowModel(network, task.scaling, task.features, self.panel_.ids, LEVELS, *extras)
        member = Member(architecture, model, training_length=choice.training_length)
        self._train(member, choice, split, task, torch.Generator().manual_seed(seed))
        return member

    def _architecture(self, choice: Choice, past_only: tuple[bool, ...]) -> dict[str, Any]:
        is_given = self.patch_length != "auto"
        patch_length = self.patch_length if is_given else patch_length_for(choice.lookback, self.season_length_)
        names = "hidden_size", "n_layers", "dropout", "linear_skip", *self._backbone_options
        own = {name: getattr(self, name) for name in names} | {"patch_length": patch_length}
        own["levels"] = tuple(sorted(set(self.quantiles))) if self.loss == "quantile" else ()
        own["distribution"] = self.loss if self.loss in DISTRIBUTIONS else ""
        own["n_series"] = len(self.panel_.ids) if self.series_embedding else 0
        own |= {} if self.linear_skip else {"n_phases": 0}
        return super()._architecture(choice, past_only) | own

    _backbone_options: tuple[str, ...] = ()

    def _build(self, architecture: dict[str, Any]) -> ForecastNetwork:
        a = architecture
        lookback, horizon, past_only, patch_length, levels = (
            a[k] for k in ("lookback", "horizon", "past_only", "patch_length", "levels")
        )
        n_features, width = len(past_only), a["hidden_size"]
        embedding = PatchEmbedding(
            lookback,
            horizon,
            n_features,
            patch_length=patch_length,
            width=width,
            dropout=a["dropout"],
            n_series=a.get("n_series", 0),
        )
        family = DISTRIBUTIONS.get(a.get("distribution", ""))  # files of 0.1.0 have none
        n_outputs = len(family.names) if family else len(levels) or 1
        head = Head(width, horizon, n_features - sum(past_only), patch_length=patch_length, n_outputs=n_outputs)
        return ForecastNetwork(
            lookback=lookback,
            horizon=horizon,
            past_only=past_only,
            normalization=a["normalization"],
            linear_skip=a["linear_skip"],
            n_calendar=a.get("n_calendar", 0),
            n_phases=a.get("n_phases", 0),
            n_curves=a.get("n_curves", 0),
            season_length=a.get("season_length"),
            backbone=self._make_backbone(a, embedding.n_past, embedding.n_future),
            embedding=embedding,
            head=finished_head(head, levels, family),
        )

    def _make_backbone(self, options: dict[str, Any], n_past: int, n_future: int) -> nn.Module:
        """A module: ``forward(past, future)`` of tokens (n, n_past, hidden_size) and (n, n_future, hidden_size)."""
        raise NotImplementedError

    def _train(self, member: Member, choice: Choice, split: Split, task: Task, generator: torch.Generator) -> None:
        """Train the network, decide how far to trust it, measure its errors on the tail, and learn from the tail."""
        network, options = member.model.network, self._training_options(member.architecture, len(task.train.rows))
        set_typical_scale(network, task.train)
        if self.linear_skip:
            member.penalty = fit_linear(network, task.train, task.validation, task.tail, penalty=choice.penalty)
        if task.validation is None:
            self._train_unchecked(member, task, options, generator)
            self._measure(member, task.everything, None, options.loss)
            return
        member.history, best_step = fit_network(network, task.train, task.validation, options, generator)
        if self.linear_skip:
            prior = USUAL_SHARE * np.isfinite(member.penalty)
            network.shrinkage.fill_(trusted_share(network, task.validation, *task.tail, prior=prior))
        self._measure(member, task.train, task.validation, options.loss)
        member.check = check_tail(member.model, self.panel_, split, task, member.history, options)
        if self.refit_tail:
            self._learn_tail(member, task, replace(options, max_steps=int(TAIL_SHARE * best_step)), generator)

    def _measure(self, member: Member, train: Sample, tail: Sample | None, loss: Loss) -> None:
        """Set the width of the quantiles; a network without gets those of its errors."""
        network, levels, spread = member.model.network, np.array(member.architecture["levels"] or LEVELS), None
        fit_elasticity(network, train)
        if isinstance(network.head, Head) or has_few_windows(network, levels, train):
            levels, spread = LEVELS, residual_spread(network, train, tail)
        elif tail is not None:
            fit_width(network, tail, loss)
        member.model = replace(member.model, levels=levels, spread=spread)

    def _train_unchecked(
        self, member: Member, task: Task, options: TrainingOptions, generator: torch.Generator
    ) -> None:
        """Without validation a network is not to be trusted beside a linear forecast; alone it makes a few steps."""
        network = member.model.network
        network.shrinkage.fill_(0.0 if self.linear_skip else 1.0)
        needs_width = not isinstance(network.head, Head)
        steps = min(options.max_steps, STEPS_UNCHECKED) if needs_width or not self.linear_skip else 1
        member.history, _ = fit_network(network, task.everything, None, replace(options, max_steps=steps), generator)

    def _learn_tail(self, member: Member, task: Task, options: TrainingOptions, generator: torch.Generator) -> None:
        network = member.model.network
        if network.linear_skip:
            fit_linear(network, task.everything, None, penalty=member.penalty)
        if options.max_steps and network.shrinkage > 0:
            tail = replace(options, learning_rate=TAIL_RATE * options.learning_rate, early_stopping=False)
            fit_network(network, task.everything, None, tail, generator)

    def _training_options(self, architecture: dict[str, Any], n_windows: int) -> TrainingOptions:
        batch_size, max_steps = self.batch_size, self.max_steps
        if batch_size == "auto":
            batch_size = min(max(n_windows // BATCHES_OF_AN_EPOCH, SMALLEST_BATCH), LARGEST_BATCH)
        if max_steps == "auto":
            max_steps = min(max(STEPS_A_WINDOW * n_windows, FEWEST_STEPS), MOST_STEPS)
        return TrainingOptions(
            loss=loss_function(self.loss, architecture["levels"]),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            batch_size=int(batch_size),
            max_steps=int(max_steps),
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            verbose=self.verbose,
        )


@contextmanager
def single_threads(n_jobs: int, device: torch.device) -> Iterator[int]:
    """One torch thread for each of the members that are trained side by side; the user's setting comes back.

    More members than threads share the cores if they take equally long, so that none is idle while the last is trained.
    """
    n_threads = torch.get_num_threads()
    if 1 in (n_jobs, n_threads) or device.type != "cpu":
        yield 1
        return
    torch.set_num_threads(1)
    try:
        yield n_jobs
    finally:
        torch.set_num_threads(n_threads)


def _seeds(random_state: Any, n: int) -> list[int]:
    """A seed for each member."""
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    return [int(random.randint(2**31 - 1)) for _ in range(n)]


def _copy_weights(source: ForecastNetwork, target: ForecastNetwork) -> None:
    """Begin where another network ended, if it has the same shape."""
    own = [{k: v for k, v in n.state_dict().items() if not k.startswith("phases.")} for n in (source, target)]
    if {k: v.shape for k, v in own[0].items()} == {k: v.shape for k, v in own[1].items()}:
        target.load_state_dict(own[0], strict=False)
        target.shrinkage.fill_(1.0)  # what was learned of it is to be learned anew
