"""Verdicts about updates that never run, run on other variables, run at inference, in no fixed order, or twice."""

from bnexp.diagnosis.evidence import Evidence
from bnexp.diagnosis.specimen import DECAY
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.variant import BLOG, PRINTED, QUESTION, R2RT, TFLEARN, WIKI


def updates_never_run(evidence: Evidence) -> Diagnosis | None:
    """The statistics keep their initial values: nothing runs the updates, or the layer is never in training mode.

    Args:
        evidence: what is known of the layer.
    """
    seen, audited = evidence.fingerprint, evidence.found("update_never_run")
    still = [n for n, r in (("mean", seen.mean_recurrence), ("variance", seen.variance_recurrence)) if r == "never"]
    if seen.averaged_elsewhere if still else audited is None:
        return None
    values = {"mean": seen.initial[0], "variance": seen.initial[1]}
    held = " and ".join(f"the moving {name} is still {values[name]:g}" for name in still)
    parts = [f"after training {held}, as before training" if still else "", audited.sentence if audited else ""]
    if seen.copied_elsewhere:
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
    figures = {f"initial_{name}": values[name] for name in still}
    return Diagnosis("updates_never_run", "; ".join(part for part in parts if part), document, cure, figures=figures)


def separate_statistics(evidence: Evidence) -> Diagnosis | None:
    """Training updates one set of variables, and inference reads another.

    Args:
        evidence: what is known of the layer.
    """
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
        figures={"initial_mean": seen.initial[0], "initial_variance": seen.initial[1]},
    )


def leaks_at_inference(evidence: Evidence) -> Diagnosis | None:
    """Inference changes the statistics.

    Args:
        evidence: what is known of the layer.
    """
    seen, audited = evidence.fingerprint, evidence.found("update_at_inference")
    moved = max(seen.moved_by_inference, evidence.moved)
    if moved == 0 and audited is None:
        return None
    figures, kept = {"moved": moved}, ""
    if seen.moved_by_inference and seen.variance_kept < 1:
        decay = DECAY if seen.takes_decay else seen.acting_decay
        figures |= {"decay": decay, "variance_kept": seen.variance_kept}
        kept = f"at decay {decay:.3g} each single example multiplied the moving variance by {seen.variance_kept:.3g}"
    parts = [f"inference changed a moving statistic by {moved:.3g}", kept, audited.sentence if audited else ""]
    return Diagnosis(
        "leaks_at_inference",
        "; ".join(part for part in parts if part),
        f"{QUESTION}, version 2; {PRINTED}; {WIKI}, the broken class",
        "create the updates inside the branch of tf.cond, or call the layer once with the bool tensor as its flag",
        figures=figures,
    )


def test_data_in_statistics(evidence: Evidence) -> Diagnosis | None:
    """Running held-out data during training changes the statistics.

    Args:
        evidence: what is known of the layer.
    """
    moved = evidence.fingerprint.moved_by_monitoring
    if moved == 0:
        return None
    return Diagnosis(
        "test_data_in_statistics",
        f"watching held-out data while training changed a moving statistic by {moved:.3g}",
        R2RT.title,
        "watch held-out data through the inference tower",
        figures={"moved_by_monitoring": moved},
    )


def unordered_average(evidence: Evidence) -> Diagnosis | None:
    """The average reads the batch's moments without waiting for the step that writes them.

    Args:
        evidence: what is known of the layer.
    """
    audited = evidence.found("unordered_average")
    if audited is None:
        return None
    return Diagnosis(
        "unordered_average",
        f"{audited.sentence}: an average may take this batch's moments or the last one's",
        f"{BLOG}: the recipe builds the assigner outside the block that should order it",
        "build the averages (apply, get_assigner) inside control_dependencies on the step",
    )


def double_update(evidence: Evidence) -> Diagnosis | None:
    """One step applies the average twice, or two layers share one average.

    Args:
        evidence: what is known of the layer.

    Example:
        >>> double_update(evidence) is None
        True
    """
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
    if seen.takes_decay:
        figures = {"step": 1 - seen.acting_decay, "decay": DECAY, "right_step": 1 - DECAY}
        sentence = (
            f"one step moved the mean {1 - seen.acting_decay:.2f} of the way to the batch; at decay {DECAY:g} it "
            f"should be {1 - DECAY:.2f}: the average is applied twice"
        )
    else:
        figures = {"step": 1 - seen.acting_decay}
        sentence = f"one step moved the mean {1 - seen.acting_decay:.2f} of the way to the batch, by two updates"
    return Diagnosis(
        "double_update",
        sentence,
        "tf.layers.batch_normalization called again with reuse=True: four ops in UPDATE_OPS",
        "run each layer's updates once: collect those of the first call alone, or share its output",
        figures=figures,
    )
