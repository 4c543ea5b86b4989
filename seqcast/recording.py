"""A training step on a GPU as one CUDA graph: kernels launched one by one take several times as long as they run."""

from collections.abc import Callable

import torch

from seqcast.networks.forecast import Inputs

__all__ = ["RecordedStep"]

N_WARM = 3  # steps before the recording, which let the libraries choose their kernels and make their buffers


class RecordedStep:
    """The first few steps as they are; the next is recorded, and from then on replayed with other inputs.

    Parameters
    ----------
    prepare : callable
        Of a batch, what `learn` reads. It may look at values, which a recording cannot.
    learn : callable
        Of that, one step of the optimizer, and the loss, (), on the device; the next step writes over it.
    generator : torch.Generator
        That dropout draws from.
    """

    def __init__(
        self,
        prepare: Callable[[torch.Tensor], Inputs],
        learn: Callable[[Inputs], torch.Tensor],
        generator: torch.Generator,
    ):
        self.prepare, self.learn, self.generator = prepare, learn, generator
        self.graph, self.n_steps = torch.cuda.CUDAGraph(), 0
        self.stream = torch.cuda.Stream(generator.device)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        inputs, self.n_steps = self.prepare(batch), self.n_steps + 1
        if self.n_steps <= N_WARM:
            current = torch.cuda.current_stream(self.stream.device)
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                loss = self.learn(inputs)
            current.wait_stream(self.stream)
            return loss
        if self.n_steps == N_WARM + 1:
            self._record(inputs)
        torch._foreach_copy_(self.inputs.tensors(), inputs.tensors())
        self.graph.replay()
        return self.loss

    def _record(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.graph.register_generator_state(self.generator)
        with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"):
            self.loss = self.learn(inputs)
