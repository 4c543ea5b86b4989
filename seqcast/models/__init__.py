"""One file an architecture: its backbone and its forecasters."""

from seqcast.models.recurrent import GRUForecaster, LSTMForecaster, RNNForecaster
from seqcast.models.ridge import RidgeForecaster
from seqcast.models.transformer import TransformerForecaster

__all__ = ["GRUForecaster", "LSTMForecaster", "RNNForecaster", "RidgeForecaster", "TransformerForecaster"]
