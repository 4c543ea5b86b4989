"""Errors and warnings, named by their cause."""

__all__ = [
    "CalibrationWarning",
    "CorruptFileError",
    "DeadStartWarning",
    "FrequencyError",
    "FrequencyWarning",
    "HorizonWarning",
    "IrregularTimesError",
    "LeakageError",
    "LeakageWarning",
    "LookaheadWarning",
    "MissingFeaturesError",
    "MissingFeaturesWarning",
    "MissingTimesError",
    "ModelFailedWarning",
    "NonFiniteError",
    "SeriesFailedWarning",
    "ShortSeriesError",
    "UnknownCategoryWarning",
    "UnknownSeriesError",
]


class MissingTimesError(ValueError):
    """The rows lost the times that the forecaster was fitted with."""


class IrregularTimesError(ValueError):
    """The times are unsorted, duplicated or off the grid of the frequency."""


class FrequencyError(ValueError):
    """No frequency can be inferred, or the given one does not fit."""


class NonFiniteError(ValueError):
    """The values hold infinity, or nothing but NaN."""


class ShortSeriesError(ValueError):
    """A series has too few values for what is asked."""


class UnknownSeriesError(ValueError):
    """A series was never seen in fit."""


class MissingFeaturesError(ValueError):
    """Covariates are missing for steps that need them."""


class LeakageError(ValueError):
    """A forecast depends on what was not known when it was made."""


class CorruptFileError(ValueError):
    """A saved file is truncated, altered or not one of ours."""


class HorizonWarning(UserWarning):
    """More steps were asked for than the forecaster was fitted to answer at once."""


class DeadStartWarning(UserWarning):
    """At least half of a series, its start, is one value."""


class FrequencyWarning(UserWarning):
    """All rows of a series are some steps apart: they may be of another frequency than the forecaster's."""


class LookaheadWarning(UserWarning):
    """Rows in a hole of the history: later values were used in fit."""


class LeakageWarning(UserWarning):
    """A covariate equals the target, or a forecast depends on what was not known when it was made."""


class MissingFeaturesWarning(UserWarning):
    """The rows of a history, or those ahead, come without covariates, which count as missing."""


class UnknownCategoryWarning(UserWarning):
    """A category was never seen in fit and counts as missing."""


class SeriesFailedWarning(UserWarning):
    """A series could not be fitted; the others go on."""


class ModelFailedWarning(UserWarning):
    """A model could not be backtested; the others go on."""


class CalibrationWarning(UserWarning):
    """The scores that calibrate intervals drift, or are all equal: the promised coverage may not be kept."""
