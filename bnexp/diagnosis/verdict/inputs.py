"""Verdicts about what a layer normalises its inputs with, in training and at inference."""

from math import isfinite

from bnexp.diagnosis.evidence import Evidence
from bnexp.diagnosis.fingerprint import CO_BATCHED, Fingerprint
from bnexp.diagnosis.specimen import CONSTANT
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.variant import QUESTION, TFLEARN, WIKI


def no_statistics(evidence: Evidence) -> Diagnosis | None:
    """The layer has no moving statistics, or none that were found.

    Args:
        evidence: what is known of the layer.

    Example:
        >>> no_statistics(evidence) is None
        True
    """
    seen = evidence.fingerprint
    if seen.keeps_statistics or _looks_at_the_batch(seen):
        return None
    if seen.other_state:
        return Diagnosis(
            "no_statistics",
            f"no moving statistics of the inputs' channels were found; training changes {', '.join(seen.other_state)}, "
            "whose size is another",
            cure="let the layer take its channels from the last axis, [batch, height, width, channels]",
        )
    if seen.changed_by_training:
        return Diagnosis(
            "no_statistics",
            f"no moving statistics were found, yet training changed what inference returns by "
            f"{seen.changed_by_training:.3g}: the layer keeps them in variables that bnexp cannot find",
            cure="give the layer the attributes moving_mean and moving_variance, variables of [channels]",
            figures={"changed_by_training": seen.changed_by_training},
        )
    return Diagnosis("no_statistics", "the layer keeps no moving statistics: training and inference do the same")


def moving_statistics_in_training(evidence: Evidence) -> Diagnosis | None:
    """Training normalises with the moving statistics.

    Args:
        evidence: what is known of the layer.
    """
    seen = evidence.fingerprint
    if seen.training_uses != "moving" or seen.variance_recurrence == "stddev_ema":  # unclipped batch renormalisation
        return None
    figures = {"row": CONSTANT, "constant_output": seen.constant_output}
    sentence = (
        f"in training a batch of equal rows of {CONSTANT:g} came out as {seen.constant_output:.3g} instead of 0: the "
        "moving statistics normalise it, not the batch's"
    )
    still = seen.mean_recurrence == seen.variance_recurrence == "never"
    if still:
        figures |= {"initial_mean": seen.initial[0], "initial_variance": seen.initial[1]}
        sentence += f", and they stay at {seen.initial[0]:g} and {seen.initial[1]:g}: nothing switches the mode"
    return Diagnosis(
        "moving_statistics_in_training",
        sentence,
        f"{TFLEARN}" + (", the question (a layer that is frozen on purpose looks the same)" if still else ""),
        "switch the layer into training mode, tflearn.is_training(True, session); nothing in UPDATE_OPS can help"
        if still
        else "normalise with the batch's own moments while training; check which flag the layer got",
        figures=figures,
    )


def batch_statistics_at_inference(evidence: Evidence) -> Diagnosis | None:
    """Inference normalises with its batch, so that the output of one row depends on the other rows.

    Args:
        evidence: what is known of the layer.
    """
    seen = evidence.fingerprint
    if not _looks_at_the_batch(seen):
        return None
    figures = {"batch_dependence": seen.batch_dependence}
    measured = ""
    if isfinite(evidence.harm.accuracy) and isfinite(evidence.accuracy_batched):
        figures |= {"accuracy": evidence.harm.accuracy, "accuracy_batched": evidence.accuracy_batched}
        measured = (
            f"; accuracy {evidence.harm.accuracy:.3f} one by one, {evidence.accuracy_batched:.3f} in large batches"
        )
    document, cure = f"{WIKI} (Keras mode 2)", "call the layer with training=False (is_training=False) at inference"
    if seen.keeps_statistics and seen.mean_recurrence == "never":
        document = f"{QUESTION}, version 1: is_training passed second, where it lands in decay"
        cure = (
            "pass is_training by name; and run the updates: updates_collections=None, or UPDATE_OPS with the train op"
        )
    return Diagnosis(
        "batch_statistics_at_inference",
        f"the same row gave outputs that differ by {seen.batch_dependence:.3g} alone and among others{measured}",
        document,
        cure,
        figures=figures,
    )


def wrong_normalisation(evidence: Evidence) -> Diagnosis | None:
    """Outputs or gradients are not those of batch normalisation with any statistics of the layer or the batch.

    Args:
        evidence: what is known of the layer.
    """
    seen = evidence.fingerprint
    if not seen.keeps_statistics:
        return None
    uses = (("training", seen.training_uses), ("inference", seen.inference_uses))
    unknown = [when for when, used in uses if used == "unknown"]
    gradients = {
        "constants": "the gradient in training takes the batch's mean and variance for constants",
        "nothing": "no gradient reaches the layer's inputs",
        "unknown": "the gradient in training is not the derivative of the outputs",
    }
    said = []
    if seen.pooled:
        said.append("mean and variance are those of all channels together, not of each")
    elif unknown:
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


def _looks_at_the_batch(seen: Fingerprint) -> bool:
    # where inference moves the statistics that it reads, outputs depend on the other rows too; that is another mistake
    return seen.inference_uses == "batch" or (seen.batch_dependence > CO_BATCHED and not seen.moved_by_inference)
