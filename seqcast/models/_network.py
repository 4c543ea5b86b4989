"""WindowForecaster and NetworkForecaster: from a panel to a trained network, and its forecasts back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.utils import check_random_state, estimator_html_repr
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
    text,
)
from seqcast.base import BaseForecaster
from seqcast.frames import SERIES
from seqcast.models._calibration import LEVELS, fit_linear, residual_spread, set_typical_scale, trusted_share
from seqcast.models._member import Member
from seqcast.models._model import WindowModel
from seqcast.models._task import Choice, Split, Task, choose, make_task, patch_length_for, split_in_time
from seqcast.networks.embedding import PatchEmbedding
from seqcast.networks.forecast import ForecastNetwork
from seqcast.networks.heads import Head, QuantileHead
from seqcast.networks.normalization import NORMALIZATIONS
from seqcast.panel import Panel
from seqcast.training import LOSSES, TrainingOptions, fit_network, loss_function
from seqcast.transforms import TRANSFORMS

__all__ = ["NetworkForecaster", "WindowForecaster"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TAIL_SHARE, TAIL_RATE = 0.2, 0.3  # of the best number of steps, of the learning rate: training on everything at the end
N_TAILS = 3  # horizons, at least, by which choices are ranked
FEWEST_STEPS, MOST_STEPS, STEPS_A_WINDOW = 200, 3200, 2  # what max_steps="auto" comes to
SMALLEST_BATCH, LARGEST_BATCH, BATCHES_OF_AN_EPOCH = 32, 256, 32  # what batch_size="auto" comes to
USUAL_SHARE = 0.5  # of a network's correction, before the tail has been looked at
SEEDING = Lock()  # torch initialises weights from one generator for the whole process
STEPS_UNCHECKED = 200  # steps, at most, where the data are too few for validation


@parameters
class WindowForecaster(BaseForecaster):
    """Base of the forecasters that read a window: one model for all series, chosen and checked on the tail in time."""

    lookback: int | str = option(
        "auto", any_of(at_least(1), one_of("auto")), "Steps before the origin that a forecast reads."
    )
    normalization: str = option(
        "auto", one_of("auto", *NORMALIZATIONS), "How a window is put in units of its own past."
    )
    target_transform: str = option(
        "auto", one_of("auto", *TRANSFORMS), "Transform of the target, undone in the forecast."
    )
    validation_fraction: float = option(
        0.1, between(0, 0.5), "Share of each series, its end, for choices and early stopping."
    )
    refit_tail: bool = option(
        True, boolean(), "Whether the tail is learned from too, once it has served for validation."
    )
    device: str = option("auto", text(), 'Device of torch; "auto" is the first GPU if there is one.')

    def _fit_panel(self, panel: Panel) -> None:
        device = _device(self.device)
        split = split_in_time(panel, self.horizon, self.validation_fraction)
        if self.target_transform == "log" and not np.nanmin(panel.values) >= 0:
            raise ValueError('target_transform="log" needs values of at least 0. Use "asinh" or "auto".')
        past_only = tuple(self.schema_.past_mask.tolist())
        choices, self.choices_ = choose(
            split_in_time(panel, N_TAILS * self.horizon, self.validation_fraction),
            past_only,
            horizon=self.horizon,
            season_length=self.season_length_,
            wanted={name: getattr(self, name) for name in Choice.__dataclass_fields__},
        )
        self.members_: list[Member] = self._fit_members(split, choices, past_only, device)

    def _fit_members(
        self, split: Split, choices: list[Choice], past_only: tuple[bool, ...], device: torch.device
    ) -> list[Member]:
        """Fit one model for each choice, or for the best of them."""
        raise NotImplementedError

    def _html_repr(self) -> str:
        """Scikit-learn's picture of the estimator, and what was chosen in fit."""
        picture = estimator_html_repr(self)
        if not hasattr(self, "members_"):
            return picture
        tables = {"members": [m.report() for m in self.members_], "choices": self.choices_}
        shown = (f"<details><summary>{k}</summary>{_html_table(v)}</details>" for k, v in tables.items() if v)
        return picture + "".join(shown)

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
    def penalty_(self) -> float:
        """Penalty of the first member's ridge, in units of the mean diagonal of the Gram matrix; inf is no ridge."""
        return self.members_[0].penalty

    def _architecture(self, choice: Choice, past_only: tuple[bool, ...]) -> dict[str, Any]:
        """What decides the shape of a network."""
        return {
            "lookback": choice.lookback,
            "horizon": int(self.horizon),
            "past_only": past_only,
            "normalization": choice.normalization,
        }

    def _build(self, architecture: dict[str, Any]) -> ForecastNetwork:
        """A new network."""
        return ForecastNetwork(**architecture)

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        return _mean([m.model.forecast(panel, series, positions) for m in self.members_])[:, :horizon]

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        return _mean([m.model.quantiles(panel, series, positions, quantiles) for m in self.members_])[:, :horizon]

    @property
    def _longest(self) -> int:
        return self.members_[0].architecture["horizon"]

    @property
    def _reach(self) -> int:
        return max(m.architecture["lookback"] for m in self.members_)

    def _get_state(self) -> dict[str, Any]:
        state = super()._get_state()
        return {**state, "members_": [m.to_state() for m in self.members_]} if "members_" in state else state

    def _set_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "model_" in state:  # a file of seqcast 0.1 with its one network
            names = {"history_": "history", "penalty_": "penalty", "shrinkage_": "shrinkage"}
            report = {new: state.pop(old) for old, new in names.items() if old in state}
            state["members_"] = [{"architecture": state.pop("architecture_"), "model": state.pop("model_"), **report}]
        super()._set_state(state)
        if "members_" in state:
            self.members_ = [Member.from_state(self._build(part["architecture"]), part) for part in state["members_"]]


@parameters
class NetworkForecaster(WindowForecaster):
    """Base of the network forecasters: the mean of members, each a linear forecast and a network that corrects it.

    Members differ in seed and, where the past does not settle it, in transform, normalisation and lookback;
    ``members_`` holds them and ``choices_`` the errors by which they were chosen.
    A subclass implements ``_make_backbone``.
    """

    patch_length: int | str = option(
        "auto", any_of(at_least(1), one_of("auto")), "Steps that make one token; 1 reads step by step."
    )
    linear_skip: bool = option(
        True, boolean(), "Whether the network corrects a ridge regression, rather than forecasting alone."
    )
    loss: str = option(
        "mae", one_of(*LOSSES), "What training minimises; quantile gives the levels of `quantiles` at once."
    )
    quantiles: tuple = option(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        each(between(0, 1, closed="neither")),
        'Levels of loss="quantile".',
    )
    hidden_size: int = option(64, at_least(1), "Width of the tokens and of every layer.")
    n_layers: int = option(1, at_least(1), "Layers of the backbone.")
    dropout: float = option(0.1, between(0, 1, closed="left"), "Share of the units that a training step leaves out.")
    learning_rate: float = option(
        1e-3, positive(), "Highest rate of AdamW, after a short warm-up; a cosine leads to 0."
    )
    weight_decay: float = option(0.01, between(0, 10), "Weight decay of AdamW.")
    batch_size: int | str = option(
        "auto", any_of(at_least(1), one_of("auto")), "Windows of one training step; fewer where there are few."
    )
    max_steps: int | str = option(
        "auto", any_of(at_least(1), one_of("auto")), "Training steps, at most; fewer where there are few windows."
    )
    early_stopping: bool = option(True, boolean(), "Whether training stops when the validation loss does not improve.")
    n_iter_no_change: int = option(1, at_least(1), "Rounds in a row without a better one that end training.")
    n_members: int = option(3, at_least(1), "Networks whose forecasts are averaged, each with another good choice.")
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
        Choices, linear forecast and the width of the quantiles stay as they were fitted.
        """
        if not hasattr(self, "members_"):
            return self.fit(X, y)
        self.update(X, y)
        split = split_in_time(self.panel_, self._longest, 0)
        for member, seed in zip(self.members_, _seeds(self.random_state, len(self.members_)), strict=True):
            task = make_task(split, member.choice, self._longest, member.model.device, member.model)
            options = self._training_options(member.architecture, len(task.everything.rows))
            generator = torch.Generator().manual_seed(seed)
            member.history, _ = fit_network(member.model.network, task.everything, None, options, generator)
        return self

    def _fit_members(
        self, split: Split, choices: list[Choice], past_only: tuple[bool, ...], device: torch.device
    ) -> list[Member]:
        former: list[Member] = getattr(self, "members_", []) if self.warm_start else []
        if len(former) == self.n_members:
            given = {name: getattr(self, name) for name in Choice.__dataclass_fields__ if getattr(self, name) != "auto"}
            choices = [replace(m.choice, **given) for m in former]
        seeds = _seeds(self.random_state, self.n_members)
        work = [
            (choices[k % len(choices)], seed, former[k] if k < len(former) else None) for k, seed in enumerate(seeds)
        ]
        with single_threads(min(self.n_members, torch.get_num_threads()), device) as n_jobs:
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
        task = make_task(split, choice, self.horizon, device)
        architecture = self._architecture(choice, past_only)
        with SEEDING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self._build(architecture)
        network.to(device)
        if former is not None:
            _copy_weights(former.model.network, network)
        levels = np.array(architecture["levels"])
        model = WindowModel(
            network, task.scaling, task.features, self.panel_.ids, levels if levels.size else LEVELS, None
        )
        member = Member(architecture, model)
        spread = self._train(member, task, torch.Generator().manual_seed(seed))
        if not levels.size:
            member.model = replace(model, spread=spread)
        return member

    def _architecture(self, choice: Choice, past_only: tuple[bool, ...]) -> dict[str, Any]:
        patch_length = self.patch_length
        if patch_length == "auto":
            patch_length = patch_length_for(choice.lookback, self.season_length_)
        names = ("hidden_size", "n_layers", "dropout", "linear_skip", *self._backbone_options)
        levels = tuple(sorted(set(self.quantiles))) if self.loss == "quantile" else ()
        own = {**{name: getattr(self, name) for name in names}, "patch_length": patch_length, "levels": levels}
        return super()._architecture(choice, past_only) | own

    _backbone_options: tuple[str, ...] = ()

    def _build(self, architecture: dict[str, Any]) -> ForecastNetwork:
        a = architecture
        lookback, horizon, past_only, patch_length, levels = (
            a[k] for k in ("lookback", "horizon", "past_only", "patch_length", "levels")
        )
        n_features, width = len(past_only), a["hidden_size"]
        embedding = PatchEmbedding(
            lookback, horizon, n_features, patch_length=patch_length, width=width, dropout=a["dropout"]
        )
        head = Head(width, horizon, n_features - sum(past_only), patch_length=patch_length, n_outputs=len(levels) or 1)
        return ForecastNetwork(
            lookback=lookback,
            horizon=horizon,
            past_only=past_only,
            normalization=a["normalization"],
            linear_skip=a["linear_skip"],
            backbone=self._make_backbone(a, embedding.n_past, embedding.n_future),
            embedding=embedding,
            head=QuantileHead(head, int(np.argmin(np.abs(np.array(levels) - 0.5)))) if levels else head,
        )

    def _make_backbone(self, options: dict[str, Any], n_past: int, n_future: int) -> nn.Module:
        """A module: ``forward(past, future)`` of tokens (n, n_past, hidden_size) and (n, n_future, hidden_size)."""
        raise NotImplementedError

    def _train(self, member: Member, task: Task, generator: torch.Generator) -> Floats:
        """Train the network, decide how far to trust it, measure its errors on the tail, and learn from the tail."""
        network, options = member.model.network, self._training_options(member.architecture, len(task.train.rows))
        set_typical_scale(network, task.train)
        member.penalty = fit_linear(network, task.train, task.validation) if self.linear_skip else np.inf
        if task.validation is None:
            self._train_unchecked(member, task, options, generator)
            return residual_spread(network, task.everything)
        member.history, best_step = fit_network(network, task.train, task.validation, options, generator)
        if self.linear_skip:
            prior = USUAL_SHARE if np.isfinite(member.penalty) else 0.0
            share = trusted_share(network, task.validation, task.tail_series, task.tail_times, prior=prior)
            network.shrinkage.fill_(share)
        spread = residual_spread(network, task.validation)
        if self.refit_tail:
            self._learn_tail(member, task, replace(options, max_steps=int(TAIL_SHARE * best_step)), generator)
        return spread

    def _train_unchecked(
        self, member: Member, task: Task, options: TrainingOptions, generator: torch.Generator
    ) -> None:
        """Without validation a network beside a linear forecast is not to be trusted; alone, it makes a few steps."""
        network = member.model.network
        network.shrinkage.fill_(0.0 if self.linear_skip else 1.0)
        steps = 1 if self.linear_skip else min(options.max_steps, STEPS_UNCHECKED)
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


def _html_table(rows: list[dict[str, Any]]) -> str:
    return pd.DataFrame(rows).to_html(float_format="{:.4g}".format)


def _mean(forecasts: list[Floats]) -> Floats:
    return np.mean(forecasts, axis=0) if len(forecasts) > 1 else forecasts[0]


@contextmanager
def single_threads(n_jobs: int, device: torch.device) -> Iterator[int]:
    """One torch thread for each of the members that are trained side by side; the user's setting comes back."""
    n_threads = torch.get_num_threads()
    if n_jobs == 1 or device.type != "cpu":
        yield 1
        return
    torch.set_num_threads(1)
    try:
        yield n_jobs
    finally:
        torch.set_num_threads(n_threads)


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


def _seeds(random_state: Any, n: int) -> list[int]:
    """A seed for each member."""
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    return [int(random.randint(2**31 - 1)) for _ in range(n)]


def _copy_weights(source: ForecastNetwork, target: ForecastNetwork) -> None:
    """Begin where another network ended, if it has the same shape."""
    old, new = source.state_dict(), target.state_dict()
    if {k: v.shape for k, v in old.items()} == {k: v.shape for k, v in new.items()}:
        target.load_state_dict(old)
        target.shrinkage.fill_(1.0)  # what was learned of it is to be learned anew
