"""What every network must keep; found by listing conf/network, so that a new one joins by itself."""

import numpy as np
import pytest
import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf
from small import SIZES, images, names, rows, settings, small_model

from bnexp.config.paths import CONF_DIR
from bnexp.dataset import make_dataset
from bnexp.engine.build import build_model
from bnexp.errors import UserError
from bnexp.network import weight

v1 = tf.compat.v1
NAMES = names("network")


def network(name):
    return instantiate(OmegaConf.load(CONF_DIR / "network" / f"{name}.yaml"))


def graph_of(name, *, seed=0, towers=1, shape=(8, 8, 1)):
    """Builds the full-size network with a recording identity for a batch norm."""
    met = []
    graph = tf.Graph()
    with graph.as_default():
        inputs = v1.placeholder(tf.float32, [None, *shape])

        def batch_norm(hidden, layer):
            met.append((layer, hidden.shape))
            return hidden

        outputs = [network(name)(inputs, batch_norm=batch_norm, num_classes=4, seed=seed) for _ in range(towers)]
        variables = v1.trainable_variables()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            values = dict(zip([v.name for v in variables], session.run(variables), strict=True))
    return outputs, met, values


@pytest.mark.parametrize("name", NAMES)
def test_logits_for_every_class(name):
    (logits,), _, _ = graph_of(name)
    assert logits.dtype == tf.float32
    assert logits.shape.as_list() == [None, 4]


@pytest.mark.parametrize("name", NAMES)
def test_layers_have_names_of_their_own_in_every_tower(name):
    _, met, _ = graph_of(name)
    layers = [layer for layer, _ in met]
    assert len(layers) == len(set(layers)) >= 3
    for _, shape in met:
        assert shape.rank in (2, 4)
        assert shape[-1] is not None
    _, twice, _ = graph_of(name, towers=2)
    assert [layer for layer, _ in twice] == layers * 2


@pytest.mark.parametrize("name", NAMES)
def test_towers_share_their_weights(name):
    _, _, once = graph_of(name)
    _, _, twice = graph_of(name, towers=2)
    assert once.keys() == twice.keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides_the_weights(name):
    _, _, one = graph_of(name, seed=5)
    np.random.seed(1)
    tf.random.set_seed(1)
    _, _, same = graph_of(name, seed=5)
    _, _, other = graph_of(name, seed=6)
    for key, value in one.items():
        np.testing.assert_array_equal(same[key], value)
        if key.endswith("kernel:0"):
            assert (other[key] != value).all()
            assert value.std() > 0
    kernels = [value.ravel()[:4].tobytes() for key, value in one.items() if key.endswith("kernel:0")]
    assert len(set(kernels)) == len(kernels)  # no two layers start alike


@pytest.mark.parametrize("name", NAMES)
def test_no_bias_stands_before_a_batch_norm(name):
    """Beta takes its place; a second one would have no gradient of its own."""
    _, _, values = graph_of(name)
    assert [key for key in values if not key.endswith("kernel:0")] == ["logits/bias:0"]


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_is_trained_and_every_layer_normalised(name):
    dataset = images()
    model = small_model(dataset, "optimizer=sgd", network=name)
    before = model.state()
    steps = model.train(dataset.x_train, dataset.y_train, rows(dataset, 3), calls=None)
    after = model.state()
    for key, value in before.items():
        assert (after[key] != value).any(), key
    assert set(steps.layers) == set(model.layers)


@pytest.mark.parametrize("name", NAMES)
def test_examples_do_not_mix_but_in_the_batch_norm(name):
    """At inference the outputs of an example are its own, whatever stands beside it."""
    dataset = images()
    model = small_model(dataset, network=name)
    outputs = model.predict(dataset.x_test, batch_size=30)
    alone = model.predict(dataset.x_test[4:5], batch_size=1)
    # float32; another batch size may be summed in another order, of 32 terms at most
    np.testing.assert_allclose(alone[0], outputs[4], rtol=0, atol=32 * 6e-8 * np.abs(outputs).max())
    assert np.abs(outputs[5] - outputs[4]).max() > 1e-3


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"mlp"}))
def test_convolutions_refuse_rows_of_features(name):
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    dataset = make_dataset(x, [0, 1, 0, 1], x, [0, 1, 0, 1], source="x")
    with pytest.raises(UserError) as caught:
        build_model(settings(f"network={name}", SIZES[name], "batch_size=2"), dataset, "/CPU:0")
    assert str(caught.value) == (
        f"network={name} takes images [height, width, channels], but the dataset's examples have the shape [2]. "
        "Take network=mlp, or a dataset of images."
    )


def test_the_mlp_flattens_images():
    _, met, values = graph_of("mlp", shape=(3, 5, 2))
    assert values["dense1/kernel:0"].shape[0] == 30
    assert met[0][1].rank == 2


@pytest.mark.parametrize(
    ("activation", "function"),
    [("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("tanh", np.tanh), ("relu", lambda x: np.maximum(x, 0))],
)
def test_the_mlp_takes_other_activations(activation, function):
    x = np.random.default_rng(3).normal(size=[7, 4]).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.float32, [None, 4])
        build = instantiate(OmegaConf.load(CONF_DIR / "network" / "mlp.yaml"), widths=[5], activation=activation)
        logits = build(inputs, batch_norm=lambda hidden, _: hidden, num_classes=3, seed=1)
        session.run(v1.global_variables_initializer())
        first, last, bias = session.run(v1.trainable_variables())
        found = session.run(logits, {inputs: x})
    np.testing.assert_allclose(found, function(np.float64(x) @ first) @ last + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.activation=gelu", r"^network.activation must be one of sigmoid, tanh, relu, got gelu.$"),
        ("network.stddev=0", r"^network.stddev must be more than 0, got 0. Leave it out for the activation's own.$"),
    ],
)
def test_an_mlp_that_cannot_be_is_refused(override, message):
    with pytest.raises(UserError, match=message):
        small_model(images(), override)


def test_the_mlp_s_weights_have_the_spread_that_was_asked_for():
    model = small_model(images(side=8), "network.widths=[100,90]", "network.stddev=0.05")
    for kernel, fan_in in (("dense1/kernel", 128), ("dense2/kernel", 100)):
        values = model.state()[kernel]
        assert values.shape[0] == fan_in
        # a spread estimated from 9000 draws is off by 1 / sqrt(2 * 9000), four of which are 3 %
        assert values.std() == pytest.approx(0.05, rel=0.03)


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_initial_weights_have_the_variance_of_their_fan_in(gain):
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = weight("k", [3, 3, 50, 40], seed=0, gain=gain)
        session.run(kernel.initializer)
        values = session.run(kernel)
    # a variance estimated from 18000 draws is off by sqrt(2 / 18000) = 1 %, four of which nobody sees
    assert values.var() == pytest.approx(gain / 450, rel=0.04)
    assert abs(values.mean()) < 4 * np.sqrt(gain / 450 / 18000)


def test_every_file_has_its_yaml():
    modules = {path.stem for path in (CONF_DIR.parent / "bnexp" / "network").glob("*.py")} - {"__init__"}
    assert modules == set(NAMES)
