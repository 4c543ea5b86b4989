"""Member: one of the models whose forecasts a forecaster averages, and what is known about it."""

from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from seqcast.models._model import WindowModel
from seqcast.models._tail import TailCheck
from seqcast.models._task import Choice
from seqcast.networks.forecast import ForecastNetwork

__all__ = ["Member"]


@dataclass
class Member:
    """A trained model, its architecture, and how its training went."""

    architecture: dict[str, Any]
    model: WindowModel
    penalty: float = np.inf  # of the ridge
    training_length: int | None = None  # of the choice
    history: dict[str, list[float]] = field(default_factory=dict)  # losses by step
    check: TailCheck | None = None  # of fit, until the verdict has been given

    @property
    def choice(self) -> Choice:
        """What was chosen for it, or given."""
        a = self.architecture
        penalty = np.inf if np.isinf(self.penalty) else None
        ways = self.model.scaling.kind, a["normalization"], a["lookback"]
        return Choice(*ways, self.training_length, penalty, self.model.curves.columns)

    def report(self) -> dict[str, Any]:
        """What was chosen and what came of it, in one row of a table."""
        steps = self.history.get("step", [0])[-1]
        network = self.model.network
        shares = {"share of the correction": float(network.shrinkage)}
        if network.phases is not None:
            shares["share by phase"] = float(network.phases.share)
        return {**asdict(self.choice), "penalty": self.penalty, "steps": steps, **shares}

    def settle(self) -> None:
        """Forget what served in fit only, and phases that add nothing."""
        self.check, network = None, self.model.network
        if network.phases is not None and not network.phases.share:
            network.phases, self.architecture = None, {**self.architecture, "n_phases": 0}

    def moved(self, device: torch.device) -> "Member":
        """The member on a device; itself if it is on one of that type."""
        if self.model.device.type == device.type:
            return self
        return replace(self, model=replace(self.model, network=deepcopy(self.model.network).to(device)))

    def to_state(self) -> dict[str, Any]:
        """Give everything as plain data and arrays."""
        names = ("architecture", "penalty", "training_length", "history")
        return {**{name: getattr(self, name) for name in names}, "model": self.model.to_state()}

    @classmethod
    def from_state(cls, network: ForecastNetwork, state: dict[str, Any]) -> "Member":
        """Put a state into a network of the architecture in it."""
        model = WindowModel.from_state(network, state["model"])
        own = {name: state[name] for name in ("penalty", "training_length", "history") if name in state}
        return cls(state["architecture"], model, **own)  # files of 0.1.0 have only some
