"""Calendar columns: where in the day, the week and the year each step of a panel lies."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from seqcast.features import CalendarFeatures
from seqcast.panel import Panel

__all__ = ["Calendar"]

LONGEST = {"hour": pd.Timedelta("1D"), "day_of_week": pd.Timedelta("7D"), "day_of_year": pd.Timedelta("366D")}
LONGEST["month"] = LONGEST["day_of_year"]
ENCODING = {"day_of_week": "onehot"}  # any pattern over the seven days; the longer cycles are smooth


@dataclass(frozen=True)
class Calendar:
    """The cycles whose place is told to a model."""

    cycles: tuple[str, ...] = ()

    @classmethod
    def fitted(cls, panel: Panel) -> "Calendar":
        """The cycles that the frequency suggests, of which the panel has seen two rounds."""
        times = panel.axis.index(np.array([panel.first.min(), panel.ends.max() - 1]))
        if isinstance(times, pd.PeriodIndex):
            times = times.to_timestamp()
        if not isinstance(times, pd.DatetimeIndex):
            return cls()
        steps = panel.axis.index(np.arange(panel.first.min(), min(panel.first.min() + 3, panel.ends.max())))
        suggested = CalendarFeatures().fit(pd.DataFrame(index=steps)).features_
        span = times[-1] - times[0]
        return cls(tuple(c for c in suggested if c in LONGEST and span >= 2 * LONGEST[c]))

    def __len__(self) -> int:
        """Number of columns."""
        return sum(7 if ENCODING.get(cycle) else 2 for cycle in self.cycles)

    def extend(self, panel: Panel) -> Panel:
        """The panel with the columns behind its covariates."""
        if not self.cycles:
            return panel
        steps = panel.steps()
        first, last = int(steps.min()), int(steps.max())
        frame = pd.DataFrame(index=panel.axis.index(np.arange(first, last + 1)))
        parts = [
            CalendarFeatures(features=(c,), encoding=ENCODING.get(c, "cyclical")).fit_transform(frame)
            for c in self.cycles
        ]
        columns = np.hstack(parts)[steps - first]  # (n_rows, n_columns)
        return replace(panel, features=np.hstack([panel.features, columns]))
