"""Which device a run gets, on machines with and without a GPU; neither needs to be here."""

import os

import pytest
import tensorflow as tf

from bnexp.errors import UserError
from bnexp.runtime.device import choose_device
from bnexp.runtime.threads import cores


@pytest.fixture
def machine(monkeypatch):
    """Pretends a number of GPUs, and writes down for which memory growth was asked."""

    def of(gpus):
        grown = []
        found = [f"GPU {i}" for i in range(gpus)]
        config, experimental = tf.config, tf.config.experimental
        monkeypatch.setattr(config, "list_physical_devices", lambda kind: found if kind == "GPU" else [])
        monkeypatch.setattr(experimental, "set_memory_growth", lambda gpu, on: grown.append((gpu, on)))
        monkeypatch.setattr(experimental, "get_device_details", lambda gpu: {"device_name": "Card"})
        return grown

    return of


@pytest.mark.parametrize(
    ("gpus", "wanted", "chosen"),
    [
        (0, "auto", ("/CPU:0", "CPU: TensorFlow sees no GPU")),
        (0, "cpu", ("/CPU:0", "CPU, as asked")),
        (2, "auto", ("/GPU:0", "GPU: Card")),
        (2, "gpu", ("/GPU:0", "GPU: Card")),
        (2, "cpu", ("/CPU:0", "CPU, as asked")),
    ],
)
def test_choice(machine, gpus, wanted, chosen):
    grown = machine(gpus)
    assert choose_device(wanted) == chosen
    # whatever was chosen: the next job of a sweep may want what this one does not, and then it is too late to ask
    assert grown == [(f"GPU {i}", True) for i in range(gpus)]


@pytest.mark.parametrize(("given", "told"), [("1", "; 1 thread"), ("4", "; 4 threads"), ("0", ""), ("many", "")])
def test_a_limit_of_threads_is_told(machine, monkeypatch, given, told):
    machine(0)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", given)
    assert choose_device("cpu") == ("/CPU:0", f"CPU, as asked{told}")
    assert cores() == (int(given) if told else os.cpu_count())


def test_no_gpu_where_one_is_wanted(machine):
    machine(0)
    with pytest.raises(UserError) as caught:
        choose_device("gpu")
    assert str(caught.value) == (
        "device=gpu: TensorFlow sees no GPU. Install CUDA with pip install -e '.[cuda]' and check the driver with "
        "nvidia-smi, or take device=auto or device=cpu."
    )


def test_results_are_meant_to_repeat(machine, monkeypatch):
    machine(0)
    asked = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append("the same bits"))
    choose_device("auto")
    assert asked == ["the same bits"]
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
