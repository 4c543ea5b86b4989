"""Steps become tokens: patches of (value, observed, covariates), past and future alike."""

import torch
from torch import nn
from torch.nn import functional as F

from seqcast.networks.dropout import Dropout

__all__ = ["PatchEmbedding"]


class PatchEmbedding(nn.Module):
    """One linear map for past and future patches, and a learned vector for each place.

    A future step is one whose value is masked. The window is filled up with masked steps to whole patches. With
    `n_series` every known series has a vector too, 0 at first, that is added to all its tokens.
    """

    def __init__(
        self,
        lookback: int,
        horizon: int,
        n_features: int,
        *,
        patch_length: int,
        width: int,
        dropout: float,
        n_series: int = 0,
    ):
        super().__init__()
        self.lookback, self.patch_length = lookback, patch_length
        self.missing = -lookback % patch_length, -horizon % patch_length  # steps before and after the window
        self.n_past = -(-lookback // patch_length)
        self.n_future = -(-horizon // patch_length)
        self.project = nn.Linear(patch_length * (2 + n_features), width)
        self.place = nn.Parameter(0.1 * torch.randn(self.n_past + self.n_future, width))
        self.dropout = Dropout(dropout)
        self.series = nn.Embedding(1 + n_series, width, padding_idx=0) if n_series else None  # 0 is an unknown one
        if self.series is not None:
            nn.init.zeros_(self.series.weight)

    def forward(
        self, z: torch.Tensor, observed: torch.Tensor, features: torch.Tensor, series: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        before, after = self.missing
        known = torch.stack((z, observed), 2)  # (n, lookback, 2)
        steps = torch.cat(
            (F.pad(known, (0, 0, 0, features.shape[1] - self.lookback)), features), 2
        )  # (n, steps, channels)
        steps = F.pad(steps, (0, 0, before, after)) if before or after else steps
        patches = steps.unflatten(1, (-1, self.patch_length)).flatten(2)  # (n, n_tokens, patch_length * channels)
        tokens = self.project(patches) + self.place  # (n, n_tokens, width)
        if self.series is not None:
            tokens = tokens + self.series(series).unsqueeze(1)
        tokens = self.dropout(tokens)
        return tokens.split((self.n_past, self.n_future), 1)
