import os

import numpy as np
import pandas as pd
import pytest

from seqcast.datasets import list_datasets, load_dataset, make_series
from seqcast.exceptions import CorruptFileError

SHIPPED = ["co2", "elnino", "google", "macrodata", "nile", "stocks", "sunspots"]
PUBLIC = {  # rows and columns by data/README of the benchmarks, one value read from the file by eye
    "air_quality": ((9357, 13), ("2004-03-10 18:00", "CO(GT)", 2.6)),
    "beijing_pm25": ((43824, 8), ("2010-01-01 01:00", "TEMP", -12.0)),
    "epf_de": ((52416, 3), ("2012-01-09 01:00", "OT", 33.43)),
    "epf_np": ((52416, 3), ("2013-01-01 00:00", "Grid load forecast", 42497.0)),
    "etth1": ((17420, 7), ("2016-07-01 01:00", "OT", 27.78700065612793)),
    "exchange_rate": ((7588, 8), None),
    "hospital": ((767 * 84,), (("T3", "2000-02-01"), None, 184.0)),
    "m4_hourly": ((373372,), (("H2", 1), None, 3124.0)),
    "machine_temperature": ((22695,), ("2013-12-02 21:20", None, 74.93588199999998)),
    "national_illness": ((966, 7), ("2002-01-08", "OT", 186355.0)),
    "sp500": ((5031, 6), ("1999-01-05", "Close", 1244.780029)),
    "tourism_monthly": ((109280,), (("T1", "1979-02-01"), None, 1053.8002)),
}
needs_files = pytest.mark.skipif("SEQCAST_DATA" not in os.environ, reason="SEQCAST_DATA names no folder")


def test_every_card_says_what_it_must():
    table = list_datasets()
    assert sorted(table.index) == sorted([*SHIPPED, *PUBLIC])
    assert table[["what", "kind", "frequency", "unit", "licence", "source"]].notna().all(axis=None)
    assert set(table["kind"]) == {"Series", "frame", "panel"}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_data_are_of_the_kind_and_frequency_of_their_card(name):
    card, data = list_datasets().loc[name], load_dataset(name)
    assert card["ready"]
    assert isinstance(data, pd.DataFrame) == (card["kind"] == "frame")
    if card["kind"] != "panel":
        assert data.index.freqstr.startswith(card["frequency"])


def test_co2_is_weekly_with_59_masked_weeks():
    co2 = load_dataset("co2")
    assert (co2.name, len(co2), co2.isna().sum(), co2.loc["1958-03-29"]) == ("co2", 2284, 59, 316.1)


def test_stocks_are_month_starts_of_unequal_length():
    stocks = load_dataset("stocks")
    lengths = stocks.groupby(level="series").size()
    assert lengths.to_dict() | {"DELL": 70, "AMZN": 301} == lengths.to_dict()
    assert len(lengths) == 10 and lengths["IBM"] == 390
    times = stocks.index.get_level_values("time")
    assert (times.day == 1).all() and times.max() == pd.Timestamp("2022-06-01")
    assert stocks.notna().all()


def test_google_has_its_holidays_as_missing_values():
    google = load_dataset("google")
    assert np.isnan(google["2007-07-04"]) and google["2004-08-19"] == 100.34


def test_elnino_and_macrodata_run_on_from_year_to_year():
    assert load_dataset("elnino")["1951-02-01"] == 25.28
    assert load_dataset("macrodata").loc["1959Q2", "realgdp"] == 2778.801


@needs_files
@pytest.mark.parametrize("name", PUBLIC)
def test_public_files_are_read_as_they_are(name):
    shape, known = PUBLIC[name]
    data = load_dataset(name)
    assert data.shape == shape
    if known:
        at, column, value = known
        assert (data.loc[at] if column is None else data.loc[at, column]) == value


@needs_files
def test_missing_codes_become_nan_and_directions_categories():
    assert load_dataset("air_quality").min().min() > -200
    beijing = load_dataset("beijing_pm25")
    assert beijing["pm2.5"].isna().sum() == 2067 and beijing["cbwd"].dtype == "category"


@needs_files
def test_m4_joins_training_and_test_part():
    h1 = load_dataset("m4_hourly").loc["H1"]
    assert len(h1) == 700 + 48 and h1.loc[701] == 619.0 and h1.index.tolist() == list(range(1, 749))


def test_a_missing_file_is_named_with_its_source(tmp_path, monkeypatch):
    monkeypatch.delenv("SEQCAST_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"ETTh1\.csv.*https://github\.com/zhouhaoyi.*SEQCAST_DATA"):
        load_dataset("etth1")
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        load_dataset("etth1", folder=tmp_path)
    assert not list_datasets().loc["etth1", "ready"]


def test_an_altered_file_is_refused(tmp_path):
    (tmp_path / "ETTh1.csv").write_text("date,OT\n2016-07-01 00:00:00,1\n")
    with pytest.raises(CorruptFileError, match="not the original"):
        load_dataset("etth1", folder=tmp_path)


def test_an_unknown_name_raises_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no data set 'co3'.*co2"):
        load_dataset("co3")


def test_make_series_adds_up_its_parts():
    y = make_series(10, trend=2.0, seasons=((4, 3.0),), noise=0, level_shifts=((5, 100.0),))
    expected = [2 * t + 3 * [0, 1, 0, -1][t % 4] + (100 if t >= 5 else 0) for t in range(10)]
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_make_series_masks_about_the_share_asked_for_and_repeats_with_its_seed():
    y = make_series(5000, gaps=0.3, random_state=1)
    assert 0.25 < y.isna().mean() < 0.35 and y.iloc[[0, -1]].notna().all()
    pd.testing.assert_series_equal(y, make_series(5000, gaps=0.3, random_state=1))
    assert not y.equals(make_series(5000, gaps=0.3, random_state=2))


@pytest.mark.parametrize("wrong", [{"n": 0}, {"noise": -1.0}, {"gaps": 1.0}])
def test_make_series_refuses_what_makes_no_series(wrong):
    with pytest.raises(ValueError, match="make_series needs"):
        make_series(**wrong)
