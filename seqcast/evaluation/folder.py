"""CellFolder: finished cells of a backtest, one file each."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import joblib
import numpy as np
import pandas as pd

from seqcast.evaluation.cells import Answer, Cell, Work
from seqcast.exceptions import CorruptFileError

__all__ = ["CellFolder"]

_FORMAT = 1  # goes up when the same model, data and folds come to give other numbers


@dataclass(frozen=True)
class CellFolder:
    """A folder of cells, named by a hash of all that their answer depends on."""

    path: Path
    work: Work
    key: str  # hash of the data, the quantiles and the delays

    @classmethod
    def of(cls, path: str | Path, work: Work) -> "CellFolder":
        """Make the folder if need be, and hash the data."""
        Path(path).mkdir(parents=True, exist_ok=True)
        knowledge, history = work.knowledge, work.history
        data = [_content(rows) for rows in (history.X, history.y, knowledge.issues)]
        key = joblib.hash((_FORMAT, data, work.quantiles, knowledge.delays, knowledge.readings))
        return cls(Path(path), work, key)

    def load(self, cell: Cell) -> Answer | None:
        """Return the answer of a finished cell, None if there is none."""
        path = self._file(cell)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file:
                arrays = np.load(file, allow_pickle=False)
                fit_seconds, predict_seconds = arrays["seconds"].tolist()
                return Answer(arrays["forecast"], arrays["quantiles"], fit_seconds, predict_seconds)
        except (BadZipFile, KeyError, ValueError, OSError) as error:
            raise CorruptFileError(f"{path} is not a finished cell of a backtest ({error}). Delete it.") from error

    def save(self, cell: Cell, answer: Answer) -> None:
        """Keep an answer: the file is there whole, or not at all."""
        path = self._file(cell)
        part = path.with_suffix(f".{os.getpid()}.part")
        seconds = [answer.fit_seconds, answer.predict_seconds]
        with part.open("wb") as file:
            np.savez(file, forecast=answer.forecast, quantiles=answer.quantiles, seconds=seconds)
        part.replace(path)

    def _file(self, cell: Cell) -> Path:
        folds = self.work.folds
        tested = folds.tested[(folds.fold >= cell.first) & (folds.fold < cell.stop)]
        origins = folds.origins[cell.first : cell.stop]
        try:
            name = joblib.hash((self.key, cell.model, folds.trains[cell.first], origins, tested))
        except Exception as error:
            raise TypeError(
                f"Model {cell.name!r} cannot be pickled, so its fits cannot be kept in a folder ({error}). Define its "
                "functions at the top of a module."
            ) from error
        return self.path / f"{name}.npz"


def _content(rows: Any) -> Any:
    """What rows hold: a frame's own hash would change with what was looked up in it."""
    if not isinstance(rows, (pd.Series, pd.DataFrame)):
        return rows
    frame = rows.to_frame() if isinstance(rows, pd.Series) else rows
    columns = [(str(label), str(dtype)) for label, dtype in frame.dtypes.items()]
    return (
        type(rows).__name__,
        columns,
        pd.util.hash_pandas_object(frame.index).to_numpy(),
        [pd.util.hash_pandas_object(column, index=False).to_numpy() for _, column in frame.items()],
    )
