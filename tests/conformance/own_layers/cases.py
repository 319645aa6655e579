"""What each layer of this package is, and the verdict that bnexp has to give it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One layer.

    Attributes:
        target: module and name within this package.
        verdict: the one word that is right.
        ranks: of the inputs that it takes.
        overrides: what nobody could guess about how it is called.
        why: in whose style it is and, if broken, what is wrong.
    """

    target: str
    verdict: str
    ranks: tuple[int, ...] = (2, 4)
    overrides: tuple[str, ...] = ()
    why: str = ""


KERAS = (
    Case("keras_layers.HandWrittenBatchNorm", "healthy", why="tutorial's keras Layer by hand"),
    Case("keras_layers.MaskBlindBatchNorm", "healthy", why="subclass of Keras's own that ignores a mask"),
    Case("keras_layers.NormAct", "healthy", why="wrapper with activation, Keras passes training on by itself"),
    Case("keras_layers.BNLeaky", "healthy", why="Sequential of norm and activation used as a layer"),
    Case("keras_layers.FunctionalNorm", "healthy", why="layer around a functional model made in build"),
    Case("keras_layers.BranchFreeBatchNorm", "healthy", why="no branch: the flag blends statistics and rate"),
    Case("keras_layers.bn", "healthy", why="functional API: a function that makes a Keras layer and calls it"),
    Case(
        "keras_layers.RunningNorm",
        "moving_statistics_in_training",
        why="observation norm: training normalises with the moving statistics",
    ),
    Case("keras_layers.AlwaysOnBatchNorm", "batch_statistics_at_inference", why="GAN: training=True left in for good"),
    Case("keras_layers.SwappedMomentumBatchNorm", "wrong_recurrence", why="from memory: momentum weighs the new batch"),
    Case("keras_layers.TrackedBatchNorm", "double_update", why="subclass updates once more after super().call"),
)

MODULES = (
    Case("tf_modules.BatchNorm", "healthy", why="the guide's tf.Module, features given, variables at construction"),
    Case("tf_modules.ScopedNorm", "healthy", why="Sonnet 2's manner: first call, name scope, statistics keep dims"),
    Case("tf_modules.TrainingInTheConstructor", "healthy", why="flag in the constructor, get_variable shares the rest"),
    Case("tf_modules.BatchNorm2d", "healthy", why="PyTorch's names, momentum 0.1 is the weight of the new batch"),
    Case("tf_modules.ForgetsItIsBuilt", "separate_statistics", why="lazy variables, but made anew at every call"),
    Case("tf_modules.UpdatesWhateverTheFlag", "leaks_at_inference", why="update moved out of the if"),
    Case("tf_modules.EpsilonOutside", "wrong_normalisation", why="by hand: epsilon outside the root"),
)

FUNCTIONS = (
    Case("tf1_functions.batch_norm", "healthy", why="DCGAN imitator: tf.Variable each call, tf.cond on phase_train"),
    Case("tf1_functions.resnet_bn", "healthy", why="ResNet port: debiased averages in the collection _update_ops_"),
    Case("tf1_functions.bn_unless_test", "healthy", why="workshop code: the flag is is_test; UPDATE_OPS"),
    Case("tf1_functions.norm_by_mode", "healthy", why="model_fn: mode is a word; trainable=False harmlessly forgotten"),
    Case("tf1_functions.bn_zero_one", "healthy", why="homework: train is 1 or 0"),
    Case("tf1_functions.bn_relu", "healthy", why="slim's child: flag first, relu inside, default_name; UPDATE_OPS"),
    Case("tf1_functions.late_dependency", "updates_never_run", why="name first; the dependency block makes no op"),
    Case("tf1_functions.per_example_norm", "no_statistics", why="style transfer: each example's own moments"),
    Case(
        "tf1_functions.smoothed_norm",
        "moving_statistics_in_training",
        why="against noisy batches: training normalises with the averages just updated",
    ),
    Case("tf1_functions.flagless", "batch_statistics_at_inference", why="2015: no flag, the batch's moments always"),
    Case("tf1_functions.pooled_channels", "wrong_normalisation", why="moments over all axes, the channels' too"),
    Case("tf1_functions.wrong_way", "wrong_recurrence", why="signs confused: averages run away from the batches"),
)

CLASSES = (
    Case("tf1_classes.batch_norm", "healthy", why="DCGAN's class, lower case, train=True"),
    Case("tf1_classes.Normalizer", "healthy", why="blog of 2016: depth given, get_assigner()"),
    Case("tf1_classes.BatchNormalization", "healthy", why="Theano emigrant: input_dim, get_output, self.updates"),
    Case("tf1_classes.bn_with_update", "healthy", why="function that returns output and update op"),
    Case("tf1_classes.DropsItsOps", "updates_never_run", why="refactored: _update's ops are not taken"),
    Case("tf1_classes.BeltAndBraces", "double_update", why="under control_dependencies and again in self.update_ops"),
    Case("tf1_classes.RootForgotten", "wrong_normalisation", why="divides by the variance; self.train_ops"),
)

AVERAGES = (
    Case("averages_2015.batch_norm_debiased", "healthy", why="ema of tensors in tf.cond, debiased; affine flag"),
    Case("averages_2015.ema_of_variables", "healthy", why="wiki of 2016: ema over variables, in order; UPDATE_OPS"),
    Case(
        "averages_2015.batch_norm", "wrong_recurrence", (4,), why="answer of 2015: the variance's average starts at 0"
    ),
    Case(
        "averages_2015.counted_batch_norm",
        "healthy",
        (4,),
        ("+variant.convolutional=true",),
        why="workshop code with num_updates: of the start at 0 nothing is left after a few steps",
    ),
    Case("averages_2015.applied_in_both", "leaks_at_inference", why="the test branch goes on averaging"),
    Case("averages_2015.an_ema_each", "separate_statistics", why="Python flag: an ema of its own for each call"),
    Case("averages_2015.reads_the_last_batch", "wrong_recurrence", why="ema kept, but the last batch is what is read"),
)

CASES = (*KERAS, *MODULES, *FUNCTIONS, *CLASSES, *AVERAGES)
