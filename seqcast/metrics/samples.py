"""Scores and PIT values of forecasts that are samples: draws of one step, or paths over many."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from seqcast.metrics._arrays import Axis, Floats, mean_known, plain, with_samples

__all__ = ["crps_samples", "energy_score", "pit_samples"]


def crps_samples(actual: npt.ArrayLike, samples: npt.ArrayLike, *, fair: bool = True, axis: Axis = None) -> Floats:
    """Continuous ranked probability score (CRPS) of samples.

    Parameters
    ----------
    actual : array-like of shape (...)
        Truth; NaN is masked.
    samples : array-like of shape (..., n_samples)
        Draws from the forecast distribution, in any order; of one series, the frame that ``sample`` gives.
    fair : bool, default=True
        Score the distribution that the samples were drawn from [1]_, without bias for any number of them; False scores
        the samples themselves, as the whole forecast, which is larger in the mean and rewards too narrow ones.
    axis : int, tuple of int or None, default=None
        Axes of `actual` to average over; None means all.

    Returns
    -------
    float or ndarray
        In the unit of the target; the absolute error if all samples are one value. A fair score can be negative.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a fair score is asked of fewer than two samples.

    Notes
    -----
    ``mean |x_i - y| - sum_{i<j} |x_i - x_j| / (m (m - 1))`` for m samples if fair, with ``m²`` in place of
    ``m (m - 1)`` if not. The pairs are summed by sorting, in ``O(m log m)``: the difference of neighbours k and k + 1
    is part of ``k (m - k)`` pairs.

    References
    ----------
    .. [1] Ferro (2014), "Fair scores for ensemble forecasts", Quarterly J. of the Royal Meteorological Society
       140(683).

    Examples
    --------
    >>> crps_samples([1.0], [[0.0, 2.0]], fair=False)
    0.5
    >>> crps_samples([1.0], [[0.0, 2.0]])
    0.0
    """
    actual, samples = with_samples(actual, samples, at_least=1 + fair)
    m = samples.shape[-1]
    samples = np.sort(samples, axis=-1)
    below = np.arange(1, m)
    pairs = np.diff(samples, axis=-1) @ (below * (m - below)).astype(np.float64)  # (...)
    error = np.abs(samples - actual[..., None]).mean(axis=-1)
    return mean_known(error - pairs / (m * (m - fair)), actual, axis)


def energy_score(actual: npt.ArrayLike, paths: npt.ArrayLike, *, fair: bool = True, axis: Axis = None) -> Floats:
    """Energy score [1]_ of paths: the CRPS of a whole horizon at once.

    Parameters
    ----------
    actual : array-like of shape (..., n_steps)
        Truth; a step that is NaN is left out of its path.
    paths : array-like of shape (..., n_steps, n_paths)
        Scenarios; of one series, the frame that ``sample`` gives. To score the steps of several series together, let
        ``n_steps`` run over all of them.
    fair : bool, default=True
        As in `crps_samples`.
    axis : int, tuple of int or None, default=None
        Axes to average over, of `actual` without its last; None means all.

    Returns
    -------
    float or ndarray
        In the unit of the target; for one step it is `crps_samples`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a fair score is asked of fewer than two paths.

    Notes
    -----
    ``mean ‖x_i - y‖ - sum_{i<j} ‖x_i - x_j‖ / (m (m - 1))`` with the Euclidean norm over the known steps; paths without
    any are left out. It grows like the root of the number of steps, so average paths of one length. It takes
    ``O(m² n_steps)`` time and, for the pairs, no more memory than `paths` twice.

    It is a proper score, and feels errors of location and spread more than those of dependence between the steps.

    References
    ----------
    .. [1] Gneiting, Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA 102(477).

    Examples
    --------
    >>> energy_score([3.0, 4.0], [[0.0, 0.0], [0.0, 0.0]])
    5.0
    """
    actual, paths = with_samples(actual, paths, at_least=1 + fair)
    if not actual.ndim:
        raise ValueError("actual must have an axis of steps, got a single number.")
    known = ~np.isnan(actual)
    errors = np.where(known[..., None], paths - actual[..., None], 0.0)  # (..., n_steps, n_paths)
    m = errors.shape[-1]
    pairs = sum(_lengths(errors[..., lag:] - errors[..., :-lag]).sum(axis=-1) for lag in range(1, m))
    score = _lengths(errors).mean(axis=-1) - pairs / (m * (m - fair))
    return mean_known(score, np.where(known.any(axis=-1), 0.0, np.nan), axis)


def _lengths(errors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Norms over the steps, (..., n_paths)."""
    return np.sqrt(np.einsum("...ij,...ij->...j", errors, errors))


def pit_samples(actual: npt.ArrayLike, samples: npt.ArrayLike, *, random_state: Any = None) -> Floats:
    """Probability integral transform (PIT) of the truth among samples: uniform on 0 to 1 if both come from one source.

    Parameters
    ----------
    actual, samples
        As in `crps_samples`.
    random_state : int, RandomState or None
        Decides where in its share of 0 to 1 a value falls.

    Returns
    -------
    float or ndarray of shape (...)
        NaN where the truth or a sample is.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    ``(number of samples below + U (1 + number of samples equal)) / (m + 1)`` with U uniform on 0 to 1: the rank of the
    truth among m samples and itself, ties (counts) broken at random. It is exactly uniform for any m where truth and
    samples are exchangeable [1]_.

    References
    ----------
    .. [1] Czado, Gneiting, Held (2009), "Predictive Model Assessment for Count Data", Biometrics 65(4).

    Examples
    --------
    >>> values = pit_samples([2.5, float("nan")], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], random_state=0)
    >>> 0.5 <= values[0] <= 0.75, values[1]
    (np.True_, np.float64(nan))
    """
    actual, samples = with_samples(actual, samples, at_least=1)
    below = (samples < actual[..., None]).sum(axis=-1)
    equal = (samples == actual[..., None]).sum(axis=-1)
    share = check_random_state(random_state).uniform(size=actual.shape)
    rank = (below + share * (1 + equal)) / (samples.shape[-1] + 1)
    return plain(np.where(np.isnan(actual) | np.isnan(samples).any(axis=-1), np.nan, rank))
