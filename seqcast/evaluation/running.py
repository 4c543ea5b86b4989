"""Runs the cells of a backtest through joblib; cells of a lost worker are run again, finished ones are kept."""

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from seqcast.evaluation.cells import Answer, Cell, Work, answer
from seqcast.evaluation.folder import CellFolder

__all__ = ["run"]

_ATTEMPTS = 2  # runs without one finished cell, after which lost workers are an error


def run(
    cells: list[Cell], work: Work, *, n_jobs: int | None, folder: str | Path | None, verbose: bool
) -> list[Answer | Exception]:
    """Return the answer of each cell, from the folder where it is there."""
    kept = None if folder is None else CellFolder.of(folder, work)
    found = {k: kept.load(cell) for k, cell in enumerate(cells)} if kept else {}
    answers: dict[int, Answer | Exception] = {k: v for k, v in found.items() if v is not None}
    idle = 0
    with tqdm(total=len(cells), initial=len(answers), desc="backtest", unit="fit", disable=not verbose) as bar:
        while len(answers) < len(cells):
            before, lost = len(answers), None
            waiting = [k for k in range(len(cells)) if k not in answers]
            try:
                for k, given in _each(cells, waiting, work, n_jobs):
                    if isinstance(given, Exception) and _is_lost(given):
                        lost = given
                        continue
                    answers[k] = given
                    bar.update()
                    if kept and isinstance(given, Answer):
                        kept.save(cells[k], given)
            except Exception as error:
                if not _is_lost(error):
                    raise
                lost = error
            idle = 0 if len(answers) > before else idle + 1
            if lost is not None and idle == _ATTEMPTS:
                raise lost
    return [answers[k] for k in range(len(cells))]


def _each(cells: list[Cell], which: list[int], work: Work, n_jobs: int | None) -> Iterator[tuple[int, Any]]:
    """Number and answer of each cell, as they are finished."""
    n_series = work.history.panel.n_series
    alone = [k for k in which if hasattr(cells[k].model, "_fit_series") and n_series > len(which)]
    spread = [k for k in which if k not in set(alone)]
    if spread:
        yield from _parallel(n_jobs)(delayed(_numbered)(k, cells[k], work) for k in spread)
    for k in alone:  # few fits of many series: the series of each are shared out, which leaves no worker idle
        with nullcontext() if n_jobs is None else parallel_config(n_jobs=n_jobs):
            given = answer(cells[k], work)
        yield k, given


def _parallel(n_jobs: int | None) -> Parallel:
    try:
        return Parallel(n_jobs, return_as="generator_unordered")
    except ValueError:  # Ray's and multiprocessing's backends hand back everything at the end
        return Parallel(n_jobs)


def _numbered(k: int, cell: Cell, work: Work) -> tuple[int, Answer | Exception]:
    return k, answer(cell, work)


def _is_lost(error: BaseException) -> bool:
    """Whether an error tells of a worker that died, and not of a model."""
    is_foreign = type(error).__module__.split(".")[0] in ("distributed", "ray")
    return is_foreign or isinstance(error, (BrokenExecutor, CancelledError))
