"""WindowForecaster and NetworkForecaster: from a panel to a trained network, and its forecasts back."""

from dataclasses import replace
from threading import Lock
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
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
from seqcast.models._model import WindowModel
from seqcast.models._task import Choice, Task, choose, make_task, patch_length_for, split_in_time
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
        choice, self.choices_ = choose(
            split,
            past_only,
            horizon=self.horizon,
            season_length=self.season_length_,
            wanted=self._wanted(),
        )
        self.target_transform_, self.normalization_, self.lookback_ = (
            choice.target_transform,
            choice.normalization,
            choice.lookback,
        )
        self.architecture_ = {
            "lookback": choice.lookback,
            "horizon": int(self.horizon),
            "past_only": past_only,
            "normalization": choice.normalization,
            **self._architecture(),
        }
        self.model_ = self._learn(make_task(split, choice, self.horizon, device), device)

    def _wanted(self) -> dict[str, Any]:
        """What is to be chosen, where it is "auto"."""
        return {name: getattr(self, name) for name in ("target_transform", "normalization", "lookback")}

    def _architecture(self) -> dict[str, Any]:
        """What else decides the shape of the network."""
        return {}

    def _build(self) -> ForecastNetwork:
        """A new network of the fitted architecture."""
        return ForecastNetwork(**self.architecture_)

    def _learn(self, task: Task, device: torch.device) -> WindowModel:
        raise NotImplementedError

    def _forecast_panel(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        return self.model_.forecast(panel, series, positions)[:, :horizon]

    def _quantile_panel(
        self, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
    ) -> Floats:
        return self.model_.quantiles(panel, series, positions, quantiles)[:, :horizon]

    @property
    def _longest(self) -> int:
        return self.architecture_["horizon"]

    @property
    def _reach(self) -> int:
        return self.lookback_

    def _get_state(self) -> dict[str, Any]:
        state = super()._get_state()
        return {**state, "model_": state["model_"].to_state()} if "model_" in state else state

    def _set_state(self, state: dict[str, Any]) -> None:
        super()._set_state(state)
        if "model_" in state:
            self.model_ = WindowModel.from_state(self._build(), state["model_"])


@parameters
class NetworkForecaster(WindowForecaster):
    """Base of the network forecasters: a linear forecast, and a network that corrects it.

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
    batch_size: int = option(256, at_least(1), "Windows of one training step.")
    max_steps: int = option(3200, at_least(1), "Training steps, at most.")
    early_stopping: bool = option(True, boolean(), "Whether training stops when the validation loss does not improve.")
    n_iter_no_change: int = option(1, at_least(1), "Rounds in a row without a better one that end training.")
    warm_start: bool = option(False, boolean(), "Whether another fit begins at the weights of the last.")
    random_state: Any = option(None, anything(), "Seed of weights, order and dropout.")
    verbose: bool = option(False, boolean(), "Whether a progress bar is shown.")

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
        if not hasattr(self, "model_"):
            return self.fit(X, y)
        self.update(X, y)
        split = split_in_time(self.panel_, self._longest, 0)
        choice = Choice(self.target_transform_, self.normalization_, self.lookback_)
        task = make_task(split, choice, self._longest, self.model_.device, self.model_)
        self.history_, _ = fit_network(
            self.model_.network, task.everything, None, self._training_options(), _generator(self.random_state)
        )
        return self

    def _wanted(self) -> dict[str, Any]:
        wanted = super()._wanted()
        if not self.warm_start or not hasattr(self, "model_"):
            return wanted
        return {name: getattr(self, f"{name}_") if value == "auto" else value for name, value in wanted.items()}

    def _architecture(self) -> dict[str, Any]:
        self.patch_length_ = self.patch_length
        if self.patch_length == "auto":
            self.patch_length_ = patch_length_for(self.lookback_, self.season_length_)
        names = ("hidden_size", "n_layers", "dropout", "linear_skip", *self._backbone_options)
        levels = tuple(sorted(set(self.quantiles))) if self.loss == "quantile" else ()
        return {**{name: getattr(self, name) for name in names}, "patch_length": self.patch_length_, "levels": levels}

    _backbone_options: tuple[str, ...] = ()

    def _build(self) -> ForecastNetwork:
        a = self.architecture_
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

    def _learn(self, task: Task, device: torch.device) -> WindowModel:
        generator = _generator(self.random_state)
        with SEEDING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            network = self._build()
        network.to(device)
        if self.warm_start and hasattr(self, "model_"):
            _copy_weights(self.model_.network, network)
        spread = self._train(network, task, generator)
        levels = self.architecture_["levels"]
        return WindowModel(
            network,
            task.scaling,
            task.features,
            self.panel_.ids,
            np.array(levels) if levels else LEVELS,
            None if levels else spread,
        )

    def _train(self, network: ForecastNetwork, task: Task, generator: torch.Generator) -> Floats:
        """Train the network, decide how far to trust it, measure its errors on the tail, and learn from the tail."""
        options = self._training_options()
        set_typical_scale(network, task.train)
        self.penalty_ = fit_linear(network, task.train, task.validation) if self.linear_skip else np.inf
        if task.validation is None:
            self._train_unchecked(network, task, options, generator)
            return residual_spread(network, task.everything)
        self.history_, self.best_step_ = fit_network(network, task.train, task.validation, options, generator)
        self.shrinkage_ = 1.0
        if self.linear_skip:
            prior = 0.5 if np.isfinite(self.penalty_) else 0.0
            self.shrinkage_ = trusted_share(network, task.validation, task.tail_series, task.tail_times, prior=prior)
        network.shrinkage.fill_(self.shrinkage_)
        spread = residual_spread(network, task.validation)
        if self.refit_tail:
            self._learn_tail(network, task, options, generator)
        return spread

    def _train_unchecked(
        self, network: ForecastNetwork, task: Task, options: TrainingOptions, generator: torch.Generator
    ) -> None:
        """Without validation a network beside a linear forecast is not to be trusted; alone, it makes a few steps."""
        self.shrinkage_ = 0.0 if self.linear_skip else 1.0
        network.shrinkage.fill_(self.shrinkage_)
        steps = 1 if self.linear_skip else min(self.max_steps, STEPS_UNCHECKED)
        self.history_, _ = fit_network(network, task.everything, None, replace(options, max_steps=steps), generator)

    def _learn_tail(
        self, network: ForecastNetwork, task: Task, options: TrainingOptions, generator: torch.Generator
    ) -> None:
        if network.linear_skip:
            fit_linear(network, task.everything, None, penalty=self.penalty_)
        steps = int(TAIL_SHARE * self.best_step_)
        if steps and self.shrinkage_ > 0:
            rate = TAIL_RATE * options.learning_rate
            tail = replace(options, max_steps=steps, learning_rate=rate, early_stopping=False)
            fit_network(network, task.everything, None, tail, generator)

    def _training_options(self) -> TrainingOptions:
        return TrainingOptions(
            loss=loss_function(self.loss, self.architecture_["levels"]),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            max_steps=self.max_steps,
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            verbose=self.verbose,
        )


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


def _generator(random_state: Any) -> torch.Generator:
    """A generator of our own."""
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    return torch.Generator().manual_seed(int(random.randint(2**31 - 1)))


def _copy_weights(source: ForecastNetwork, target: ForecastNetwork) -> None:
    """Begin where another network ended, if it has the same shape."""
    old, new = source.state_dict(), target.state_dict()
    if {k: v.shape for k, v in old.items()} == {k: v.shape for k, v in new.items()}:
        target.load_state_dict(old)
        target.shrinkage.fill_(1.0)
