"""RNN, LSTM and GRU forecasters: read the past tokens, answer every future token one step from the final state."""

from typing import Any

import torch
from torch import nn

from seqcast._parameters import parameters
from seqcast.models._network import NetworkForecaster
from seqcast.networks.dropout import Dropout

__all__ = ["GRUForecaster", "LSTMForecaster", "RNNForecaster", "RecurrentBackbone"]

# Bytes of one layer's gates. What malloc maps in larger blocks it hands back, and the next step faults in anew: a step
# of an LSTM 64 x 2 on 256 windows of 96 steps takes 1.4 times as long in one piece as in four.
WORK_BUFFER = 6 * 2**20


class RecurrentBackbone(nn.Module):
    """A recurrent network over the past tokens; orthogonal recurrent weights, forget gates open at first."""

    def __init__(self, cell: type[nn.RNN | nn.LSTM | nn.GRU], width: int, n_layers: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(cell(width, width, batch_first=True) for _ in range(n_layers))
        self.dropout = Dropout(dropout)
        for name, parameter in self.layers.named_parameters():
            if "weight_hh" in name:
                for block in parameter.data.split(width):
                    nn.init.orthogonal_(block)
            elif "bias" in name:
                nn.init.zeros_(parameter)
                if cell is nn.LSTM and "bias_ih" in name:
                    parameter.data[width : 2 * width] = 1.0  # gates lie in the order input, forget, cell, output

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for module in self.layers.modules():
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # a copy on a GPU has its weights apart, and would warn

    def forward(self, past: torch.Tensor, future: torch.Tensor) -> torch.Tensor:
        n, n_future, width = future.shape
        future = future.reshape(n * n_future, 1, width)
        for layer in self.layers:
            past, state = layer(past)  # (n, n_past, width), (1, n, width), the LSTM's state twice
            if isinstance(state, tuple):
                state = tuple(part.repeat_interleave(n_future, 1) for part in state)
            else:
                state = state.repeat_interleave(n_future, 1)  # (1, n * n_future, width)
            future, _ = layer(future, state)
            past, future = self.dropout(past), self.dropout(future)
        return future.view(n, n_future, width)

    def batch_limit(self, n_tokens: int) -> int:
        """Windows whose work buffers stay small enough for malloc to keep them from step to step."""
        if not isinstance(self.layers[0], nn.LSTM):
            return 2**31
        return max(WORK_BUFFER // (16 * self.layers[0].hidden_size * n_tokens), 16)  # 4 gates of 4 bytes


@parameters
class RNNForecaster(NetworkForecaster):
    """Forecast with a recurrent network of tanh units [1]_.

    References
    ----------
    .. [1] Elman, J. L. (1990). Finding structure in time. Cognitive Science, 14(2), 179-211.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(120) / 3)
    >>> RNNForecaster(horizon=3, max_steps=20, random_state=0).fit(y).forecast().shape
    (3,)
    """

    def _make_backbone(self, options: dict, n_past: int, n_future: int) -> nn.Module:
        return RecurrentBackbone(nn.RNN, options["hidden_size"], options["n_layers"], options["dropout"])


@parameters
class LSTMForecaster(NetworkForecaster):
    """Forecast with long short-term memory [1]_.

    References
    ----------
    .. [1] Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural Computation, 9(8), 1735-1780.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(120) / 3)
    >>> LSTMForecaster(horizon=3, max_steps=20, random_state=0).fit(y).forecast().shape
    (3,)
    """

    def _make_backbone(self, options: dict, n_past: int, n_future: int) -> nn.Module:
        return RecurrentBackbone(nn.LSTM, options["hidden_size"], options["n_layers"], options["dropout"])


@parameters
class GRUForecaster(NetworkForecaster):
    """Forecast with gated recurrent units [1]_.

    References
    ----------
    .. [1] Cho, K. et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
       translation. EMNLP, 1724-1734.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(120) / 3)
    >>> GRUForecaster(horizon=3, max_steps=20, random_state=0).fit(y).forecast().shape
    (3,)
    """

    def _make_backbone(self, options: dict, n_past: int, n_future: int) -> nn.Module:
        return RecurrentBackbone(nn.GRU, options["hidden_size"], options["n_layers"], options["dropout"])
