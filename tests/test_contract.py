"""Every forecaster keeps the contract, and scikit-learn's own checks."""

import importlib.util
import inspect

import checks
import pytest
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import seqcast
from seqcast import BaseForecaster
from seqcast.testing import EXPECTED_FAILED_CHECKS

NEEDS = {"seqcast.baselines.statsforecast": "statsforecast", "GARCH": "arch"}
SMALL = {"max_steps": 5, "hidden_size": 8, "n_layers": 1, "batch_size": 16, "n_members": 1, "random_state": 0}


def _small(forecaster):
    return forecaster.set_params(**{name: value for name, value in SMALL.items() if name in forecaster.get_params()})


def _forecasters():
    for name in seqcast.__all__:
        kind = getattr(seqcast, name)
        if (
            inspect.isclass(kind)
            and issubclass(kind, BaseForecaster)
            and not name.endswith("BaseForecaster")
            and name != "SeriesForecaster"
            and all(map(importlib.util.find_spec, {NEEDS[key] for key in (name, kind.__module__) if key in NEEDS}))
        ):
            yield _small(kind())


FORECASTERS = list(_forecasters())


def _calls():
    for check in checks.CHECKS:
        marks = [m for m in getattr(check, "pytestmark", []) if m.name == "parametrize"]
        if marks:
            names, values = marks[0].args
            yield from (
                pytest.param(check, {names: v}, id=f"{check.__name__}-{i}")
                for v, i in zip(values, marks[0].kwargs["ids"], strict=True)
            )
        else:
            yield pytest.param(check, {}, id=check.__name__)


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize(("check", "arguments"), list(_calls()))
def test_forecaster_keeps_the_contract(forecaster, check, arguments, tmp_path):
    if "tmp_path" in inspect.signature(check).parameters:
        arguments = {**arguments, "tmp_path": tmp_path}
    check(clone(forecaster).set_params(horizon=checks.H), **arguments)


def _expected_failed_checks(forecaster):
    is_positive = get_tags(forecaster).target_tags.positive_only
    return {k: v for k, v in EXPECTED_FAILED_CHECKS.items() if is_positive or k != "check_regressor_multioutput"}


@pytest.mark.filterwarnings("ignore::seqcast.exceptions.HorizonWarning")  # some checks predict 20 rows with horizon 1,
@pytest.mark.filterwarnings("ignore::seqcast.exceptions.LeakageWarning")  # and one has y = X[:, 0]
@parametrize_with_checks(FORECASTERS, expected_failed_checks=_expected_failed_checks)
def test_forecaster_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
