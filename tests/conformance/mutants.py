"""Batch norms that are broken in one way each, none of them a variant of the zoo: what the suite has to reject.

`Right` is a right layer cut into small methods; each mutant overrides as little as it takes. They claim what `Right`
claims, or what the docstring's first word says; every one is somebody's plausible slip.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from bnexp.variant import Traits, average, batch_moments, bessel, new_affine, new_moving

v1 = tf.compat.v1


class Right:
    """Python flag, updates in place, plain averages of mean and biased variance."""

    traits: ClassVar[Traits] = Traits(flag="python")
    initial_variance = 1.0

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            self.gamma, self.beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = self.statistics(inputs.shape[-1])
            return self.in_training(inputs) if training else self.in_inference(inputs)

    def statistics(self, channels: int) -> tuple[tf.Variable, tf.Variable]:
        return new_moving(channels, self.initial_variance)

    def in_training(self, inputs: tf.Tensor) -> tf.Tensor:
        mean, variance = self.moments(inputs)
        with tf.control_dependencies(self.updates(inputs, mean, variance)):
            return self.normalise(inputs, mean, variance)

    def in_inference(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.normalise(inputs, self.moving_mean, self.moving_variance)

    def moments(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return batch_moments(inputs)

    def updates(self, inputs: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> list[Any]:
        return [self.move(self.moving_mean, mean), self.move(self.moving_variance, variance)]

    def move(self, moving: tf.Variable, batch: tf.Tensor) -> tf.Tensor:
        return average(moving, batch, self.decay)

    def normalise(self, inputs: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        return (inputs - mean) / tf.sqrt(variance + self.epsilon) * self.gamma + self.beta

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        return optimizer.minimize(loss)


class DecaySwapped(Right):
    def move(self, moving, batch):
        return average(moving, batch, 1 - self.decay)


class DecayOfItsOwn(Right):
    """Deaf to the configuration."""

    def move(self, moving, batch):
        return average(moving, batch, 0.99)


class EpsilonOfItsOwn(Right):
    def __init__(self, *, name, decay, epsilon):
        super().__init__(name=name, decay=decay, epsilon=1e-3)


class EpsilonOutsideTheRoot(Right):
    def normalise(self, inputs, mean, variance):
        return (inputs - mean) / (tf.sqrt(variance) + self.epsilon) * self.gamma + self.beta


class EpsilonTwice(Right):
    """Adds epsilon to the variance it averages, and again when it normalises."""

    def moments(self, inputs):
        mean, variance = batch_moments(inputs)
        return mean, variance + self.epsilon


class BesselForBiased(Right):
    def updates(self, inputs, mean, variance):
        return super().updates(inputs, mean, variance * bessel(inputs))


class BiasedForBessel(Right):
    traits = Traits(flag="python", variance_ddof={2: 1, 4: 1})


class BesselInTheOutput(Right):
    """Normalises the batch, too, with the corrected variance."""

    def moments(self, inputs):
        mean, variance = batch_moments(inputs)
        return mean, variance * bessel(inputs)


class BesselByTheBatchAlone(Right):
    """Corrects by examples instead of examples times positions: right for rank 2."""

    traits = Traits(flag="python", variance_ddof={2: 1, 4: 1})

    def updates(self, inputs, mean, variance):
        examples = tf.cast(tf.shape(inputs)[0], tf.float32)
        return super().updates(inputs, mean, variance * examples / (examples - 1))


class NeverUpdated(Right):
    def updates(self, inputs, mean, variance):
        return []


class UpdatedTwice(Right):
    def move(self, moving, batch):
        with tf.control_dependencies([super().move(moving, batch)]):
            return super().move(moving, batch)


class OnlyMeanUpdated(Right):
    def updates(self, inputs, mean, variance):
        return super().updates(inputs, mean, variance)[:1]


class OnlyVarianceUpdated(Right):
    def updates(self, inputs, mean, variance):
        return super().updates(inputs, mean, variance)[1:]


class UpdatedAtInference(Right):
    def in_inference(self, inputs):
        mean, variance = self.moving_mean.read_value(), self.moving_variance.read_value()
        with tf.control_dependencies([mean, variance]):
            updates = self.updates(inputs, *self.moments(inputs))
        with tf.control_dependencies(updates):
            return self.normalise(inputs, mean, variance)


class VarianceUpdatedAtInference(Right):
    def in_inference(self, inputs):
        before = self.moving_variance.read_value()
        with tf.control_dependencies([before]):
            leak = self.move(self.moving_variance, self.moments(inputs)[1])
        with tf.control_dependencies([leak]):
            return self.normalise(inputs, self.moving_mean, before)


class NotUpdatedButAtInference(Right):
    """The flag the wrong way round, for the updates alone."""

    def updates(self, inputs, mean, variance):
        return []

    def in_inference(self, inputs):
        with tf.control_dependencies(Right.updates(self, inputs, *self.moments(inputs))):
            return super().in_inference(inputs)


class FlagInverted(Right):
    def __call__(self, inputs, training):
        return super().__call__(inputs, not training)


class FlagIgnored(Right):
    """Takes a bool tensor for true, as anything that is not None is."""

    traits = Traits(flag="tensor")

    def __call__(self, inputs, training):
        return super().__call__(inputs, training is not None)


class FlagAsPythonBool(Right):
    traits = Traits(flag="tensor")


class BatchAtInference(Right):
    def in_inference(self, inputs):
        return self.normalise(inputs, *self.moments(inputs))


class LastBatchAtInference(Right):
    """Reads what the last training batch left behind; its averages are right and unread."""

    def statistics(self, channels):
        self.last = [
            v1.get_variable(n, [channels], initializer=v1.zeros_initializer(), trainable=False) for n in ("m", "v")
        ]
        return super().statistics(channels)

    def updates(self, inputs, mean, variance):
        kept = [last.assign(value) for last, value in zip(self.last, (mean, variance), strict=True)]
        return [*super().updates(inputs, mean, variance), *kept]

    def in_inference(self, inputs):
        return self.normalise(inputs, *self.last)


class MovingInTraining(Right):
    def in_training(self, inputs):
        mean, variance = self.moving_mean.read_value(), self.moving_variance.read_value()
        with tf.control_dependencies([mean, variance]):
            updates = self.updates(inputs, *self.moments(inputs))
        with tf.control_dependencies(updates):
            return self.normalise(inputs, mean, variance)


class HalfMovingInTraining(Right):
    """Blends the batch's statistics with the moving ones "for stability"."""

    def in_training(self, inputs):
        mean, variance = self.moments(inputs)
        blended = (mean + self.moving_mean.read_value()) / 2, (variance + self.moving_variance.read_value()) / 2
        with tf.control_dependencies(blended):
            updates = self.updates(inputs, mean, variance)
        with tf.control_dependencies(updates):
            return self.normalise(inputs, *blended)


class LagsOneBatch(Right):
    def statistics(self, channels):
        self.last = [
            v1.get_variable(n, [channels], initializer=v1.constant_initializer(c), trainable=False)
            for n, c in (("m", 0.0), ("v", 1.0))
        ]
        return super().statistics(channels)

    def updates(self, inputs, mean, variance):
        before = [last.read_value() for last in self.last]
        moved = super().updates(inputs, *before)
        with tf.control_dependencies([*before, *moved]):
            return [*moved, *(last.assign(value) for last, value in zip(self.last, (mean, variance), strict=True))]


class EverySecondStep(Right):
    def updates(self, inputs, mean, variance):
        step = v1.get_variable("step", [], initializer=v1.zeros_initializer(), trainable=False)
        odd = tf.math.floormod(step.assign_add(1.0, read_value=True), 2.0)  # 1, 0, 1, ...
        weight = odd * (1 - self.decay)
        pairs = ((self.moving_mean, mean), (self.moving_variance, variance))
        return [moving.assign_sub((moving - batch) * weight) for moving, batch in pairs]


class DecayWarmsUp(Right):
    """ExponentialMovingAverage's num_updates: min(decay, (1 + n) / (10 + n))."""

    def updates(self, inputs, mean, variance):
        steps = v1.get_variable("steps", [], initializer=v1.zeros_initializer(), trainable=False)
        n = steps.assign_add(1.0, read_value=True)
        decay = tf.minimum(self.decay, (1 + n) / (10 + n))
        pairs = ((self.moving_mean, mean), (self.moving_variance, variance))
        return [moving.assign_sub((moving - batch) * (1 - decay)) for moving, batch in pairs]


class MomentumOnStddev(Right):
    def statistics(self, channels):
        self.stddev = v1.get_variable("stddev", [channels], initializer=v1.ones_initializer(), trainable=False)
        return super().statistics(channels)

    def updates(self, inputs, mean, variance):
        stddev = self.move(self.stddev, tf.sqrt(variance))
        return [self.move(self.moving_mean, mean), self.moving_variance.assign(stddev**2)]


class VarianceAroundTheMovingMean(Right):
    def updates(self, inputs, mean, variance):
        moved = self.move(self.moving_mean, mean)
        around = tf.reduce_mean((inputs - moved) ** 2, list(range(len(inputs.shape) - 1)))
        return [moved, self.move(self.moving_variance, around)]


class MomentsOfTheOutput(Right):
    def updates(self, inputs, mean, variance):
        return super().updates(inputs, *batch_moments(self.normalise(inputs, mean, variance)))


class VarianceClipped(Right):
    """Never lets a variance below .1, "to be safe"."""

    def updates(self, inputs, mean, variance):
        return super().updates(inputs, mean, tf.maximum(variance, 0.1))


class CancellingVariance(Right):
    """E[x**2] - E[x]**2, in float32."""

    def moments(self, inputs):
        axes = list(range(len(inputs.shape) - 1))
        mean = tf.reduce_mean(inputs, axes)
        return mean, tf.maximum(tf.reduce_mean(inputs**2, axes) - mean**2, 0.0)


class HalfPrecision(Right):
    def moments(self, inputs):
        return tuple(tf.cast(moment, tf.float32) for moment in batch_moments(tf.cast(inputs, tf.bfloat16)))


class VarianceOverExamplesAlone(Right):
    """Positions are averaged over after the variance: what lies between them is lost. Right for rank 2."""

    def moments(self, inputs):
        mean, variance = tf.nn.moments(inputs, [0])
        axes = list(range(len(variance.shape) - 1))
        return tf.reduce_mean(mean, axes), tf.reduce_mean(variance, axes)


class AllChannelsTogether(Right):
    def moments(self, inputs):
        mean, variance = tf.nn.moments(inputs, list(range(len(inputs.shape))))
        return tf.fill([inputs.shape[-1]], mean), tf.fill([inputs.shape[-1]], variance)


class ChannelsFirst(Right):
    """Takes axis 1 for the channels: right for rank 2."""

    def moments(self, inputs):
        return tf.nn.moments(inputs, [axis for axis in range(len(inputs.shape)) if axis != 1])


class VarianceFromZero(Right):
    initial_variance = 0.0


class MeanFromOne(Right):
    def statistics(self, channels):
        start = v1.ones_initializer()
        mean = v1.get_variable("moving_mean", [channels], initializer=start, trainable=False)
        return mean, v1.get_variable("moving_variance", [channels], initializer=start, trainable=False)


class TrainableStatistics(Right):
    """An optimizer would train them, as eigenfoo/batch-renorm's sigma."""

    def statistics(self, channels):
        return (
            v1.get_variable("moving_mean", [channels], initializer=v1.zeros_initializer()),
            v1.get_variable("moving_variance", [channels], initializer=v1.ones_initializer()),
        )


class SharedByAllLayers(Right):
    """No scope of its own: the second layer finds the first one's variables."""

    def __init__(self, *, name, decay, epsilon):
        super().__init__(name="bn", decay=decay, epsilon=epsilon)


class FirstLayerAlone(Right):
    """Runs the updates of the first layer and forgets the others."""

    traits = Traits(flag="python", attachment="update_ops")

    def updates(self, inputs, mean, variance):
        self.kept = super().updates(inputs, mean, variance)
        return []

    @staticmethod
    def train_op(optimizer, loss, layers):
        with tf.control_dependencies(layers[0].kept):
            return optimizer.minimize(loss)


class SecondSet(Right):
    """Variables that know no reuse: inference gets its own."""

    def statistics(self, channels):
        return (
            tf.Variable(tf.zeros([channels]), trainable=False, name="moving_mean"),
            tf.Variable(tf.ones([channels]), trainable=False, name="moving_variance"),
        )


class InPlaceForUpdateOps(Right):
    """Claims UPDATE_OPS and moves as soon as anybody looks at its output."""

    traits = Traits(flag="python", attachment="update_ops")


class UpdateOpsForInPlace(Right):
    """Claims that a look at its output moves it, and leaves its updates in UPDATE_OPS."""

    def updates(self, inputs, mean, variance):
        for update in super().updates(inputs, mean, variance):
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        return []

    @staticmethod
    def train_op(optimizer, loss, layers):
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            return optimizer.minimize(loss)


class TrainsNothing(Right):
    """Runs the loss, and with it the updates, and takes no step."""

    @staticmethod
    def train_op(optimizer, loss, layers):
        return tf.group(loss)


class MonitorsThroughTraining(Right):
    @staticmethod
    def monitor(in_training, in_inference):
        return in_training


class Races(Right):
    """Claims order; its leak's read and write come as they please."""

    traits = Traits(flag="python", inference_updates=True)

    def in_inference(self, inputs):
        updates = self.updates(inputs, *self.moments(inputs))
        outputs = super().in_inference(inputs)
        with tf.control_dependencies([*updates, outputs]):
            return tf.identity(outputs)


class GammaBetaSwapped(Right):
    def normalise(self, inputs, mean, variance):
        return (inputs - mean) / tf.sqrt(variance + self.epsilon) * self.beta + self.gamma


class BetaBeforeGamma(Right):
    def normalise(self, inputs, mean, variance):
        return ((inputs - mean) / tf.sqrt(variance + self.epsilon) + self.beta) * self.gamma


class GammaFromZero(Right):
    """The residual networks' trick, where nobody asked for it."""

    def __call__(self, inputs, training):
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            v1.get_variable("gamma", [inputs.shape[-1]], initializer=v1.zeros_initializer())
        return super().__call__(inputs, training)


class ConstantsToTheGradient(Right):
    """The batch's moments under stop_gradient: the forward pass is right."""

    def in_training(self, inputs):
        mean, variance = self.moments(inputs)
        with tf.control_dependencies(self.updates(inputs, mean, variance)):
            return self.normalise(inputs, tf.stop_gradient(mean), tf.stop_gradient(variance))


class DebiasedFromOnes(Right):
    """Claims zero debiasing; its hidden averages begin at 0 and 1."""

    traits = Traits(flag="python", moving="zero_debias")
    hidden_starts: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def updates(self, inputs, mean, variance):
        steps = v1.get_variable("steps", [], initializer=v1.zeros_initializer(), trainable=False)
        weight = 1 - tf.pow(self.decay, steps.assign_add(1.0, read_value=True))
        moved = []
        for moving, batch, start in zip(
            (self.moving_mean, self.moving_variance), (mean, variance), self.hidden_starts, strict=True
        ):
            constant = v1.constant_initializer(start)
            hidden = v1.get_variable(f"hidden{start:g}{len(moved)}", batch.shape, initializer=constant, trainable=False)
            moved.append(moving.assign(average(hidden, batch, self.decay) / weight))
        return moved


class DebiasedTooOften(DebiasedFromOnes):
    """Claims zero debiasing; counts a step for each statistic."""

    hidden_starts = (0.0, 0.0)

    def updates(self, inputs, mean, variance):
        steps = v1.get_variable("steps", [], initializer=v1.zeros_initializer(), trainable=False)
        with tf.control_dependencies([steps.assign_add(1.0)]):
            return super().updates(inputs, mean, variance)


class DebiasForgotten(Right):
    """Claims zero debiasing; averages plainly."""

    traits = Traits(flag="python", moving="zero_debias")


class ContiguousGhosts(Right):
    """Claims interleaved ghost batches; cuts the batch into runs, as timm does."""

    traits = Traits(flag="python", moving="ghost_ema", training_uses="ghost")

    def __init__(self, *, name, decay, epsilon, parts=2):
        super().__init__(name=name, decay=decay, epsilon=epsilon)
        self.parts = parts

    def in_training(self, inputs):
        ghosts = tf.split(inputs, self.parts)
        means, variances = zip(*(batch_moments(ghost) for ghost in ghosts), strict=True)
        with tf.control_dependencies(self.updates(inputs, sum(means) / self.parts, sum(variances) / self.parts)):
            return tf.concat([self.normalise(*ghost) for ghost in zip(ghosts, means, variances, strict=True)], 0)


class RenormUnclipped(Right):
    """Claims batch renormalisation; forgets the bounds."""

    traits = Traits(flag="python", moving="stddev_ema", training_uses="renorm")

    def __init__(self, *, name, decay, epsilon, rmax=3.0, dmax=5.0):
        super().__init__(name=name, decay=decay, epsilon=epsilon)

    def in_training(self, inputs):
        mean, variance = self.moments(inputs)
        stddev = tf.sqrt(variance + self.epsilon)
        moving_stddev = v1.get_variable(
            "moving_stddev",
            mean.shape,
            initializer=v1.constant_initializer((1 + self.epsilon) ** 0.5),
            trainable=False,
        )
        before = self.moving_mean.read_value(), moving_stddev.read_value()
        with tf.control_dependencies(before):
            moved = average(moving_stddev, stddev, self.decay)
            updates = [self.move(self.moving_mean, mean), self.moving_variance.assign(moved**2 - self.epsilon)]
        with tf.control_dependencies(updates):
            r, d = tf.stop_gradient(stddev / before[1]), tf.stop_gradient((mean - before[0]) / before[1])
            return ((inputs - mean) / stddev * r + d) * self.gamma + self.beta


class GroupsAcross(Right):
    """Claims group normalisation; its groups are every second channel instead of runs of channels."""

    traits = Traits(flag="python", attachment="none", moving="none", training_uses="example", inference_uses="example")

    def __init__(self, *, name, decay, epsilon, groups=2):
        super().__init__(name=name, decay=decay, epsilon=epsilon)
        self.groups = groups

    def statistics(self, channels):
        return None, None

    def in_training(self, inputs):
        del self.moving_mean, self.moving_variance
        channels, groups = inputs.shape[-1], self.groups
        grouped = tf.reshape(inputs, [-1, *inputs.shape[1:-1], channels // groups, groups])
        axes = list(range(1, len(grouped.shape) - 1))
        mean, variance = tf.nn.moments(grouped, axes, keepdims=True)
        return (
            tf.reshape((grouped - mean) / tf.sqrt(variance + self.epsilon), tf.shape(inputs)) * self.gamma + self.beta
        )

    in_inference = in_training
