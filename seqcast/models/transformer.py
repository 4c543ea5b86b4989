"""Transformer forecaster: pre-norm blocks in which every token, past or future, attends to the past ones."""

import torch
from torch import nn
from torch.nn import functional as F

from seqcast._parameters import at_least, option, parameters, positive
from seqcast.models._network import NetworkForecaster
from seqcast.networks.dropout import Dropout

__all__ = ["TransformerBackbone", "TransformerForecaster"]


class Block(nn.Module):
    """Attention to the past tokens, then a feed-forward network; each on the normalised stream, and added to it."""

    def __init__(self, width: int, n_heads: int, feedforward: int, dropout: float):
        super().__init__()
        self.n_heads = n_heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: torch.Tensor, n_past: int) -> torch.Tensor:
        n, n_tokens, width = x.shape
        heads = self.attend(self.norm_1(x)).view(n, n_tokens, 3, self.n_heads, -1).transpose(1, 3)
        query, key, value = heads.unbind(2)  # (n, n_heads, n_tokens, width / n_heads)
        seen = F.scaled_dot_product_attention(query, key[:, :, :n_past], value[:, :, :n_past])
        x = x + self.dropout(self.merge(seen.transpose(1, 2).reshape(n, n_tokens, width)))  # (n, n_tokens, width)
        return x + self.dropout(self.narrow(F.gelu(self.widen(self.norm_2(x)))))  # (n, n_tokens, width)


class TransformerBackbone(nn.Module):
    """Blocks over past and future tokens together; future values are masked, so there is nothing to look ahead at."""

    def __init__(self, width: int, n_layers: int, n_heads: int, feedforward: int, dropout: float):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, n_heads, feedforward, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, past: torch.Tensor, future: torch.Tensor) -> torch.Tensor:
        n_past = past.shape[1]
        x = torch.cat((past, future), 1)  # (n, n_tokens, width)
        for block in self.blocks:
            x = block(x, n_past)
        return self.norm(x[:, n_past:])  # (n, n_future, width)


@parameters
class TransformerForecaster(NetworkForecaster):
    """Forecast with a Transformer whose future tokens attend to the past ones [1]_.

    References
    ----------
    .. [1] Vaswani, A. et al. (2017). Attention is all you need. NeurIPS 30.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(120) / 3)
    >>> TransformerForecaster(horizon=3, max_steps=20, random_state=0).fit(y).forecast().shape
    (3,)
    """

    n_heads: int = option(4, at_least(1), "Attention heads; they divide hidden_size.")
    feedforward_size: int = option(128, at_least(1), "Width of the feed-forward network.")
    n_layers: int = option(2, at_least(1), "Layers of the backbone.")
    learning_rate: float = option(
        1e-3, positive(), "Highest rate of AdamW, after a short warm-up; a cosine leads to 0."
    )

    _backbone_options = ("n_heads", "feedforward_size")

    def _make_backbone(self, options: dict, n_past: int, n_future: int) -> nn.Module:
        width, n_heads = options["hidden_size"], options["n_heads"]
        if width % n_heads:
            raise ValueError(
                f"hidden_size must be a multiple of n_heads, got {width} and {n_heads}. Change one of them."
            )
        return TransformerBackbone(width, options["n_layers"], n_heads, options["feedforward_size"], options["dropout"])
