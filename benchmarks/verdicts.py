"""Whether the verdict of a fit cries wolf: what it says of the forecasters of the accuracy protocols.

No test value is read: the protocols run on their validation parts, and the verdict reads a tail of the training rows.
"""

import argparse
import datetime
import platform
import warnings
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import torch
from accuracy import MODELS, NETWORKS, PROTOCOLS
from tqdm import tqdm

import seqcast

DATA = ["etth1-96", "etth1-336", "exchange-96", "illness-24", "illness-60", "epf-np", "epf-de", "air-quality-rolling"]
DATA += ["m4-hourly", "hospital", "tourism"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=DATA, choices=list(PROTOCOLS), metavar="NAME")
    parser.add_argument("--model", nargs="+", default=[*NETWORKS, "Ridge"], choices=list(MODELS), metavar="NAME")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{datetime.date.today()}, seqcast {seqcast.__version__}, torch {torch.__version__}, ", end="")
    print(f"python {platform.python_version()}, validation parts\n")
    print("| data | model | error saved, of the last value's and the last season's | faults named |\n|---|---|---|---|")
    runs = [(data, model) for data in arguments.data for model in arguments.model]
    for data, model in tqdm(runs, desc="verdicts", unit="fit"):
        verdict = verdict_of(data, MODELS[model])
        faults = ", ".join(finding.name for finding in verdict.findings) or "none"
        tqdm.write(f"| {data} | {model} | {verdict.summary.removeprefix('Error saved: ')} | {faults} |")


def verdict_of(data: str, kind: type) -> Any:
    """The verdict of the first fit of a protocol."""
    found = []
    fit = kind.fit

    def watched(self: Any, *args: Any, **options: Any) -> Any:
        found.append(fit(self, *args, **options).verdict())
        raise InterruptedError("The verdict is known.")

    with patch.object(kind, "fit", watched), suppress(InterruptedError):
        PROTOCOLS[data](lambda **settings: kind(**settings), "validation")
    return found[0]


if __name__ == "__main__":
    main()
