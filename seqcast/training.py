"""fit_network: the training loop, in steps of ten lines; tensors only."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from threading import current_thread, main_thread
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from seqcast.networks.distributions import DISTRIBUTIONS
from seqcast.networks.dropout import set_generator
from seqcast.networks.forecast import ForecastNetwork, Inputs, Normalised
from seqcast.networks.heads import DistributionHead
from seqcast.recording import RecordedStep
from seqcast.windows import Windows

__all__ = [
    "EVALUATION_BATCH",
    "LOSSES",
    "Sample",
    "TrainingOptions",
    "evaluate",
    "fit_network",
    "is_cut_short",
    "loss_function",
    "loss_of",
]

LOSSES = ("huber", "mse", "mae", "quantile", *DISTRIBUTIONS)
AVERAGING = 0.995  # decay of the average of the weights
MAX_GRADIENT = 1.0  # norm to which the gradient is clipped
FIRST_ROUND = 200  # steps; each further round is as long as all before it
VALIDATION_INTERVAL = 100  # steps at most
ENOUGH = 0.005  # of the best loss: what a round must gain to be followed by another
EVALUATION_BATCH = 256  # windows evaluated at once: training, not evaluation, sets the peak of memory
MAX_VALIDATION = 4  # validation windows, at most, in batches

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Sample(NamedTuple):
    """Some of the windows: the first row of each."""

    windows: Windows
    rows: torch.Tensor  # (n,)

    def thinned(self, n: int) -> "Sample":
        """At most n of them, evenly spaced."""
        if len(self.rows) <= n:
            return self
        return Sample(self.windows, self.rows[torch.linspace(0, len(self.rows) - 1, n).long()])

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """The windows in order, in batches."""
        return (self.windows.gather(rows) for rows in self.rows.split(size))


@dataclass(frozen=True)
class TrainingOptions:
    """What decides how a network is trained."""

    loss: Loss
    learning_rate: float
    weight_decay: float
    batch_size: int
    max_steps: int
    early_stopping: bool
    n_iter_no_change: int
    verbose: bool = False


class Pinball(torch.autograd.Function):
    """Twice the pinball loss, mean over the levels: the slope that it is made of is also its gradient, so that a step
    reads the (n, horizon, n_levels) numbers half as often as through the operations one by one.
    """

    @staticmethod
    def forward(ctx: Any, outputs: torch.Tensor, target: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        error = target.unsqueeze(2) - outputs  # (n, horizon, n_levels)
        slope = (levels - (error < 0).to(error.dtype)) * (2 / len(levels))
        ctx.save_for_backward(slope)
        return (slope * error).sum(2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        (slope,) = ctx.saved_tensors
        to_outputs = -slope * gradient.unsqueeze(2)
        return to_outputs, -to_outputs.sum(2) if ctx.needs_input_grad[1] else None, None


def loss_function(name: str, quantiles: tuple[float, ...] = ()) -> Loss:
    """Give a function of outputs (n, horizon, n_outputs) and targets (n, horizon) to losses (n, horizon).

    "quantile" is the mean over the levels of twice the pinball loss, so that it is the absolute error at level 0.5;
    the name of a distribution gives the negative log-likelihood.
    """
    if name in DISTRIBUTIONS:
        return DISTRIBUTIONS[name].loss
    if name == "quantile":
        levels = torch.tensor(quantiles)

        def pinball(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            nonlocal levels
            levels = levels.to(outputs.device)  # once: a recorded step copies nothing from the host
            return Pinball.apply(outputs, target, levels)

        return pinball
    pointwise: Any = {"huber": F.huber_loss, "mse": F.mse_loss, "mae": F.l1_loss}[name]
    return lambda outputs, target: pointwise(outputs.squeeze(2), target, reduction="none")


def fit_network(
    network: ForecastNetwork,
    train: Sample,
    validation: Sample | None,
    options: TrainingOptions,
    generator: torch.Generator,
) -> tuple[dict[str, list[float]], int]:
    """Train `network` in place; it ends with the averaged weights of the best round, or else of the last step.

    Training goes in rounds, each as long as all before it; in each the learning rate falls to zero. The loss on the
    validation windows at the end of a round says whether another one follows: within a round it says little.

    Parameters
    ----------
    network : ForecastNetwork
        On the device of the windows.
    train, validation : Sample
        Windows to learn from and, later in time, to stop by; without validation all steps are made.
    options : TrainingOptions
        Loss, steps, rates.
    generator : torch.Generator
        Decides the order of the windows, and its seed what dropout leaves out.

    Returns
    -------
    history : dict
        ``step``, ``train_loss`` and ``validation_loss`` at each validation, lists of equal length.
    best_step : int
        After which the network had the weights that it has now.
    """
    trainer = Trainer(network, options)
    own = torch.Generator(train.rows.device).manual_seed(generator.initial_seed())
    set_generator(network, own)
    if validation is not None:
        validation = validation.thinned(MAX_VALIDATION * options.batch_size)
    history = trainer.fit(train, validation, generator, trainer.fastest_step(own))
    set_generator(network, None)
    return history, trainer.best_step


def is_cut_short(history: dict[str, list[float]], options: TrainingOptions) -> bool:
    """Whether the steps were used up while the last round still gained enough to be followed by another.

    Fewer steps than make one round are always too few to tell that training was done.
    """
    loss = dict(zip(history["step"], history["validation_loss"], strict=True))
    if options.max_steps < FIRST_ROUND:
        return True
    ends = [end for _, end in _rounds(options.max_steps, options.early_stopping)]
    if len(ends) < 2 or options.max_steps not in loss:
        return False
    return loss[ends[-1]] < (1 - ENOUGH) * min(loss[end] for end in ends[:-1])


class Trainer:
    """Network, optimizer and averaged weights on their way through the steps."""

    def __init__(self, network: ForecastNetwork, options: TrainingOptions):
        self.network, self.options = network, options
        self.average = copy.deepcopy(network).eval()
        self.parameters = list(network.parameters())
        self.averages = [p.detach() for p in self.average.parameters()]
        on_gpu = network.typical_scale.is_cuda
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=network.typical_scale.new_tensor(options.learning_rate) if on_gpu else options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        self.history: dict[str, list[float]] = {"step": [], "train_loss": [], "validation_loss": []}
        self.best = [p.clone() for p in self.averages]
        self.best_loss, self.best_step, self.n_worse = math.inf, 0, 0

    def fastest_step(self, generator: torch.Generator) -> Callable[[torch.Tensor], torch.Tensor]:
        """A step of the optimizer, recorded on a GPU; dropout draws from `generator`.

        Beside other threads, which may use the GPU, nothing can be recorded.
        """
        if not self.network.typical_scale.is_cuda or current_thread() is not main_thread():
            return self.train_step
        return RecordedStep(self.network.inputs, lambda inputs: self.learn([inputs]), generator)

    def fit(
        self,
        train: Sample,
        validation: Sample | None,
        generator: torch.Generator,
        train_step: Callable[[torch.Tensor], torch.Tensor],
    ) -> dict[str, list[float]]:
        options, running, n_since = self.options, torch.zeros(()), 0
        rounds = _rounds(options.max_steps, options.early_stopping and validation is not None)
        rows = _shuffled(train.rows, options.batch_size, generator)
        self.network.train()
        for step in tqdm(range(options.max_steps), disable=not options.verbose, desc="fit", unit="step"):
            begin, end = next(r for r in rounds if step < r[1])
            self.set_rate(options.learning_rate * _rate(step - begin, end - begin))
            running, n_since = running + train_step(train.windows.gather(next(rows))), n_since + 1
            self.average_weights(step)
            if (step + 1) % VALIDATION_INTERVAL == 0 or step + 1 == end:
                loss = self.validate(step + 1, float(running) / n_since, validation)
                running, n_since = torch.zeros(()), 0
                if step + 1 == end and self.is_time_to_stop(step + 1, loss):
                    break
        self.restore()
        return self.history

    def train_step(self, batch: torch.Tensor) -> torch.Tensor:
        """One step of the optimizer; a batch too large for the work buffers goes through in parts, gradients summed."""
        parts = batch.chunk(-(-len(batch) // _batch_limit(self.network)))
        return self.learn([self.network.inputs(part) for part in parts])

    def learn(self, parts: list[Inputs]) -> torch.Tensor:
        self.optimizer.zero_grad()
        n_known = torch.stack([inputs.known.sum() for inputs in parts]).sum().clamp(min=1)
        total = torch.zeros(())
        for inputs in parts:
            loss = _summed_loss(self.network, inputs, self.options.loss) / n_known
            loss.backward()
            total = total + loss.detach()
        nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT, foreach=True)
        self.optimizer.step()
        return total

    def set_rate(self, rate: float) -> None:
        group = self.optimizer.param_groups[0]
        group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], torch.Tensor) else rate

    def average_weights(self, step: int) -> None:
        decay = min(AVERAGING, (step + 1) / (step + 10))
        torch._foreach_lerp_(self.averages, [p.detach() for p in self.parameters], 1 - decay)

    def validate(self, step: int, train_loss: float, validation: Sample | None) -> float:
        """Note the losses."""
        loss = math.nan if validation is None else evaluate(self.average, validation, self.options.loss)
        for name, value in (("step", step), ("train_loss", train_loss), ("validation_loss", loss)):
            self.history[name].append(value)
        return loss

    def is_time_to_stop(self, step: int, loss: float) -> bool:
        """Keep the weights of a round if they are the best; say whether the rounds have stopped getting better."""
        is_best = not loss >= self.best_loss
        self.n_worse = 0 if not loss >= (1 - ENOUGH) * self.best_loss else self.n_worse + 1
        if is_best:
            self.best_loss, self.best_step = loss, step
            torch._foreach_copy_(self.best, self.averages)
        return self.n_worse >= self.options.n_iter_no_change

    def restore(self) -> None:
        torch._foreach_copy_([p.detach() for p in self.parameters], self.best)
        self.network.eval()
        self.network.zero_grad()


@torch.inference_mode()
def evaluate(network: ForecastNetwork, sample: Sample, loss: Loss) -> float:
    """Mean loss over the known targets of the sample."""
    total, n_known = 0.0, 0.0
    for batch in sample.batches(min(_batch_limit(network), EVALUATION_BATCH)):
        inputs = network.inputs(batch)
        total += float(_summed_loss(network, inputs, loss))
        n_known += float(inputs.known.sum())
    return total / max(n_known, 1.0)


def _summed_loss(network: ForecastNetwork, inputs: Inputs, loss: Loss) -> torch.Tensor:
    past, target, known = inputs
    return (loss_of(network, network(past), target, past, loss) * known).sum()


def loss_of(
    network: ForecastNetwork, outputs: torch.Tensor, target: torch.Tensor, past: Normalised, loss: Loss
) -> torch.Tensor:
    """Losses (n, horizon) in units of the window; a distribution of counts is one of the counts themselves."""
    if isinstance(network.head, DistributionHead) and network.head.distribution.is_count:
        return loss(network.restore(outputs, past), target * past.scale + past.center)
    return loss(outputs, target)


def _batch_limit(network: ForecastNetwork) -> int:
    limit = getattr(network.backbone, "batch_limit", None)
    on_cpu = network.typical_scale.device.type == "cpu"
    return limit(network.embedding.n_past) if limit and on_cpu else 2**31


def _rounds(max_steps: int, is_stopped_early: bool) -> list[tuple[int, int]]:
    """First step, and the one after the last, of each round."""
    ends = [max_steps]
    while is_stopped_early and ends[0] // 2 >= FIRST_ROUND:
        ends.insert(0, ends[0] // 2)
    return list(pairwise([0, *ends]))


def _shuffled(rows: torch.Tensor, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Whole batches in random order, again and again; every window comes once before any comes twice."""
    size = min(size, len(rows))
    while True:
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        yield from (rows[order[i : i + size]] for i in range(0, len(rows) - size + 1, size))


def _rate(step: int, max_steps: int) -> float:
    """Learning rate of a round in units of the highest: a short warm-up, then half a cosine."""
    warm_up = min(50, max_steps // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(max_steps - warm_up, 1)))
