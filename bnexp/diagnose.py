"""Names the mistake, shows the figure that proves it, the document it matches and the cure.

The verdict comes from what a layer *does* (its fingerprint, its graph's audit, the run's own record), never from its
traits. It is one word, the first of `VERDICTS` that applies: wrong in kind before wrong in degree.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from bnexp.audit import Finding
from bnexp.fingerprint import COMPANY, DECAY, Fingerprint

# an average that still holds more of its initial value than this is not yet one of the data
LAGGING_WEIGHT = 0.05

# what `lagging` advises: at the end this much of the initial value is left
SERVED_WEIGHT = 0.005

# the documents by the names that readers know them by
WIKI = 'the wiki page "Versions Compared"'
QUESTION = '"How to use Batch Normalization correctly in tensorflow?"'
BLOG = "the blog on ConvolutionalBatchNormalizer"
PRINTED = "the page with the printed iterations (twin batch_norm calls)"
TFLEARN = '"Does batch normalization in tensorflow use running averages during training?"'

RIGHT_RECURRENCES = ("ema", "zero_debias", "cumulative", "stddev_ema", "ghost_ema")


@dataclass(frozen=True)
class Evidence:
    """What a verdict is drawn from.

    Attributes:
        fingerprint: of the layer alone.
        findings: of the whole graph's audit.
        decay: the run's.
        steps: the run's training steps.
        replaced: whether a final pass replaced the moving averages.
        accepts_decay: whether the layer takes its decay from the configuration.
        mean_error: at the end of training, of the worst layer, in population standard deviations; NaN if not measured.
        variance_ratio: likewise of the layer farthest from 1.
        moved: largest change of a moving statistic by evaluating the whole network.
        accuracy: at eval_batch_size, with the last moving averages.
        accuracy_batched: in large batches, inference mode.
        diverged: the first training step whose loss is no finite number; 0 where there is none.
    """

    fingerprint: Fingerprint
    findings: Sequence[Finding] = ()
    decay: float = DECAY
    steps: int = 1_000_000
    replaced: bool = False
    accepts_decay: bool = True
    mean_error: float = float("nan")
    variance_ratio: float = float("nan")
    moved: float = 0.0
    accuracy: float = float("nan")
    accuracy_batched: float = float("nan")
    diverged: int = 0

    def found(self, check: str) -> Finding | None:
        """Returns the audit's first finding of a kind."""
        return next((finding for finding in self.findings if finding.check == check), None)


@dataclass(frozen=True)
class Diagnosis:
    """A verdict with its reasons.

    Attributes:
        verdict: a key of `VERDICTS` or `"healthy"`.
        sentence: what was seen, with the figure that shows it.
        document: where the mistake is written down; empty for a healthy variant.
        cure: what to do; empty for a healthy variant.
        also: further verdicts that apply, less grave.
        findings: the audit's, each naming its op.
    """

    verdict: str
    sentence: str
    document: str = ""
    cure: str = ""
    also: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())


Rule = Callable[[Evidence], Diagnosis | None]


def diagnose(evidence: Evidence) -> Diagnosis:
    """Returns the first verdict that applies, and the names of the others."""
    found = [diagnosis for rule in VERDICTS.values() if (diagnosis := rule(evidence)) is not None]
    if not found:
        return _healthy(evidence)
    first = found[0]
    also = tuple(other.verdict for other in found[1:])
    return Diagnosis(first.verdict, first.sentence, first.document, first.cure, also, tuple(evidence.findings))


def _no_statistics(evidence: Evidence) -> Diagnosis | None:
    seen = evidence.fingerprint
    if seen.keeps_statistics or _looks_at_the_batch(seen):
        return None
    if seen.changed_by_training:
        return Diagnosis(
            "no_statistics",
            f"no moving statistics were found, yet training changed what inference returns by "
            f"{seen.changed_by_training:.3g}: the layer keeps them where nobody can see them",
            cure="give the layer the attributes moving_mean and moving_variance, variables of [channels]",
        )
    return Diagnosis("no_statistics", "the layer keeps no moving statistics: training and inference do the same")


def _looks_at_the_batch(seen: Fingerprint) -> bool:
    # a leak that inference reads back makes outputs depend on company too, and is another mistake
    return seen.inference_uses == "batch" or (seen.batch_dependence > COMPANY and not seen.moved_by_inference)


def _updates_never_run(evidence: Evidence) -> Diagnosis | None:
    seen, audited = evidence.fingerprint, evidence.found("update_never_run")
    still = [n for n, r in (("mean", seen.mean_recurrence), ("variance", seen.variance_recurrence)) if r == "never"]
    if seen.averaged_elsewhere if still else audited is None:
        return None
    values = {"mean": seen.initial[0], "variance": seen.initial[1]}
    held = " and ".join(f"the moving {name} is still {values[name]:g}" for name in still)
    parts = [f"after training {held}, as at first" if still else "", audited.sentence if audited else ""]
    sentence = "; ".join(part for part in parts if part)
    if seen.training_uses == "moving":
        document = f"{TFLEARN}, the question: nothing switches the mode (a layer frozen on purpose looks the same)"
        cure = "switch the layer into training mode, tflearn.is_training(True, session); nothing in UPDATE_OPS can help"
    elif seen.inference_uses == "batch":
        document = f"{QUESTION}, version 1: is_training passed second, where it lands in decay"
        cure = (
            "pass is_training by name, and run the updates: updates_collections=None, or UPDATE_OPS with the train op"
        )
    elif seen.copied_elsewhere:
        document = (
            f"{BLOG}: get_assigner() must be run and is not; {seen.copied_elsewhere[0]} holds the last batch only"
        )
        cure = "run ExponentialMovingAverage.apply's op after every step, inside a control dependency on the step"
    else:
        document = f'{WIKI} ("it will never get executed"); {QUESTION}, version 3; {TFLEARN}, the answer'
        cure = (
            "make the train op run the updates: minimize under control_dependencies(get_collection(UPDATE_OPS)), "
            "collected after the layers are built"
        )
    return Diagnosis("updates_never_run", sentence, document, cure)


def _separate_statistics(evidence: Evidence) -> Diagnosis | None:
    seen, audited = evidence.fingerprint, evidence.found("two_sets")
    if not ("never" in (seen.mean_recurrence, seen.variance_recurrence) and seen.averaged_elsewhere):
        return None
    where = (
        audited.sentence
        if audited
        else f"training averages into {', '.join(seen.averaged_elsewhere)}, inference reads others"
    )
    return Diagnosis(
        "separate_statistics",
        f"{where}, which never leave {seen.initial[0]:g} and {seen.initial[1]:g}",
        f"{QUESTION}, version 4: a second call makes a second set of variables",
        "share the variables: tf.get_variable with reuse=True in the inference tower, or restore a graph of its own",
    )


def _moving_statistics_in_training(evidence: Evidence) -> Diagnosis | None:
    seen = evidence.fingerprint
    if seen.training_uses != "moving" or seen.variance_recurrence == "stddev_ema":  # unclipped batch renormalisation
        return None
    return Diagnosis(
        "moving_statistics_in_training",
        f"in training a batch of equal rows of 5 came out as {seen.constant_output:.3g} instead of 0: the moving "
        "statistics normalise it, not the batch's",
        TFLEARN,
        "normalise with the batch's own moments while training; check which flag the layer got",
    )


def _batch_statistics_at_inference(evidence: Evidence) -> Diagnosis | None:
    seen = evidence.fingerprint
    if not _looks_at_the_batch(seen):
        return None
    figures = ""
    if isfinite(evidence.accuracy) and isfinite(evidence.accuracy_batched):
        figures = f"; accuracy {evidence.accuracy:.3f} one by one, {evidence.accuracy_batched:.3f} in large batches"
    return Diagnosis(
        "batch_statistics_at_inference",
        f"the same row gave outputs that differ by {seen.batch_dependence:.3g} alone and among others{figures}",
        f"{WIKI} (Keras mode 2); {QUESTION}, version 1",
        "call the layer with training=False (is_training=False) at inference",
    )


def _leaks_at_inference(evidence: Evidence) -> Diagnosis | None:
    seen, audited = evidence.fingerprint, evidence.found("update_at_inference")
    moved = max(seen.moved_by_inference, evidence.moved)
    if moved == 0 and audited is None:
        return None
    kept = (
        f"at decay {DECAY} each single example multiplied the moving variance by {seen.variance_kept:.3g}"
        if seen.moved_by_inference and seen.variance_kept < 1
        else ""
    )
    parts = [f"inference changed a moving statistic by {moved:.3g}", kept, audited.sentence if audited else ""]
    return Diagnosis(
        "leaks_at_inference",
        "; ".join(part for part in parts if part),
        f"{QUESTION}, version 2; {PRINTED}; {WIKI}, the broken class",
        "create the updates inside the branch of tf.cond, or call the layer once with the bool tensor as its flag",
    )


def _test_data_in_statistics(evidence: Evidence) -> Diagnosis | None:
    moved = evidence.fingerprint.moved_by_monitoring
    if moved == 0:
        return None
    return Diagnosis(
        "test_data_in_statistics",
        f"watching held-out data while training changed a moving statistic by {moved:.3g}",
        'R2RT, "Implementing Batch Normalization in TensorFlow"',
        "watch held-out data through the inference tower",
    )


def _unordered_average(evidence: Evidence) -> Diagnosis | None:
    audited = evidence.found("unordered_average")
    if audited is None:
        return None
    return Diagnosis(
        "unordered_average",
        f"{audited.sentence}: an average may take this batch's moments or the last one's",
        f"{BLOG}: the recipe builds the assigner outside the block that should order it",
        "build the averages (apply, get_assigner) inside control_dependencies on the step",
    )


def _double_update(evidence: Evidence) -> Diagnosis | None:
    seen, shared = evidence.fingerprint, evidence.found("shared_statistics")
    if shared is not None:
        return Diagnosis(
            "double_update",
            shared.sentence,
            "none of the documents",
            "give each layer variables of its own: a scope by the layer's name",
        )
    if "double" not in (seen.mean_recurrence, seen.variance_recurrence):
        return None
    return Diagnosis(
        "double_update",
        f"one step moved the mean {1 - seen.acting_decay:.2f} of the way to the batch; at decay {DECAY} it should be "
        f"{1 - DECAY:.2f}: the average is applied twice",
        "tf.layers.batch_normalization called again with reuse=True: four ops in UPDATE_OPS",
        "run each layer's updates once: collect those of the first call alone, or share its output",
    )


# what a wrong recurrence is called, and where it is written down
SLIPS: Mapping[str, tuple[str, str]] = {
    "swapped": ("decay and 1 - decay are swapped", "public code: momentum for 1 - decay (eigenfoo/batch-renorm)"),
    "copy": ("it is the last batch's, not an average", ""),
    "late": ("each step averages the batch before", ""),
    "debias_from_ones": (
        "it starts at 1 and is debiased as if it had started at 0",
        "public code: the batch norm of Equinox",
    ),
    "ema_of_another_decay": ("it moves by a decay of {acting:.3g} where {asked:g} was asked for", ""),
    "unknown": ("it follows no known recurrence", ""),
}


def _wrong_recurrence(evidence: Evidence) -> Diagnosis | None:
    seen, optimized = evidence.fingerprint, evidence.found("trained_statistic")
    names = {"mean": seen.mean_recurrence, "variance": seen.variance_recurrence}
    said, documents = [], []
    for name, recurrence in names.items():
        if recurrence in SLIPS:
            words, document = SLIPS[recurrence]
            said.append(f"moving {name}: {words.format(acting=seen.acting_decay, asked=DECAY)}")
            documents.append(document)
    if {"swapped", "ema_of_another_decay"} & set(names.values()):
        said.append(
            f"a step moves the mean {1 - seen.acting_decay:.2f} of the way to the batch, {1 - DECAY:.2f} was asked for"
        )
    for name, start, right in (("mean", seen.initial[0], 0.0), ("variance", seen.initial[1], 1.0)):
        if names[name] in ("ema", "stddev_ema", "ghost_ema") and start != right:
            said.append(f"moving {name} starts at {start:g} instead of {right:g}")
            documents.append("public code: variance from 0 (d2l, Chainer)" if name == "variance" else "")
    if any("variance" in words for words in said):
        first, right_first = seen.first_variance
        said.append(f"after one step the moving variance was {first:.3g}, an average from 1 gives {right_first:.3g}")
    if seen.variance_error:
        said.append(
            "where the mean is hundreds of standard deviations the moving variance is off by "
            f"{seen.variance_error:.2g} of itself: E[x**2] - E[x]**2 loses the digits"
        )
    if optimized is not None:
        said.append(optimized.sentence)
    if not said:
        return None
    return Diagnosis(
        "wrong_recurrence",
        "; ".join(said),
        next((document for document in documents if document), "none of the documents"),
        "moving = decay * moving + (1 - decay) * batch, mean from 0 and variance from 1, the variance as "
        "mean((x - mean)**2)",
    )


def _wrong_normalisation(evidence: Evidence) -> Diagnosis | None:
    seen = evidence.fingerprint
    if not seen.keeps_statistics:
        return None
    uses = (("training", seen.training_uses), ("inference", seen.inference_uses))
    unknown = [when for when, used in uses if used == "unknown"]
    gradients = {
        "constants": "the gradient in training takes the batch's mean and variance for constants",
        "nothing": "no gradient reaches the layer's inputs",
        "unknown": "the gradient in training is not that of the outputs",
    }
    said = []
    if unknown:
        said.append(
            f"outputs of {' and '.join(unknown)} are not gamma * (x - mean) / sqrt(variance + epsilon) + beta for any "
            "statistics of the layer or its batch"
        )
    if seen.gradient in gradients:
        said.append(gradients[seen.gradient])
    if not seen.affine_agrees:
        said.append("inference applies another gamma and beta than training")
    if not said:
        return None
    return Diagnosis(
        "wrong_normalisation",
        "; ".join(said),
        "none of the documents",
        "check where epsilon stands (inside the root), the axes of the moments, that mean, variance, gamma and beta "
        "belong together, and that nothing stops the gradient",
    )


def _diverged(evidence: Evidence) -> Diagnosis | None:
    if not evidence.diverged:
        return None
    return Diagnosis(
        "diverged",
        f"the loss of step {evidence.diverged} is no finite number: the layer is right, and nothing after it means a "
        "thing",
        cure="take a smaller learning_rate",
    )


def _lagging(evidence: Evidence) -> Diagnosis | None:
    """Right, but too slow: only the plain average keeps its initial value; a debiased one forgets it at once."""
    decay = evidence.decay if evidence.accepts_decay else evidence.fingerprint.acting_decay
    left = decay**evidence.steps
    if evidence.fingerprint.mean_recurrence != "ema" or left <= LAGGING_WEIGHT:
        return None
    served = serving_decay(evidence.steps)
    measured = (
        f", variance {evidence.variance_ratio:.3g} times the population's" if isfinite(evidence.variance_ratio) else ""
    )
    return Diagnosis(
        "lagging",
        f"after {evidence.steps} steps {decay:.4g}**{evidence.steps} = {left:.3g} of the initial 0 and 1 is "
        f"left in the averages{measured}",
        f"{QUESTION}, tip 4: decay .999 is too slow for few steps",
        f"decay={served:g} would have served; "
        + ("here the final pass has replaced the averages" if evidence.replaced else "or take final_pass=layerwise"),
    )


def serving_decay(steps: int) -> float:
    """Returns the slowest decay of few digits that leaves at most `SERVED_WEIGHT` of the initial value."""
    slowest = SERVED_WEIGHT ** (1 / steps)
    ladder = (0.9999, 0.9995, 0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
    return next((decay for decay in ladder if decay <= slowest), 0.0)


def _healthy(evidence: Evidence) -> Diagnosis:
    measured = ""
    if isfinite(evidence.mean_error) and isfinite(evidence.variance_ratio):
        measured = (
            f"; at the end of training the moving mean was {evidence.mean_error:.2g} standard deviations from the "
            f"population's, the variance {evidence.variance_ratio:.3g} times the population's"
        )
    return Diagnosis(
        "healthy", f"the statistics move in training alone, by a right recurrence, and inference reads them{measured}"
    )


VERDICTS: Mapping[str, Rule] = {
    "no_statistics": _no_statistics,
    "updates_never_run": _updates_never_run,
    "separate_statistics": _separate_statistics,
    "moving_statistics_in_training": _moving_statistics_in_training,
    "batch_statistics_at_inference": _batch_statistics_at_inference,
    "leaks_at_inference": _leaks_at_inference,
    "test_data_in_statistics": _test_data_in_statistics,
    "unordered_average": _unordered_average,
    "double_update": _double_update,
    "wrong_recurrence": _wrong_recurrence,
    "wrong_normalisation": _wrong_normalisation,
    "diverged": _diverged,
    "lagging": _lagging,
}
