"""Parameters declared once: default, rule and help text on one line make signature, check and docstring."""

import abc
import inspect
import numbers
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

import numpy as np

__all__ = [
    "Rule",
    "any_of",
    "anything",
    "at_least",
    "between",
    "boolean",
    "check_count",
    "check_interval",
    "check_parameters",
    "check_quantiles",
    "each",
    "instance_of",
    "is_none",
    "one_of",
    "option",
    "pair_of",
    "parameters",
    "positive",
    "text",
]

T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class Rule:
    """What a parameter may be, in words and as a test."""

    text: str
    holds: Callable[[Any], bool]


def at_least(low: int) -> Rule:
    """A whole number from `low` up."""
    return Rule(f"an integer of at least {low}", lambda v: _is_integer(v) and v >= low)


def positive() -> Rule:
    """A finite number above 0."""
    return Rule("a number above 0", lambda v: _is_real(v) and 0 < v < float("inf"))


def between(low: float, high: float, *, closed: str = "both") -> Rule:
    """A number from `low` to `high`; `closed` is "both", "left", "right" or "neither"."""
    left, right = closed in ("both", "left"), closed in ("both", "right")

    def holds(value: Any) -> bool:
        inside = _is_real(value) and low <= value <= high
        return inside and (left or value > low) and (right or value < high)

    return Rule(f"a number in {'[' if left else '('}{low}, {high}{']' if right else ')'}", holds)


def boolean() -> Rule:
    """True or False."""
    return Rule("True or False", lambda v: isinstance(v, (bool, np.bool_)))


def one_of(*values: Any) -> Rule:
    """One of the given words."""
    words = ", ".join(repr(v) for v in values)
    return Rule(words if len(values) == 1 else f"one of {words}", lambda v: isinstance(v, str) and v in values)


def is_none() -> Rule:
    """None."""
    return Rule("None", lambda v: v is None)


def text() -> Rule:
    """Any string."""
    return Rule("a string", lambda v: isinstance(v, str))


def anything() -> Rule:
    """Any value; what it must be is checked where it is used."""
    return Rule("anything", lambda v: True)


def instance_of(kind: type | tuple[type, ...], words: str) -> Rule:
    """An instance of `kind`, called `words` in messages."""
    return Rule(words, lambda v: isinstance(v, kind))


def each(rule: Rule) -> Rule:
    """A list or tuple whose items keep `rule`."""
    words = f"a list or tuple, each {rule.text}"
    return Rule(words, lambda v: isinstance(v, (list, tuple)) and all(rule.holds(i) for i in v))


def pair_of(rule: Rule) -> Rule:
    """A tuple (low, high) in order, each keeping `rule`."""

    def holds(value: Any) -> bool:
        is_pair = isinstance(value, tuple) and len(value) == 2 and all(rule.holds(v) for v in value)
        return is_pair and (None in value or value[0] <= value[1])

    return Rule(f"a pair (low, high) in order, each {rule.text}", holds)


def any_of(*rules: Rule) -> Rule:
    """A value that keeps at least one of `rules`."""
    return Rule(" or ".join(r.text for r in rules), lambda v: any(r.holds(v) for r in rules))


@dataclass(frozen=True)
class Option:
    """One declared parameter."""

    default: Any
    rule: Rule
    help: str
    wraps: bool = False


def option(default: Any, rule: Rule, help: str, *, wraps: bool = False) -> Any:
    """Declare a constructor parameter; `wraps` makes it the first, positional one."""
    return Option(default, rule, help, wraps)


@dataclass_transform(kw_only_default=True)
def parameters(cls: T) -> T:
    """Make the constructor and the Parameters section of `cls` from its options, inherited ones first."""
    kind: Any = cls
    own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
    types = {name: inspect.get_annotations(cls).get(name, Any) for name in own}
    for name in own:
        delattr(cls, name)
    kind._options = {**getattr(cls, "_options", {}), **own}
    kind._option_types = {**getattr(cls, "_option_types", {}), **types}
    kind.__init__ = _constructor(kind._options, kind._option_types)
    kind.__doc__ = _with_parameters_section(inspect.cleandoc(cls.__doc__ or ""), kind._options, kind._option_types)
    abc.update_abstractmethods(kind)
    return cls


def check_parameters(estimator: Any) -> None:
    """Raise one error that names every parameter of `estimator` that breaks its rule."""
    faults = [
        f"{name} must be {opt.rule.text}, got {getattr(estimator, name)!r}"
        for name, opt in estimator._options.items()
        if not opt.rule.holds(getattr(estimator, name))
    ]
    if faults:
        raise ValueError(f"{type(estimator).__name__}: {'; '.join(faults)}.")


def check_count(name: str, value: Any) -> int:
    """Return a whole number of at least 1, or raise."""
    if not at_least(1).holds(value):
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    return int(value)


def check_quantiles(quantiles: Sequence[float] | None) -> list[float] | None:
    """Return the levels rounded to 6 digits, so that `frame[0.3]` finds its column; None stays None."""
    if quantiles is None:
        return None
    levels = list(quantiles) if np.ndim(quantiles) == 1 else []
    if not levels or not all(_is_real(level) for level in levels) or not _are_levels(_rounded(levels)):
        raise ValueError(
            f"quantiles must be different numbers above 0 and below 1 (in 6 digits), got {quantiles!r}. Try "
            "quantiles=[0.1, 0.5, 0.9]."
        )
    return _rounded(levels)


def check_interval(interval: float) -> list[float]:
    """Return the two quantile levels of a central interval of that coverage."""
    if not _is_real(interval) or not _are_levels(levels := _rounded([(1 - interval) / 2, (1 + interval) / 2])):
        raise ValueError(
            f"interval must be a number above 0 and below 1 (in 6 digits), got {interval!r}. Try interval=0.9."
        )
    return levels


def _rounded(levels: Sequence[Any]) -> list[float]:
    return [round(float(level), 6) for level in levels]


def _are_levels(levels: list[float]) -> bool:
    return all(0 < level < 1 for level in levels) and len(set(levels)) == len(levels)


def _constructor(options: dict[str, Option], types: dict[str, Any]) -> Callable[..., None]:
    order = sorted(options, key=lambda name: not options[name].wraps)
    kinds = {True: inspect.Parameter.POSITIONAL_OR_KEYWORD, False: inspect.Parameter.KEYWORD_ONLY}
    given = [
        inspect.Parameter(name, kinds[options[name].wraps], default=options[name].default, annotation=types[name])
        for name in order
    ]
    n_by_position = sum(options[name].wraps for name in order)
    by_name = next(name for name in order if not options[name].wraps)
    signature = inspect.Signature([inspect.Parameter("self", kinds[True]), *given])

    def __init__(*args: Any, **kwargs: Any) -> None:
        unknown = [name for name in kwargs if name not in options]
        if unknown:
            raise TypeError(f"{type(args[0]).__name__} has no parameter {unknown[0]!r}. It has: {', '.join(order)}.")
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            if len(args) - 1 <= n_by_position:
                raise
            raise TypeError(
                f"{type(args[0]).__name__} takes parameters by name, as in {by_name}=..., got {len(args) - 1} by "
                f"position. It has: {', '.join(order)}."
            ) from None
        bound.apply_defaults()
        self, *values = bound.arguments.values()
        for name, value in zip(order, values, strict=True):
            setattr(self, name, value)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _with_parameters_section(doc: str, options: dict[str, Option], types: dict[str, Any]) -> str:
    lines = ["Parameters", "----------"]
    for name, opt in options.items():
        kind = getattr(types[name], "__name__", str(types[name]))
        lines += [f"{name} : {kind}, default={opt.default!r}", f"    {opt.help} Must be {opt.rule.text}."]
    section = re.search(r"^\w[\w ]*\n-{3,}$", doc, flags=re.MULTILINE)  # Notes, References, Examples
    start = section.start() if section else len(doc)
    return "\n\n".join(part.strip() for part in (doc[:start], "\n".join(lines), doc[start:]) if part)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value
