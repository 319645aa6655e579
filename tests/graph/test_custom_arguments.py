"""What a parameter is for by its name, and what a layer that was not written for bnexp is given for it."""

from functools import partial

import pytest
import tensorflow as tf

from bnexp.errors import UserError
from bnexp.graph.custom.arguments import Place, fill, left_over, name_of, split_keys
from bnexp.graph.custom.roles import is_function_of_inputs, is_inverted, parameters_of, role_of, roles_of

DENSE, IMAGE = Place("bn1", (None, 7), 0.8, 0.25), Place("bn1", (None, 4, 5, 7), 0.8, 0.25)


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("inputs", "x inputs input_layer Ylogits incoming net"),
        ("flag", "training is_training phase_train isTrain train_phase phase mode is_test testing use_batch_stats"),
        ("decay", "decay momentum bn_decay ema_decay moving_average_decay"),
        ("epsilon", "eps epsilon variance_epsilon"),
        ("channels", "n_out dim depth num_features in_channels nb_filter"),
        ("shape", "shape params_shape"),
        ("axes", "axes moments_axes"),
        ("image", "convolutional is_conv"),
        ("layout", "data_format"),
        ("name", "name scope scope_name"),
        ("reuse", "reuse"),
        ("step", "global_step iteration num_updates"),
        ("average", "ema ewma_trainer"),
        ("gamma", "gamma"),
        ("beta", "beta offset"),
        ("affine", "affine scale_after_norm center"),
        (None, "activation_fn trainable pretrained trainer whatever kernel"),
    ],
)
def test_a_role_is_known_by_its_usual_names(role, names):
    assert {name: role_of(name) for name in names.split()} == dict.fromkeys(names.split(), role)


@pytest.mark.parametrize(("name", "inverted"), [("is_test", True), ("Inference", True), ("training", False)])
def test_a_flag_that_is_true_at_inference_is_known_by_its_name(name, inverted):
    assert role_of(name) == "flag"
    assert is_inverted(name) == inverted


def roles(function, *, layer=True):
    return roles_of(parameters_of(function), layer=layer)


def test_the_first_parameter_is_the_inputs_whatever_its_name():
    assert roles(lambda blob, n_out, is_training: 0) == {"inputs": "blob", "channels": "n_out", "flag": "is_training"}


def test_inputs_may_stand_behind_what_is_plainly_something_else():
    assert roles(lambda name, x, training, reuse=None: 0)["inputs"] == "x"
    assert roles(lambda is_training, x: 0) == {"inputs": "x", "flag": "is_training"}
    # but where nothing else could be them, the first one is
    assert roles(lambda depth, training: 0)["inputs"] == "depth"


def test_a_required_parameter_right_behind_the_inputs_is_the_flag_if_no_other_is():
    assert roles(lambda x, switch: 0)["flag"] == "switch"
    assert "flag" not in roles(lambda x, switch=None: 0)
    assert "flag" not in roles(lambda x, dim, switch: 0)
    assert roles(lambda x, switch, training: 0)["flag"] == "training"


def test_of_several_flags_the_one_that_says_train_is_meant():
    assert roles(lambda x, phase, is_train: 0)["flag"] == "is_train"


def test_what_makes_a_layer_is_given_no_inputs_but_their_number_of_features():
    assert roles(lambda features, momentum=0.9: 0, layer=False) == {"channels": "features", "decay": "momentum"}


def test_keyword_only_parameters_count_but_are_no_inputs():
    assert roles(lambda blob, *, training, eps=1e-5: 0) == {"inputs": "blob", "flag": "training", "epsilon": "eps"}


def test_kwargs_of_a_keras_subclass_reach_the_base_s_momentum():
    class Own(tf.keras.layers.BatchNormalization):
        def __init__(self, scale_by=2.0, **kwargs):
            super().__init__(**kwargs)

    found = parameters_of(Own)
    assert {"scale_by", "momentum", "epsilon", "name"} <= set(found)
    assert found["momentum"].default == 0.99
    assert fill(found, roles_of(found, layer=False), DENSE, required_only=False) == {
        "momentum": 0.8,
        "epsilon": 0.25,
        "name": "bn1",
    }


def test_without_kwargs_the_base_s_parameters_are_not_the_subclass_s():
    class Own(tf.keras.layers.BatchNormalization):
        def __init__(self, epsilon=1e-5):
            super().__init__(epsilon=epsilon)

    assert list(parameters_of(Own)) == ["epsilon"]


def test_the_subclass_s_own_default_comes_before_its_base_s():
    class Own(tf.keras.layers.BatchNormalization):
        def __init__(self, momentum=0.5, **kwargs):
            super().__init__(momentum=momentum, **kwargs)

    assert parameters_of(Own)["momentum"].default == 0.5


def test_what_a_partial_gives_is_no_parameter_any_more():
    assert list(parameters_of(partial(lambda x, size, training: 0, size=3))) == ["x", "training"]


def filled(function, place=DENSE, *, required_only=False):
    parameters = parameters_of(function)
    return fill(parameters, roles_of(parameters, layer=True), place, required_only=required_only)


def test_required_arguments_follow_from_the_place():
    found = filled(lambda x, n_out, shape, axes, convolutional, scope, decay, eps, dtype, affine: 0, IMAGE)
    assert found == {
        "n_out": 7,
        "shape": [7],
        "axes": [0, 1, 2],
        "convolutional": True,
        "scope": "bn1",
        "decay": 0.8,
        "eps": 0.25,
        "dtype": "float32",
        "affine": True,
    }


def test_a_dense_layer_s_moments_have_one_axis_and_it_is_no_image():
    assert filled(lambda x, training, axes, is_conv: 0) == {"axes": [0], "is_conv": False}


def test_name_decay_and_epsilon_replace_their_defaults_and_others_keep_theirs():
    def layer(x, dim=3, name="bn", decay=0.99, eps=None, axes=(0,), affine=False): ...

    assert filled(layer) == {"name": "bn1", "decay": 0.8, "eps": 0.25}
    assert filled(layer, required_only=True) == {}


def test_what_the_run_does_not_ask_for_the_layer_keeps():
    assert filled(lambda x, decay=0.99, eps=1e-5: 0, Place("bn1", (None, 7))) == {}


@pytest.mark.parametrize(
    ("default", "given"), [(0.1, {}), (0.01, {}), (0.5, {"momentum": 0.8}), (0.9, {"momentum": 0.8})]
)
def test_a_momentum_that_weighs_the_new_batch_is_left_alone(default, given):
    def layer(x, momentum=default): ...

    assert filled(layer) == given


def test_a_default_of_another_kind_is_no_such_parameter():
    """`decay=True` switches something on, `scope=3` counts, and `conv="same"` is a padding."""
    assert filled(lambda x, decay=True, scope=3, eps="auto", conv="same": 0) == {}


@pytest.mark.parametrize(("default", "given"), [("NCHW", "NHWC"), ("channels_first", "channels_last")])
def test_a_layout_with_channels_first_becomes_the_one_that_inputs_have(default, given):
    def layer(x, data_format=default): ...

    assert filled(layer) == {"data_format": given}
    assert filled(lambda x, data_format="NHWC": 0) == {}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x, is_training: 0, True),
        (lambda blob, is_training: 0, True),
        (lambda is_training, inputs=None: 0, True),
        (lambda num_features, momentum=0.9: 0, False),
        (lambda name, decay, eps: 0, False),
        (lambda momentum=0.9, activation=None: 0, False),
    ],
)
def test_what_takes_inputs_is_a_layer_and_what_takes_none_makes_one(function, expected):
    assert is_function_of_inputs(parameters_of(function)) == expected


def test_a_required_argument_that_is_left_over_is_named_with_its_override():
    parameters = parameters_of(lambda x, groups, kernel, eps=1e-3: 0)
    with pytest.raises(UserError) as caught:
        left_over(parameters, ["x"], "mine.bn")
    assert str(caught.value) == (
        "mine.bn takes groups and kernel, which bnexp cannot know: "
        "give it by +variant.groups=VALUE +variant.kernel=VALUE."
    )
    left_over(parameters, ["x", "groups", "kernel"], "mine.bn")


def test_keys_that_only_a_class_s_call_takes_are_for_that():
    class Own:
        def __init__(self, size, **kwargs): ...

        def __call__(self, inputs, data_format): ...

    class Derived(Own): ...

    for kind in (Own, Derived):
        made, later = split_keys(partial(kind, size=3, data_format="NHWC", other=1))
        assert (made.func, made.keywords, later) == (kind, {"size": 3, "other": 1}, {"data_format": "NHWC"})
    assert split_keys(Own) == (Own, {})


def test_a_class_with_kwargs_takes_every_key():
    class Own:
        def __init__(self, **kwargs): ...

    made, later = split_keys(partial(Own, size=3))
    assert (made.keywords, later) == ({"size": 3}, {})


def test_a_layer_s_name_is_that_of_its_class_or_function():
    assert name_of(Place) == "bnexp.graph.custom.arguments.Place"
    assert name_of(DENSE) == "bnexp.graph.custom.arguments.Place"
    assert name_of(partial(is_inverted, name="x")) == "bnexp.graph.custom.roles.is_inverted"
