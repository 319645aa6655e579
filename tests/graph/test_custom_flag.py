"""The values that a training flag may take: which comes first, and which way round it is."""

import inspect

import pytest
import tensorflow as tf

from bnexp.graph.custom.flag import NO_FLAG, flags_for, is_about_the_flag

v1 = tf.compat.v1


def flags(function):
    *_, last = inspect.signature(function).parameters.values()
    return flags_for(last)


def words(function):
    return [flag.words for flag in flags(function)]


NUMBERS = ["train=1", "train=a float tensor", "train=an int tensor"]


def test_without_a_default_a_bool_tensor_comes_first():
    assert words(lambda x, train: x) == ["train=a bool tensor", "train=True", *NUMBERS]
    assert words(lambda x, train=None: x) == ["train=a bool tensor", "train=True", *NUMBERS]


def test_where_the_default_is_a_bool_a_bool_comes_first():
    assert words(lambda x, train=False: x) == ["train=True", "train=a bool tensor", *NUMBERS]


def test_where_the_default_is_a_number_a_number_comes_first():
    assert words(lambda x, train=1: x) == [*NUMBERS, "train=True", "train=a bool tensor"]
    assert words(lambda x, train=0.0: x)[:3] == NUMBERS


def test_where_the_default_is_a_word_words_of_its_case_come_first():
    lower = ["mode='train'", "mode='train'", "mode='training'"]
    assert words(lambda x, mode="train": x) == [*lower, "mode=True", "mode=a bool tensor"]
    assert words(lambda x, mode="TEST": x) == ["mode='TRAIN'", "mode=True", "mode=a bool tensor"]


def test_a_mode_without_a_default_may_be_a_word_and_other_flags_are_none():
    assert words(lambda x, mode: x)[-4:] == ["mode='train'", "mode='TRAIN'", "mode='train'", "mode='training'"]
    assert not any("'" in word for word in words(lambda x, is_training: x))


@pytest.mark.parametrize(
    ("position", "in_training", "at_inference"), [(5, "train", "test"), (6, "TRAIN", "TEST"), (7, "train", "eval")]
)
def test_words_for_training_and_for_inference(position, in_training, at_inference):
    flag = flags(lambda x, mode: x)[position]
    assert (flag.encode(True), flag.encode(False)) == (in_training, at_inference)
    assert flag.kind == "python"


@pytest.mark.parametrize(("function", "inverted"), [(lambda x, train=0: x, False), (lambda x, is_test=0: x, True)])
def test_every_kind_of_flag_is_the_right_way_round(function, inverted):
    with tf.Graph().as_default(), v1.Session() as session:
        for flag in flags(function):
            for training in (True, False):
                value = flag.encode(tf.constant(training) if flag.kind == "tensor" else training)
                plain = session.run(value) if flag.kind == "tensor" else value
                assert plain == (training != inverted), flag.words


def test_an_inverted_flag_says_so():
    assert words(lambda x, is_test=False: x)[0] == "is_test=False"
    assert words(lambda x, is_test=0: x)[0] == "is_test=0"


def test_the_types_are_those_that_the_words_say():
    with tf.Graph().as_default():
        types = {
            flag.words: getattr(flag.encode(tf.constant(True)), "dtype", None) for flag in flags(lambda x, train: x)
        }
    assert types["train=a bool tensor"] == tf.bool
    assert types["train=a float tensor"] == tf.float32
    assert types["train=an int tensor"] == tf.int32
    as_bool, as_number = (flag.encode(True) for flag in flags(lambda x, train: x)[1:3])
    assert (type(as_bool), type(as_number)) == (bool, int)


def test_only_a_python_bool_is_a_keras_flag():
    assert [flag.words for flag in flags(lambda x, train: x) if flag.is_bool] == ["train=True"]
    assert not any(flag.is_bool for flag in flags(lambda x, mode="train": x) if "'" in flag.words)
    assert not NO_FLAG.is_bool


def layer_with_if(x, training):
    return x if training else x + 1


def layer_with_cond(x, training):
    return v1.cond(training, lambda: x, lambda: x + 1)


def layer_with_dtype(x, training):
    return x * tf.cast(training.dtype == tf.bool, tf.float32)


@pytest.mark.parametrize(
    ("layer", "flag", "told"),
    [
        (layer_with_if, "tensor", True),
        (layer_with_cond, "python", True),
        (layer_with_dtype, "python", True),
        (lambda x, training: tf.reshape(x, [5]), "python", False),
        (lambda x, training: {}["gamma"], "python", False),
    ],
)
def test_an_error_that_only_says_that_the_flag_is_of_another_kind(layer, flag, told):
    with tf.Graph().as_default():
        given = v1.placeholder(tf.bool, []) if flag == "tensor" else True
        with pytest.raises(Exception) as caught:  # noqa: PT011  (of every type)
            layer(tf.zeros([2, 3]), given)
    assert is_about_the_flag(caught.value) == told
