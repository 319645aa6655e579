"""From a name, a class or a function to layers; what is found out about those of custom_layers."""

from functools import partial

import pytest
import tensorflow as tf

from bnexp.config.paths import names_in
from bnexp.engine.single_layer import LAYER, lone_graph
from bnexp.errors import UserError
from bnexp.graph.build import build_graph
from bnexp.graph.layer import accepts, is_variant, layer_maker, taken_by, variant_factory
from bnexp.variant.ghost import BatchNorm as Ghost

v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def graph():
    """A tf.Graph of its own for each test."""
    with tf.Graph().as_default() as current:
        yield current


def test_factory_has_the_yamls_options_and_the_given_decay():
    made = variant_factory("ghost", decay=0.75, epsilon=0.5)
    assert made.func is Ghost
    assert made.keywords == {"decay": 0.75, "epsilon": 0.5, "parts": 4}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("updateops", "Did you mean update_ops?"),
        ("update_ops.yaml", "Did you mean update_ops?"),
        ("", f"Take one of {', '.join(names_in('variant'))}."),
        ("../variant/ema", f"Take one of {', '.join(names_in('variant'))}."),
    ],
)
def test_unknown_name(name, advice):
    with pytest.raises(UserError) as caught:
        variant_factory(name, decay=0.9, epsilon=1e-3)
    assert str(caught.value) == f"variant={name}: there is no {name}.yaml in conf/variant. {advice}"


def test_a_former_name_is_that_of_the_same_variant():
    former, present = (variant_factory(name, decay=0.9, epsilon=1e-3) for name in ("sample_wise", "layer_norm"))
    assert (former.func, former.keywords) == (present.func, present.keywords)


def test_overrides_replace_what_the_yaml_says():
    layer = layer_maker(variant_factory("ghost", decay=0.75, epsilon=0.5), decay=0.25)("bn7", (None, 100))
    assert (layer.name, layer.decay, layer.epsilon, layer.parts) == ("bn7", 0.25, 0.5, 4)


def test_accepts():
    assert accepts(Ghost, "parts")
    assert accepts(partial(Ghost, parts=2), "decay")
    assert not accepts(Ghost, "momentum")
    assert not accepts(lambda **options: None, "anything")  # what takes anything need not use it


def test_a_variant_is_known_by_traits_and_train_op():
    assert is_variant(Ghost)
    assert is_variant(partial(Ghost, parts=2))
    assert is_variant(Ghost(name="bn", decay=0.5, epsilon=0.5, parts=2))

    class Claims:
        traits = Ghost.traits

    for other in (Claims, partial(Claims), lambda inputs, training: inputs, tf.keras.layers.BatchNormalization):
        assert not is_variant(other)


def test_what_a_variant_takes_is_what_its_class_takes():
    class OwnDecay(Ghost):
        def __init__(self, *, name, epsilon):
            super().__init__(name=name, decay=0.5, epsilon=epsilon, parts=2)

    assert taken_by(Ghost(name="bn", decay=0.5, epsilon=0.5, parts=2)) == {"decay", "epsilon"}
    made = layer_maker(OwnDecay, decay=0.9, epsilon=0.25)("bn", (None, 3))
    assert (taken_by(made), made.decay, made.epsilon) == ({"epsilon"}, 0.5, 0.25)


# --- custom_layers -----------------------------------------------------------------------------------------------------------


def built(factory, *, name=LAYER, rank=2):
    """Builds a stranger's layer alone and returns it, wrapped as it was."""
    shape = (3,) if rank == 2 else (2, 2, 3)
    return lone_graph(factory, shape, decay=0.9, epsilon=1e-3).layers[name]


def statistics(inputs, mean="moving_mean", variance="moving_variance"):
    zeros, ones = v1.zeros_initializer(), v1.ones_initializer()
    return (
        v1.get_variable(mean, [inputs.shape[-1]], initializer=zeros, trainable=False),
        v1.get_variable(variance, [inputs.shape[-1]], initializer=ones, trainable=False),
    )


def normalised(inputs, mean, variance):
    return tf.nn.batch_normalization(inputs, mean, variance, None, None, 1e-3)


@pytest.mark.parametrize("flag", ["training", "is_training", "phase_train", "whatever"])
@pytest.mark.parametrize("kind", ["python", "tensor"])
def test_the_flag_is_found_wherever_it_stands(flag, kind):
    told = []
    outputs = f"x + 1 if {flag} else x" if kind == "python" else f"tf.where({flag}, x + 1, x)"
    body = f"told.append(({flag}, decay, epsilon)); return {outputs}"
    source = f"def layer(x, {flag}, decay, epsilon): {body}"
    if flag != "whatever":  # by a name that is known, it may stand anywhere behind the inputs
        source = f"def layer(x, decay, {flag}, epsilon): {body}"
    space = {"told": told, "tf": tf}
    exec(source, space)
    made = built(space["layer"])
    assert made.traits.flag == kind
    if kind == "python":
        assert told[-2:] == [(True, 0.9, 1e-3), (False, 0.9, 1e-3)]
    else:  # one tower, whose flag is fed
        assert [given[1:] for given in told] == [(0.9, 1e-3)] * len(told)
        assert (told[-1][0].dtype, told[-1][0].op.type) == (tf.bool, "Placeholder")


def test_a_function_that_makes_layers_is_no_layer():
    def make(name, decay):
        assert (name, decay) == (LAYER, 0.9)
        return lambda inputs, training: inputs + 1

    outputs = lone_graph(make, (3,), decay=0.9, epsilon=1e-3).inference.outputs["outputs"]
    with v1.Session() as session:
        assert session.run(outputs, {"inputs:0": [[1.0, 2.0, 3.0]]}).tolist() == [[2.0, 3.0, 4.0]]


def flag_of(layer):
    return layer_maker(layer)("bn", (None, 3)).traits.flag


def test_a_layer_that_takes_no_python_flag_is_fed_a_tensor():
    def with_cond(inputs, training):
        return tf.cond(training, lambda: inputs + 1, lambda: tf.identity(inputs))

    def with_dtype(inputs, training):
        assert training.dtype == tf.bool
        return tf.where(training, inputs + 1, inputs)

    def with_if(inputs, training):
        return inputs + 1 if training else inputs

    assert flag_of(with_cond) == flag_of(with_dtype) == "tensor"
    assert flag_of(with_if) == "python"


def test_a_layer_that_takes_both_is_fed_a_tensor_unless_its_default_is_a_python_bool():
    def without(inputs, training):
        return tf.where(training, inputs + 1, inputs)

    def with_tensor(inputs, training=None):
        return tf.where(False if training is None else training, inputs + 1, inputs)

    def with_bool(inputs, training=False):
        return inputs * tf.cast(training, tf.float32) if isinstance(training, tf.Tensor) else inputs + 1 - training * 1

    def with_switch(inputs, training=False):
        return tf.nn.relu(inputs) if training is True else inputs

    assert flag_of(without) == flag_of(with_tensor) == "tensor"
    assert flag_of(with_switch) == "python"
    assert flag_of(with_bool) == "tensor"  # as a Python bool it makes the same ops in training and at inference


def test_trying_leaves_nothing_behind(graph):
    def with_cond(inputs, training):
        mean, variance = statistics(inputs)
        return tf.cond(training, lambda: inputs, lambda: normalised(inputs, mean, variance))

    layer_maker(with_cond)("bn1", (None, 3))
    assert graph.get_operations() == []
    assert v1.global_variables() == []


def test_a_layer_that_cannot_be_built_says_so_itself():
    def broken(inputs, training):
        raise RuntimeError("no such luck")

    with pytest.raises(UserError) as caught:
        built(broken)
    number = broken.__code__.co_firstlineno + 1
    target = f"{__name__}.test_a_layer_that_cannot_be_built_says_so_itself.<locals>.broken"
    assert str(caught.value) == (
        f"variant._target_={target}: your own code raised an exception\n"
        f"  {__file__}, line {number}, in broken\n"
        '    raise RuntimeError("no such luck")\n'
        "RuntimeError: no such luck\n"
        "It was tried with inputs [?, 3] and training=a bool tensor."
    )
    assert type(caught.value.__cause__) is RuntimeError


def test_a_layer_for_images_alone():
    def images(inputs, training):
        assert len(inputs.shape) == 4
        return tf.cond(training, lambda: inputs + 0, lambda: inputs * 1)

    assert built(images, rank=4).traits.flag == "tensor"


def names_of(layer):
    return layer.moving_mean.name, layer.moving_variance.name


@pytest.mark.parametrize(
    ("mean", "variance"),
    [
        ("moving_mean", "moving_variance"),
        ("pop_mean", "pop_var"),
        ("mu", "sigma_squared"),
        ("running_mean", "running_var"),
    ],
)
def test_statistics_are_found_by_their_names(mean, variance):
    def layer(inputs, training):
        # made in the other order, so that the names decide
        found = statistics(inputs, variance, mean)
        return normalised(inputs, found[1], found[0])

    assert names_of(built(layer)) == (f"bn/{mean}:0", f"bn/{variance}:0")


def test_statistics_without_such_names_are_the_first_two_in_order():
    def layer(inputs, training):
        return normalised(inputs, *statistics(inputs, "a", "b"))

    assert names_of(built(layer)) == ("bn/a:0", "bn/b:0")


def test_statistics_are_those_that_the_output_reads():
    def layer(inputs, training):
        v1.get_variable("mean_of_last_batch", [inputs.shape[-1]], initializer=v1.zeros_initializer(), trainable=False)
        v1.get_variable("var_of_last_batch", [inputs.shape[-1]], initializer=v1.ones_initializer(), trainable=False)
        return normalised(inputs, *statistics(inputs, "smooth_mean", "smooth_var"))

    assert names_of(built(layer)) == ("bn/smooth_mean:0", "bn/smooth_var:0")


class Says:
    """Says of its statistics that they are x and y, and reads none."""

    def __call__(self, inputs, training):
        with v1.variable_scope("own", reuse=v1.AUTO_REUSE):
            self.moving_mean, self.moving_variance = statistics(inputs, "x", "y")
            other = statistics(inputs, "mean", "variance")
        return self.normalised(inputs, other)

    def normalised(self, inputs, other):
        return normalised(inputs, *tf.nn.moments(inputs, [0])) + 0 * sum(other)


def test_statistics_are_what_the_layer_says_they_are_where_use_does_not_tell():
    assert names_of(built(Says)) == ("bn/own/x:0", "bn/own/y:0")


def test_what_inference_reads_counts_for_more_than_what_the_layer_says():
    class Reads(Says):
        def normalised(self, inputs, other):
            return normalised(inputs, *other)

    assert names_of(built(Reads)) == ("bn/own/mean:0", "bn/own/variance:0")


def test_statistics_in_a_wrapped_function():
    """The compiled engine's kind of graph, in which a variable is an input and has no op of its own."""
    found = []

    def layer(inputs, training):
        unread = statistics(inputs, "unread_mean", "unread_var")
        assert len(unread) == 2
        return normalised(inputs, *statistics(inputs, "read_mean", "read_var"))

    def build():
        found.append(names_of(built(layer)))
        return []

    v1.wrap_function(build, [])
    assert found == [("bn/read_mean:0", "bn/read_var:0")]


def test_a_layer_without_statistics_has_none():
    def layer(inputs, training):
        gamma = v1.get_variable("mean_looking_gamma", [inputs.shape[-1]], initializer=v1.ones_initializer())
        return inputs * gamma

    assert not hasattr(built(layer), "moving_mean")


def two_layers(factory):
    def network(inputs, *, batch_norm, num_classes, seed):
        return batch_norm(batch_norm(inputs, "first"), "second")

    def loss(outputs, labels):
        return v1.get_variable("anchor", [], initializer=v1.ones_initializer()) * tf.reduce_sum(outputs)

    optimizer = v1.train.GradientDescentOptimizer(0.0)
    options = {"example_shape": (3,), "num_classes": 3, "seed": 0, "loss_of": loss}
    return build_graph(network, layer_maker(factory), optimizer, **options)


def test_a_function_without_a_scope_gets_one_a_layer_and_shares_it_between_towers():
    def layer(inputs, training):
        mean, variance = statistics(inputs)
        return inputs if training else normalised(inputs, mean, variance)

    graph = two_layers(layer)
    assert names_of(graph.layers["first"]) == ("first/moving_mean:0", "first/moving_variance:0")
    assert names_of(graph.layers["second"]) == ("second/moving_mean:0", "second/moving_variance:0")
    assert len(v1.global_variables()) == 5  # and the loss's


def test_own_train_op_and_monitor_are_used_with_the_own_layers():
    class Own:
        def __init__(self, name):
            self.name = name

        def __call__(self, inputs, training):
            return inputs

        @staticmethod
        def train_op(optimizer, loss, layers):
            assert all(type(layer) is Own for layer in layers)
            return tf.no_op(name="_".join(layer.name for layer in layers))

        @staticmethod
        def monitor(in_training, in_inference):
            return tf.identity(in_training, name="watched")

    graph = two_layers(Own)
    assert graph.monitor.outputs["outputs"].name == "watched:0"
    assert v1.get_default_graph().get_operation_by_name("first_second").type == "NoOp"


def test_own_traits_are_taken_as_they_are():
    class Claims:
        traits = type(variant_factory("cond", decay=0.9, epsilon=1e-3).func.traits)(flag="tensor", document="mine")

        def __call__(self, inputs, training):
            return tf.where(training, inputs, inputs)

    assert built(Claims).traits is Claims.traits


def test_two_layers_that_make_their_variables_when_they_are_made_have_each_their_own():
    """With get_variable and no scope of their own: whoever makes two of them puts a scope around each."""

    class Old:
        def __init__(self, size):
            zeros, ones = v1.zeros_initializer(), v1.ones_initializer()
            self.mean = v1.get_variable("mean", [size], initializer=zeros, trainable=False)
            self.variance = v1.get_variable("variance", [size], initializer=ones, trainable=False)

        def __call__(self, inputs, is_training):
            return normalised(inputs, self.mean, self.variance)

    make = layer_maker(Old)
    for name in ("bn1", "bn2"):
        layer = make(name, (None, 3))
        layer(v1.placeholder(tf.float32, [None, 3]), True)
        assert names_of(layer) == (f"{name}/mean:0", f"{name}/variance:0")
