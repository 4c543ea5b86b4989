"""Forecasters as files that hold data only: safetensors for the arrays, JSON for the rest, no pickle."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset, CustomBusinessDay
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

import seqcast
from seqcast.exceptions import CorruptFileError
from seqcast.frames import FeatureEncoder, Layout
from seqcast.panel import Panel
from seqcast.schema import Schema
from seqcast.times import TimeAxis

__all__ = ["load", "save"]

FORMAT = "seqcast forecaster"
SCHEMA = 1  # raise it when an older seqcast could no longer read what is written, and keep reading the lower ones

_RECORDS = {record.__name__: record for record in (FeatureEncoder, Layout, Panel, Schema, TimeAxis)}
_TENSOR_KINDS = "fiub"  # kinds of numpy dtypes that safetensors holds as they are


def save(forecaster: Any, path: str | Path) -> None:
    """Write a forecaster, fitted or not, and with its members, to one file, which is there whole or not at all.

    The metadata of the safetensors file hold ``format``, ``schema``, ``content`` (JSON: class, parameters, learned
    state) and ``sha256`` over all of it. Raise TypeError for a parameter or learned attribute of another library.
    """
    tensors: dict[str, NDArray[Any]] = {}
    content = json.dumps({"seqcast": seqcast.__version__, "forecaster": _encode(forecaster, "", tensors)})
    metadata = {"format": FORMAT, "schema": str(SCHEMA), "content": content, "sha256": _digest(content, tensors)}
    partial = Path(f"{path}.partial")
    partial.write_bytes(to_bytes(tensors, metadata=metadata))
    partial.replace(path)


def load(path: str | Path) -> Any:
    """Read a forecaster that `save` wrote; its forecasts are the same bit for bit.

    Parameters
    ----------
    path : str or Path
        The file. Nothing in it is run: only the forecasters in ``seqcast.__all__`` are made from it.

    Returns
    -------
    forecaster
        As it was when it was saved.

    Raises
    ------
    CorruptFileError
        If the file is truncated, altered, from a newer seqcast or from elsewhere.

    Examples
    --------
    >>> import tempfile
    >>> import seqcast
    >>> from seqcast.datasets import load_dataset
    >>> path = f"{tempfile.mkdtemp()}/naive.seqcast"
    >>> seqcast.Naive(horizon=3).fit(load_dataset("nile")).save(path)
    >>> seqcast.load(path).forecast().tolist()
    [740.0, 740.0, 740.0]
    """
    metadata, tensors = _read(path)
    if metadata.get("format") != FORMAT:
        raise CorruptFileError(f"{path} is not a file of seqcast. Give one that forecaster.save(path) wrote.")
    if metadata.get("schema") not in {str(i + 1) for i in range(SCHEMA)}:
        raise CorruptFileError(
            f"{path} has schema {metadata.get('schema')}; seqcast {seqcast.__version__} reads up to {SCHEMA}. "
            "Upgrade seqcast, or save the forecaster again with this version."
        )
    content = metadata.get("content", "")
    if metadata.get("sha256") != _digest(content, tensors):
        raise CorruptFileError(f"{path} was altered since it was saved: its checksum differs. Copy or save it again.")
    try:
        return _decode(json.loads(content)["forecaster"], tensors)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CorruptFileError(f"{path} does not hold a whole forecaster ({error}). Save it again.") from error


def _read(path: str | Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(str(path), framework="np") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFileError(
            f"{path} is truncated, or not a file of seqcast ({error}). Copy or save it again."
        ) from error


def _digest(content: str, tensors: dict[str, NDArray[Any]]) -> str:
    """Checksum over the text and every array with its name, type and shape."""
    digest = hashlib.sha256(content.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _encode(value: Any, where: str, tensors: dict[str, NDArray[Any]]) -> Any:
    """Turn `value` into JSON: scalars as they are, all else as [kind, *parts]; arrays go to `tensors`."""
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in _TENSOR_KINDS:
        return ["tensor", *_put_aside(value, tensors)]
    if hasattr(value, "_get_state") and not isinstance(value, type):
        where = f"{where}.{type(value).__name__}".lstrip(".")
    for name, kind in _KINDS.items():
        if kind.holds(value):
            parts = zip(_places(value, where), kind.take_apart(value), strict=False)
            return [name, *(_encode(part, place, tensors) for place, part in parts)]
    raise TypeError(
        f"{where} is a {type(value).__name__}, which a file of seqcast does not hold: it has data only, and loading "
        "runs no code. Use joblib.dump(forecaster, path), and joblib.load only on files that you trust."
    )


def _decode(node: Any, tensors: dict[str, NDArray[Any]]) -> Any:
    if isinstance(node, dict):
        raise ValueError("an object where a list of a kind and its parts should be")
    if not isinstance(node, list):
        return node
    name, *parts = node
    if name == "tensor":
        tensor, order = parts
        return np.array(tensors[tensor].T if order == "F" else tensors[tensor])  # np.array keeps the order, writable
    return _KINDS[name].put_together(*(_decode(part, tensors) for part in parts))


def _put_aside(array: NDArray[Any], tensors: dict[str, NDArray[Any]]) -> tuple[str, str]:
    """Keep `array` in `tensors`; return its name and its memory order, on which the last bit of a product depends."""
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    kept = np.array(array.T if order == "F" else array, dtype=array.dtype.newbyteorder("="), order="C")
    name = hashlib.sha256(f"{kept.dtype.str} {kept.shape}".encode() + kept.tobytes()).hexdigest()[:16]
    tensors[name] = kept  # named by what it holds: an ensemble and its members share their panel in the file too
    return name, order


def _places(value: Any, where: str) -> Iterator[str]:
    """Name the parts of `value` for error messages."""
    if isinstance(value, dict):
        for key in value:
            yield where
            yield f"{where}.{key}"
    while True:
        yield where


def _public_class(name: str, cls: type | None = None) -> type:
    """Return the forecaster called `name` in ``seqcast.__all__``, which must be `cls` where that is given."""
    found = getattr(seqcast, name) if name in seqcast.__all__ else None
    if not isinstance(found, type) or not hasattr(found, "_set_state") or cls not in (None, found):
        raise TypeError(
            f"{name} is not a forecaster of seqcast, and its files hold no others; use joblib.dump instead."
        )
    return found


def _take_forecaster(forecaster: Any) -> tuple[Any, ...]:
    name = _public_class(type(forecaster).__name__, type(forecaster)).__name__
    return name, forecaster.get_params(deep=False), forecaster._get_state()


def _put_forecaster(name: str, params: dict[str, Any], state: dict[str, Any]) -> Any:
    forecaster = _public_class(name)(**params)
    if state:
        forecaster._set_state(state)
    return forecaster


def _take_record(record: Any) -> tuple[Any, ...]:
    return type(record).__name__, {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _take_array(array: NDArray[Any]) -> tuple[Any, ...]:
    """Take apart what is no tensor: times as integers, labels one by one."""
    if array.dtype.kind in "mM":
        return array.dtype.str, array.astype(np.int64)
    return array.dtype.str, array.shape, array.ravel().tolist()


def _put_array(dtype: str, values: Any, items: Any = None) -> NDArray[Any]:
    if items is None:
        return np.asarray(values).astype(dtype)
    array = np.empty(len(items), dtype=dtype)
    array[:] = items
    return array.reshape(values)


def _take_timestamp(time: pd.Timestamp) -> tuple[Any, ...]:
    return time.asm8.astype(np.int64).item(), time.unit, _zone_name(time.tz)


def _put_timestamp(value: int, unit: str, zone: str | None) -> pd.Timestamp:
    time = pd.Timestamp(value, unit=unit).as_unit(unit)
    return time if zone is None else time.tz_localize("UTC").tz_convert(zone)


def _zone_name(zone: Any) -> str | None:
    """Name of a time zone, by which pandas finds it again."""
    if zone is None:
        return None
    pd.Timestamp(0, tz=str(zone))
    return str(zone)


def _take_offset(offset: BaseOffset) -> tuple[Any, ...]:
    if to_offset(offset.freqstr) != offset:
        raise TypeError(
            f"The frequency {offset!r} has no name by which pandas finds it again: use joblib.dump instead."
        )
    return (offset.freqstr,)


def _take_trading_days(days: CustomBusinessDay) -> tuple[Any, ...]:
    """Weekdays and holidays themselves, so that the file needs no calendar to be read, and no newer one changes it."""
    if days.normalize or days.offset:
        raise TypeError(f"The frequency {days!r} shifts the time of the day: use joblib.dump instead.")
    calendar = days.calendar
    return days.n, "".join(str(int(is_open)) for is_open in calendar.weekmask), calendar.holidays.astype(np.int64)


def _put_trading_days(n: int, weekmask: str, holidays: NDArray[Any]) -> CustomBusinessDay:
    return CustomBusinessDay(n, weekmask=weekmask, holidays=tuple(holidays.astype("M8[D]")))


class _Kind(NamedTuple):
    """How values of one type are taken apart into simpler ones, and put together again."""

    holds: Callable[[Any], bool]
    take_apart: Callable[[Any], tuple[Any, ...]]
    put_together: Callable[..., Any]


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _exactly(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


_KINDS: dict[str, _Kind] = {  # the first that holds is taken: subclasses stand before their bases
    "forecaster": _Kind(lambda v: hasattr(v, "_get_state"), _take_forecaster, _put_forecaster),
    "record": _Kind(_is(*_RECORDS.values()), _take_record, lambda name, fields: _RECORDS[name](**fields)),
    "float": _Kind(_exactly(float), lambda v: (repr(v),), float),  # nan and infinity, which JSON does not have
    "list": _Kind(_exactly(list), tuple, lambda *items: list(items)),
    "tuple": _Kind(_exactly(tuple), tuple, lambda *items: items),
    "dict": _Kind(
        _exactly(dict), lambda v: tuple(chain(*v.items())), lambda *p: dict(zip(p[::2], p[1::2], strict=True))
    ),
    "scalar": _Kind(
        _is(np.generic),
        lambda v: (v.dtype.str, v.astype(np.int64).item() if v.dtype.kind in "mM" else v.item()),
        lambda dtype, value: np.array(value, dtype=dtype)[()],
    ),
    "array": _Kind(lambda v: isinstance(v, np.ndarray) and v.dtype.kind in "mMUO", _take_array, _put_array),
    "NaT": _Kind(lambda v: v is pd.NaT, lambda v: (), lambda: pd.NaT),
    "NA": _Kind(lambda v: v is pd.NA, lambda v: (), lambda: pd.NA),
    "Timestamp": _Kind(_is(pd.Timestamp), _take_timestamp, _put_timestamp),
    "Timedelta": _Kind(
        _is(pd.Timedelta),
        lambda v: (v.asm8.astype(np.int64).item(), v.unit),
        lambda value, unit: pd.Timedelta(np.timedelta64(value, unit)),
    ),
    "Period": _Kind(
        _is(pd.Period), lambda v: (v.ordinal, v.freqstr), lambda ordinal, freq: pd.Period(ordinal=ordinal, freq=freq)
    ),
    "trading days": _Kind(_exactly(CustomBusinessDay), _take_trading_days, _put_trading_days),
    "offset": _Kind(_is(BaseOffset), _take_offset, to_offset),
}
