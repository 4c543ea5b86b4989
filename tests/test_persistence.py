import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.linear_model import Ridge

import seqcast
from seqcast import persistence
from seqcast.datasets import load_dataset, make_series
from seqcast.exceptions import CorruptFileError
from seqcast.times import TimeAxis

STORED = Path(__file__).parent / "data"
BERLIN = pd.date_range("2024-03-30 22:00", periods=6, freq="h", tz="Europe/Berlin", name="at")
VALUES = [
    None,
    True,
    2**70,
    "text",
    0.1,
    float("inf"),
    (1, [2.0, (None, "x")]),
    {1: "a", (2, "b"): {"c": ()}, None: 3, 1.5: float("-inf")},
    np.float32(0.1),
    np.int8(-3),
    np.bool_(True),
    np.str_("x"),
    np.datetime64("2024-01-01", "D"),
    np.arange(6, dtype=np.int16).reshape(2, 3),
    np.asfortranarray(np.random.default_rng(0).random((3, 4))),
    np.array(3.0, dtype=">f8"),
    np.array([], dtype=np.float32),
    np.array([True, False]),
    np.array(["a", "bc"]),
    np.array([["a", 1], [None, 2.5]], dtype=object),
    np.array(["2024-01-01", "NaT"], dtype="M8[s]"),
    pd.Timestamp("2024-01-01"),
    pd.Timestamp("2024-01-01", tz="Europe/Berlin").as_unit("ns"),
    pd.Timestamp("2024-01-01 00:00+01:00"),
    pd.Timedelta("90min"),
    pd.Period("2024Q2"),
    pd.offsets.Week(2, weekday=5),
    pd.offsets.BMonthEnd(),
    pd.offsets.CustomBusinessDay(2, weekmask="1111000", holidays=("2024-05-01", "2024-12-25")),
    TimeAxis.infer(BERLIN),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{type(v).__name__} {v}"[:40])
def test_values_come_back_as_they_were(value):
    tensors = {}
    text = json.dumps(persistence._encode(value, "x", tensors), allow_nan=False)
    back = persistence._decode(json.loads(text), tensors)
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        np.testing.assert_array_equal(back, value)
        assert back.dtype == value.dtype.newbyteorder("=")
        assert back.strides == value.strides, "the order in memory decides the last bit of a product"
        assert back.flags.writeable
    else:
        assert back == value
        assert str(back) == str(value)


def test_missing_values_come_back():
    values = [float("nan"), pd.NaT, pd.NA, np.datetime64("NaT", "s")]
    back = persistence._decode(persistence._encode(values, "x", {}), {})
    assert [type(v) for v in back] == [type(v) for v in values]
    assert pd.isna(back).all()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.seqcast"
    seqcast.SeasonalNaive(horizon=3, season_length=4).fit(make_series(30, random_state=0)).save(path)
    return path


def rewrite(path, **changes):
    """Change the metadata of a saved file as someone could who knows the format."""
    with safe_open(path, framework="np") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata |= changes
    if "content" in changes and "sha256" not in changes:
        metadata["sha256"] = persistence._digest(metadata["content"], tensors)
    save_file(tensors, path, metadata=metadata)


def content(path):
    with safe_open(path, framework="np") as file:
        return file.metadata()["content"]


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_file_says_so(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorruptFileError, match=r"model\.seqcast.*[Cc]opy or save it again"):
        seqcast.load(path)


def test_one_changed_byte_is_found(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptFileError, match="altered since it was saved"):
        seqcast.load(path)


def test_changed_parameters_are_found(path):
    rewrite(path, content=content(path).replace('"horizon", 3', '"horizon", 4'), sha256="0" * 64)
    with pytest.raises(CorruptFileError, match="altered since it was saved"):
        seqcast.load(path)


def test_foreign_files_are_refused(tmp_path):
    save_file({"weight": np.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "text.seqcast").write_text("a,b\n1,2\n")
    with pytest.raises(CorruptFileError, match="is not a file of seqcast"):
        seqcast.load(tmp_path / "other.safetensors")
    with pytest.raises(CorruptFileError, match="not a file of seqcast"):
        seqcast.load(tmp_path / "text.seqcast")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*lost\.seqcast"):
        seqcast.load(tmp_path / "lost.seqcast")


def test_a_file_of_a_newer_version_asks_for_an_upgrade(path):
    rewrite(path, schema="99")
    with pytest.raises(CorruptFileError, match=r"schema 99.*Upgrade seqcast"):
        seqcast.load(path)


@pytest.mark.parametrize("name", ["os", "datasets", "Ridge", "from_long", "__doc__", "persistence.save"])
def test_load_makes_nothing_but_public_forecasters(path, name):
    rewrite(path, content=content(path).replace('"SeasonalNaive"', f'"{name}"'))
    with pytest.raises(CorruptFileError, match="not a forecaster of seqcast"):
        seqcast.load(path)


@pytest.mark.parametrize(
    "node", ['["list"', '["nothing", 1]', '["tensor", "a99", "C"]', '["Timestamp", "x"]', "{}", "[]"]
)
def test_broken_content_with_a_sound_checksum_is_refused(path, node):
    rewrite(path, content=f'{{"forecaster": ["forecaster", "Naive", ["dict"], ["dict", "panel_", {node}]]}}')
    with pytest.raises(CorruptFileError, match="does not hold a whole forecaster"):
        seqcast.load(path)


def test_an_object_of_another_library_is_named_with_the_remedy(tmp_path):
    forecaster = seqcast.RegressionForecaster(Ridge()).fit(make_series(60, random_state=0))
    with pytest.raises(TypeError, match=r"RegressionForecaster.*regressor.*joblib\.dump"):
        forecaster.save(tmp_path / "x.seqcast")
    assert not any(tmp_path.iterdir())


def test_a_forecaster_of_ones_own_is_refused(tmp_path):
    class Mine(seqcast.Naive):
        pass

    with pytest.raises(TypeError, match=r"Mine is not a forecaster of seqcast.*joblib"):
        Mine().fit(make_series(9)).save(tmp_path / "x.seqcast")


def test_a_failed_save_keeps_the_file_that_was_there(path):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        seqcast.RegressionForecaster(Ridge()).fit(make_series(60, random_state=0)).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


# Files of earlier versions, which every later one must read -----------------------------------------------------------
# `python tests/test_persistence.py` writes those of this version; they are made once and never again.


def stored_forecasters():
    """Return fitted forecasters of every kind: networks, panels, covariates, periods, zones, members."""
    small = {"hidden_size": 8, "max_steps": 5, "lookback": 12, "n_members": 2, "random_state": 0}
    elnino, stocks, macro = load_dataset("elnino").tail(240), load_dataset("stocks"), load_dataset("macrodata")
    hourly = make_series(300, gaps=0.1, random_state=0).tz_localize("Europe/Berlin")
    yield "ets", seqcast.ETS(horizon=3).fit(elnino)
    yield (
        "lstm_panel",
        seqcast.LSTMForecaster(horizon=3, **small).fit(stocks[stocks.index.isin(["IBM", "DELL"], level=0)]),
    )
    ridge = seqcast.RidgeForecaster(horizon=3, lookback=8, past_features=("unemp",))
    yield "ridge_covariates", ridge.fit(macro[["unemp"]], macro["realcons"])
    yield "transformer_zone", seqcast.TransformerForecaster(horizon=3, loss="quantile", **small).fit(hourly)
    members = [("naive", seqcast.SeasonalNaive(horizon=3)), ("theta", seqcast.Theta(horizon=3))]
    yield "ensemble", seqcast.EnsembleForecaster(members, horizon=3).fit(elnino)


@pytest.mark.parametrize("path", sorted(STORED.glob("*.seqcast")), ids=lambda path: path.stem)
def test_stored_files_forecast_the_stored_numbers(path):
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    model = seqcast.load(path)
    forecast = model.forecast(quantiles=expected["quantiles"])
    assert [str(time) for time in forecast.index.get_level_values(-1)] == expected["times"]
    np.testing.assert_allclose(forecast, expected["forecast"], rtol=1e-4)
    if not model.schema_.encoder.columns:
        np.testing.assert_allclose(model.predict(forecast.index), model.forecast())
        model.update(model.forecast())


if __name__ == "__main__":
    for name, forecaster in stored_forecasters():
        forecaster.save(STORED / f"{name}-{seqcast.__version__}.seqcast")
        forecast = forecaster.forecast(quantiles=[0.1, 0.5, 0.9])
        content = {
            "quantiles": [0.1, 0.5, 0.9],
            "times": [str(time) for time in forecast.index.get_level_values(-1)],
            "forecast": forecast.to_numpy().round(6).tolist(),
        }
        path = STORED / f"{name}-{seqcast.__version__}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
