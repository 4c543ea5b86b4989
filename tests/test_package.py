import ast
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import seqcast
from seqcast.exceptions import HorizonWarning

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "seqcast").rglob("*.py"))
MODULES = sorted(m.name for m in pkgutil.walk_packages(seqcast.__path__, "seqcast.") if "_cards" not in m.name)
LAYERS = """
exceptions _parameters
times
frames panel metrics
schema rows seasons splits
features resampling transforms windows
networks
recording
training
persistence
rolling
gains reversion
paths
verdict
base
series
models baselines
ensembles
evaluation
datasets plotting testing
__main__
"""
LEVEL = {name: level for level, line in enumerate(LAYERS.split("\n")) for name in line.split()}


def imports_of(path):
    """Return the modules of seqcast, without their package's name, that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "seqcast":
            yield from (alias.name for alias in node.names if alias.name in LEVEL)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("seqcast."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("seqcast."))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "seqcast")))
def test_a_module_imports_only_from_layers_below(path):
    own = path.relative_to(ROOT / "seqcast").parts[0].removesuffix(".py")
    if own != "__init__":
        wrong = [name for name in imports_of(path) if name != own and LEVEL[name] >= LEVEL[own]]
        assert not wrong, f"{own} imports {wrong} from its own layer or above"


def test_import_loads_the_standard_library_only():
    code = "import sys; before = set(sys.modules); import seqcast; print(*set(sys.modules) - before)"
    loaded = run_python(["-c", code], ROOT).split()
    assert {name.split(".")[0] for name in loaded} - {"seqcast"} <= sys.stdlib_module_names


def test_every_public_name_resolves_and_is_completed():
    assert set(seqcast.__all__) <= set(dir(seqcast))
    for name in seqcast.__all__:
        assert getattr(seqcast, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Seer'"):
        seqcast.Seer  # noqa: B018


def public_callables():
    for module in map(importlib.import_module, MODULES):
        for name in getattr(module, "__all__", []):
            thing = getattr(module, name)
            if inspect.isclass(thing):
                yield f"{module.__name__}.{name}", thing
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{module.__name__}.{name}.{method}", function
            elif callable(thing):
                yield f"{module.__name__}.{name}", thing


def documented_parameters(doc):
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}|\Z)", doc, re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^\S[^\n]*", section[1], re.MULTILINE) if section else []
    names = [[name.strip("* ") for name in line.split(" : ")[0].split(",")] for line in lines]
    return [name for line in names if all(map(str.isidentifier, line)) for name in line]


@pytest.mark.parametrize(("name", "thing"), [pytest.param(*pair, id=pair[0]) for pair in public_callables()])
def test_public_names_are_documented_with_the_parameters_they_have(name, thing):
    doc = inspect.getdoc(thing)
    assert doc, f"{name} has no docstring"
    documented = documented_parameters(doc)
    if documented and not (inspect.isclass(thing) and issubclass(thing, Exception)):
        has = [p for p in inspect.signature(thing).parameters if p != "self"]
        assert sorted(documented) == sorted(has)


def run_python(arguments, folder, **environment):
    command, env = [sys.executable, *arguments], {**os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_works_outside_the_checkout(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    for name in ("seqcast", "datasets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
    run_python([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)], tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    run_python([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], tmp_path)
    installed = {str(path.relative_to(site)) for path in (site / "seqcast").rglob("*") if path.suffix != ".pyc"}
    checkout = {str(path.relative_to(ROOT)) for path in SOURCES} | {"seqcast/py.typed", "seqcast/_cards/co2.toml"}
    assert checkout <= installed
    code = """
import seqcast
from seqcast.datasets import list_datasets, load_dataset
assert seqcast.__file__.startswith({site!r}), seqcast.__file__
assert list_datasets().loc["co2", "ready"]
seqcast.Naive(horizon=2).fit(load_dataset("nile")).save("naive.seqcast")
print(seqcast.load("naive.seqcast").forecast().tolist())
"""
    assert run_python(["-c", code.format(site=str(site))], tmp_path, PYTHONPATH=str(site)) == "[740.0, 740.0]\n"


def test_the_wheel_lists_every_package():
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES}
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{package}"' in text for package in packages)


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HorizonWarning)  # 52 steps of a model of 26
            exec(compile(block, "README.md", "exec"), names)
    assert names["model"].forecast().notna().all()
