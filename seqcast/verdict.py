"""Verdict: whether a forecast is worth having, judged on forecasts of the validation tail, in plain words."""

import html
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from seqcast.gains import moments
from seqcast.panel import Panel
from seqcast.rolling import answer, known_before, latest_origins, scales
from seqcast.seasons import WEEK

__all__ = ["Finding", "Tail", "Training", "Verdict", "few_pairs", "judge", "judge_history"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONFIDENCE = 0.95
NEGLIGIBLE = 0.01  # skill that is not worth having
LUCK = 0.2  # skill over the last value that may be luck: on a random walk the choices alone may look like a tenth
OPTIMISM = 2  # times the margin that skill must reach, since the tail has also made the choices
TOO_WIDE = 1.0  # half an interval of the skill that says nothing
ALIKE = 0.9  # correlation of the changes of a copy with those of what it copies
FLAT = 0.02  # of the standard deviation of the truth
NOVEL = 2.0  # times the most extreme value of the training windows
N_WINDOWS = 500  # of a tail, at most, that are looked at
SAME_LOSS = 0.9  # training loss over validation loss
UNKNOWN = (np.nan, np.inf)  # skill and margin


@dataclass(frozen=True)
class Finding:
    """A fault, in a word, in a sentence, and what to try."""

    name: str
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}"


@dataclass(frozen=True)
class Verdict:
    """What the validation tail says of a forecaster.

    Parameters
    ----------
    skill_naive, skill_seasonal, skill_weekly : float
        Share of the absolute error of a naive forecast that is saved: of the last value, of the last season and, where
        a season is a day, of the same day a week ago; NaN if unknown.
    margin_naive, margin_seasonal, margin_weekly : float
        Half the width of the 95 % interval of the skill; infinite if there are too few origins to tell.
    n_origins : int
        Times of the tail that were forecast from; 0 if there was none.
    findings : tuple of Finding
        Faults; none if all is well.

    Notes
    -----
    ``skill = 1 - sum |y - forecast| / sum |y - reference|``, each series in units of its mean seasonal step. Its
    variance is that of the mean of ``(1 - skill) |y - reference| - |y - forecast|`` by origin [1]_, over the square of
    the reference's mean error. Student's t has as many degrees of freedom as there are whole horizons in the tail, less
    one. The tail has also chosen the lookback and the like, so that the skill is a little flattering.

    References
    ----------
    .. [1] Newey, W. K. and West, K. D. (1987). A simple, positive semi-definite, heteroskedasticity and autocorrelation
       consistent covariance matrix. Econometrica, 55(3), 703-708.

    Examples
    --------
    >>> print(Verdict(0.31, 0.08, n_origins=40))
    Error saved: 31 % ± 8 of the last value's (40 origins of the validation tail). No fault found.
    """

    skill_naive: float = np.nan
    margin_naive: float = np.inf
    skill_seasonal: float = np.nan
    margin_seasonal: float = np.inf
    n_origins: int = 0
    findings: tuple[Finding, ...] = ()
    skill_weekly: float = np.nan
    margin_weekly: float = np.inf

    @property
    def summary(self) -> str:
        """The skill in one sentence."""
        if not self.n_origins:
            return "Unknown: no validation tail was forecast. Fit again, on a longer history or with this version."
        skills = {
            "last value's": (self.skill_naive, self.margin_naive),
            "last season's": (self.skill_seasonal, self.margin_seasonal),
            "last week's": (self.skill_weekly, self.margin_weekly),
        }
        parts = [f"{_percent(*skill)} of the {name}" for name, skill in skills.items() if np.isfinite(skill[0])]
        origins = f"({self.n_origins} origin{'s' * (self.n_origins > 1)} of the validation tail)"
        return f"Error saved: {', '.join(parts)} {origins}." if parts else f"Skill unknown {origins}."

    def __str__(self) -> str:
        naive, seasonal = (self.skill_naive, self.margin_naive), (self.skill_seasonal, self.margin_seasonal)
        known = [skill for skill in (naive, seasonal, (self.skill_weekly, self.margin_weekly)) if np.isfinite(skill[0])]
        is_sure = bool(known) and all(_is_told(*skill) for skill in known)
        end = " No fault found." if is_sure else " No fault is sure from so short a tail."
        end = "" if self.findings or not self.n_origins else end
        return "\n".join([self.summary + end, *(f"- {finding}" for finding in self.findings)])

    def _repr_html_(self) -> str:
        return "<br>".join(html.escape(str(self)).split("\n"))

    def to_state(self) -> dict[str, Any]:
        """Give everything as plain data."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> "Verdict":
        """Make it from plain data; without any it is unknown."""
        if state is None:
            return cls()
        same: dict[str, Any] = {k: np.nan if v != v else v for k, v in state.items()}  # this NaN is its own equal
        return cls(**{**same, "findings": tuple(Finding(**one) for one in state["findings"])})


@dataclass(frozen=True)
class Tail:
    """Forecasts from origins of the validation tail, and what there is to compare them with; NaN where unknown."""

    truth: Floats  # (n, horizon)
    forecast: Floats  # (n, horizon)
    naive: Floats  # (n, horizon): the last known value
    seasonal: Floats  # (n, horizon): the value of the same phase of the season, the last one known
    series: Integers  # (n,)
    times: Integers  # (n,): grid step of the first forecast
    unit: Floats  # (n,): by which errors of different series are comparable
    weekly: Floats | None = None  # (n, horizon): the value of a week ago, where that is not the season

    @classmethod
    def of(
        cls,
        panel: Panel,
        series: Integers,
        positions: Integers,
        truth: Floats,
        forecast: Floats,
        unit: Floats,
        season_length: int,
    ) -> "Tail":
        """Forecasts (n, horizon) from these origins, and naive ones; the unit is that of each series, (n_series,)."""

        def before(n_steps: int) -> Floats:
            return known_before(panel, series, positions, truth.shape[1], n_steps)

        times = panel.first[series] + positions
        weekly = before(WEEK * season_length) if panel.axis.is_day(season_length) else None
        return cls(truth, forecast, before(1), before(season_length), series, times, unit[series], weekly)


@dataclass(frozen=True)
class Training:
    """How the training of the members went."""

    novelty: float = 0.0  # most extreme value of the last windows over that of the training windows
    is_cut_short: bool = False
    loss_ratio: float = 0.0  # training loss over validation loss at the end
    n_steps: int = 0


def judge(tail: Tail, training: Training, season_length: int) -> Verdict:
    """Look for faults in forecasts of the tail and in how training went."""
    naive = _skill(tail, tail.naive)
    seasonal = _skill(tail, tail.seasonal) if season_length > 1 else UNKNOWN
    weekly = UNKNOWN if tail.weekly is None else _skill(tail, tail.weekly)
    findings = [
        *_skill_findings(tail, naive, seasonal, season_length),
        *_weekly_findings(weekly, WEEK * season_length),
        *_flat_findings(tail),
        *_training_findings(training, naive, seasonal),
    ]
    if any(finding.name == "lagged copy" for finding in findings):
        findings = [finding for finding in findings if finding.name != "flat line"]  # it goes without saying
    return Verdict(*naive, *seasonal, len(np.unique(tail.times)), tuple(findings), *weekly)


def judge_history(forecaster: Any) -> Verdict:
    """Judge forecasts from the latest origins of the history, which the fit has seen."""
    panel, horizon, season_length = forecaster.panel_, forecaster.horizon, forecaster.season_length_
    series, positions = few_pairs(*latest_origins(panel, N_WINDOWS, horizon))
    if not len(series):
        return Verdict()
    forecast = answer(forecaster, panel, series, positions, horizon, None)
    truth = panel.values_at(series, positions, horizon)
    tail = Tail.of(panel, series, positions, truth, forecast, scales(forecaster, panel), season_length)
    return judge(tail, Training(), season_length)


def few_pairs(series: Integers, positions: Integers, most: int = N_WINDOWS) -> tuple[Integers, Integers]:
    """Some of many origins, in neighbouring pairs."""
    if len(series) <= most:
        return series, positions
    first = np.linspace(0, len(series) - 2, most // 2).astype(np.int64)
    kept = np.union1d(first, first + 1)
    return series[kept], positions[kept]


def _skill(tail: Tail, reference: Floats) -> tuple[float, float]:
    """Skill against a reference and half the width of its interval."""
    known = ~np.isnan(tail.truth) & ~np.isnan(reference)
    truth, unit = tail.truth, tail.unit[:, None]
    error, base = (np.where(known, np.abs(truth - f), 0.0) / unit for f in (tail.forecast, reference))
    if not base.sum() > 0:
        return np.nan, np.inf
    skill = 1 - error.sum() / base.sum()
    scores = ((1 - skill) * base - error) * known.sum() / base.sum()
    variance = max(variance for _, variance in moments(scores, known.astype(float), tail.series, tail.times))
    n_blocks = max(np.ptp(tail.times) // known.shape[1] + 1, len(np.unique(tail.series)) // 10)
    return float(skill), float(student.ppf((1 + CONFIDENCE) / 2, max(n_blocks - 1, 1)) * np.sqrt(variance))


def _is_told(skill: float, margin: float) -> bool:
    return margin < max(TOO_WIDE, -skill)


def _is_no_better(skill: float, margin: float, luck: float) -> bool:
    return _is_told(skill, margin) and (skill < NEGLIGIBLE or skill < min(luck, OPTIMISM * margin))


def _skill_findings(
    tail: Tail, naive: tuple[float, float], seasonal: tuple[float, float], season_length: int
) -> list[Finding]:
    """Whether a naive forecast is as good, and whether the forecast is but a copy of it."""
    findings = []
    if _is_no_better(*naive, LUCK):
        remedy = (
            "Of prices and rates the last value may be the best there is: use Naive and forecast the spread. Else "
            "give covariates that know more, or a longer history."
        )
        findings.append(
            Finding(
                "no better than naive",
                _worded("the last value", *naive),
                remedy,
            )
        )
        if _is_copy(tail, tail.naive):
            sentence = "The forecast is a lagged copy of the series: its changes are those of one step before."
            findings.append(
                Finding("lagged copy", sentence, "It knows no turn before it is over: don't act on its turns.")
            )
    if _is_no_better(*seasonal, NEGLIGIBLE):
        sentence = _worded("the last season", *seasonal)
        remedy = f"Use SeasonalNaive, or a lookback of a few seasons (of {season_length} steps)."
        findings.append(Finding("no better than seasonal naive", sentence, remedy))
        if _is_copy(tail, tail.seasonal):
            sentence = "The forecast is a lagged copy of the series: its changes are those of the last season."
            findings.append(Finding("lagged copy", sentence, "Give covariates that tell this season from the last."))
    return findings


def _weekly_findings(weekly: tuple[float, float], n_steps: int) -> list[Finding]:
    """Whether the same day a week ago says as much."""
    if not _is_no_better(*weekly, NEGLIGIBLE):
        return []
    remedy = f"Use SeasonalNaive(season_length={n_steps}), or average both; a longer history tells days apart."
    return [Finding("no better than the last week", _worded("the same day a week ago", *weekly), remedy)]


def _is_copy(tail: Tail, reference: Floats) -> bool:
    """Whether changes of the first step from origin to origin go with the reference's, not with the truth's."""
    follows = (np.diff(tail.series) == 0) & (np.diff(tail.times) == 1)
    forecast, copied, truth = (
        np.diff(values[:, 0])[follows] / tail.unit[1:][follows] for values in (tail.forecast, reference, tail.truth)
    )
    known = ~np.isnan(copied) & ~np.isnan(truth)
    if known.sum() < 8:
        return False
    likeness = _correlation(forecast[known], copied[known])
    return likeness > ALIKE and likeness > _correlation(forecast[known], truth[known]) + 1 - ALIKE


def _correlation(x: Floats, y: Floats) -> float:
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 1e-12 * len(x) else 0.0


def _flat_findings(tail: Tail) -> list[Finding]:
    """Whether forecasts vary neither over the horizon nor, perhaps, from origin to origin."""
    if tail.truth.shape[1] < 2 and len(tail.truth) < 8:
        return []
    is_known, unit = ~np.isnan(tail.truth), tail.unit[:, None]
    forecast, truth = (np.where(is_known, x, np.nan) / unit for x in (tail.forecast, tail.truth))
    ratio = _deviation(forecast) / max(_deviation(truth), 1e-12)
    remedy = (
        "If the series has more in it than noise about a level: raise lookback, and max_steps of a network, give "
        'season_length, or covariates and calendar="auto".'
    )
    if tail.truth.shape[1] > 1 and _deviation(truth) > 0 and ratio < FLAT:
        sentence = f"The forecast is a flat line: over the horizon it moves by {ratio:.1%} of what the series does."
        return [Finding("flat line", sentence, remedy)]
    order = np.argsort(tail.series, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(tail.series[order])) + 1)
    by_series = [[_deviation(x[run].reshape(1, -1)) for run in runs] for x in (forecast, truth)]
    moves, moved = np.nanmean(by_series, axis=1)
    if moved > 0 and moves < FLAT * moved:
        sentence = f"The forecast is a constant: it moves by {moves / moved:.1%} of what the series does."
        return [Finding("flat line", sentence, remedy)]
    return []


def _deviation(values: Floats) -> float:
    """Root mean square of values about the mean of their row."""
    known = ~np.isnan(values)
    count = known.sum(1, keepdims=True)
    filled = np.where(known, values, 0.0)
    centered = np.where(known, filled - filled.sum(1, keepdims=True) / np.maximum(count, 1), 0.0)
    return float(np.sqrt((centered**2).sum() / max(count.sum(), 1)))


def _training_findings(training: Training, naive: tuple[float, float], seasonal: tuple[float, float]) -> list[Finding]:
    findings = []
    if training.is_cut_short:
        sentence = f"Training was still improving when its {training.n_steps} steps were used up."
        findings.append(Finding("cut short", sentence, f"Raise max_steps, to {2 * max(training.n_steps, 100)} say."))
    is_worse = any(skill + margin < 0 for skill, margin in (naive, seasonal))
    if is_worse and training.loss_ratio > SAME_LOSS:
        sentence = "The network does not even fit what it was trained on: it is too small, or was trained too shortly."
        remedy = "Raise hidden_size, n_layers, learning_rate or max_steps, and keep linear_skip=True."
        findings.append(Finding("underfitted", sentence, remedy))
    if training.novelty > NOVEL:
        sentence = (
            "The last values lie outside what was seen in training: relative to their window, up to "
            f"{training.novelty:.1f} times the most extreme."
        )
        remedy = "Look for a broken sensor or a break in the series; if it is real, fit again once more of it is known."
        findings.append(Finding("unseen values", sentence, remedy))
    return findings


def _worded(name: str, skill: float, margin: float) -> str:
    how = "Worse than" if skill < -margin else "As far as the tail can tell, no better than"
    return f"{how} {name}: it saves {_percent(skill, margin)} of the error."


def _percent(skill: float, margin: float) -> str:
    if not _is_told(skill, margin):
        return f"{100 * skill:.0f} % (but the tail is too short to tell)"
    digits = 0 if abs(skill) >= 0.1 else 1
    return f"{100 * skill:.{digits}f} % ± {100 * margin:.{digits}f}"
