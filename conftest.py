import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)  # the networks of the tests are too small to share out


@pytest.fixture(autouse=True)
def _no_open_figures():
    yield
    plt.close("all")
