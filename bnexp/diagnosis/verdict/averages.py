"""Verdicts about the moving averages: they follow a wrong rule, or the right one too slowly."""

from collections.abc import Mapping
from math import isfinite, isnan

from bnexp.diagnosis.evidence import Evidence
from bnexp.diagnosis.specimen import DECAY
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.variant import QUESTION

# an average is `lagging` if its initial value still has more than this weight in it
LAGGING_WEIGHT = 0.05

# `lagging` advises a decay with which the initial value has at most this weight at the end
SERVED_WEIGHT = 0.005

# by the name of a wrong recurrence: what is wrong with it, and the document that describes it
SLIPS: Mapping[str, tuple[str, str]] = {
    "swapped": ("decay and 1 - decay are swapped", "public code: momentum for 1 - decay (eigenfoo/batch-renorm)"),
    "copy": ("it is the last batch's, not an average", ""),
    "late": ("each step averages the batch before", ""),
    "debias_from_ones": (
        "it starts at 1 and is debiased as if it had started at 0",
        "public code: the batch norm of Equinox",
    ),
    "ema_of_another_decay": ("it moves by another decay than was asked for", ""),
    "unknown": ("it follows no known recurrence", ""),
}


def wrong_recurrence(evidence: Evidence) -> Diagnosis | None:
    """The statistics follow another rule, average other values, or start elsewhere than documented.

    Args:
        evidence: what is known of the layer.
    """
    seen, optimized = evidence.fingerprint, evidence.found("trained_statistic")
    names = {"mean": seen.mean_recurrence, "variance": seen.variance_recurrence}
    said: list[str] = []
    documents: list[str] = []
    figures: dict[str, float] = {}
    for name, recurrence in names.items():
        if recurrence in SLIPS and not seen.pooled:
            words, document = SLIPS[recurrence]
            said.append(f"moving {name}: {words}")
            documents.append(document)
    if {"swapped", "ema_of_another_decay"} & set(names.values()):
        figures["step"] = 1 - seen.acting_decay
        asked = ""
        if seen.takes_decay:
            figures["right_step"] = 1 - DECAY
            asked = f", {1 - DECAY:.2f} was asked for"
        said.append(f"a step moves the mean {1 - seen.acting_decay:.2f} of the way to the batch{asked}")
    for name, start, right in (("mean", seen.initial[0], 0.0), ("variance", seen.initial[1], 1.0)):
        if names[name] in ("ema", "stddev_ema", "ghost_ema", "ghost_steps") and start != right:
            figures |= {f"initial_{name}": start, f"right_{name}": right}
            said.append(f"moving {name} starts at {start:g} instead of {right:g}")
            documents.append("public code: variance from 0 (d2l, Chainer)" if name == "variance" else "")
            if isfinite(evidence.start_left):
                figures |= {"start_left": evidence.start_left, "steps": evidence.steps}
                left = f"{evidence.start_left:.2g}" if evidence.start_left > 1e-12 else "nothing"
                said.append(f"{left} of that start is left after {evidence.steps} steps")
    if any("variance" in words for words in said) and not isnan(seen.first_variance[1]):
        first, right_first = seen.first_variance
        figures |= {"first_variance": first, "right_first_variance": right_first}
        said.append(f"after one step the moving variance was {first:.3g}, an average from 1 gives {right_first:.3g}")
    if seen.variance_error:
        figures["variance_error"] = seen.variance_error
        said.append(
            "where the mean is hundreds of standard deviations the moving variance is off by "
            f"{seen.variance_error:.2g} of itself, as E[x**2] - E[x]**2 is, which loses the digits"
        )
    if optimized is not None:
        said.append(f"{optimized.sentence}: it is trainable")
    if not said:
        return None
    return Diagnosis(
        "wrong_recurrence",
        "; ".join(said),
        next((document for document in documents if document), "none of the documents"),
        _cure(names, seen.takes_decay),
        figures=figures,
    )


def _cure(names: Mapping[str, str], takes_decay: bool) -> str:
    """Returns what cures a wrong recurrence."""
    cure = (
        "moving = decay * moving + (1 - decay) * batch, mean from 0 and variance from 1, the variance as "
        "mean((x - mean)**2)"
    )
    if "swapped" in names.values() and takes_decay:
        cure += "; if this layer's momentum is meant to be 1 - decay, as in PyTorch, give it that: decay=0.1 for 0.9"
    return cure


def lagging(evidence: Evidence) -> Diagnosis | None:
    """The average is right but too slow for the number of steps; a debiased one is not, since it drops its start.

    Args:
        evidence: what is known of the layer.

    Example:
        >>> lagging(evidence).cure
        'decay=... would have served; or take final_pass=layerwise'
    """
    decay, left = evidence.acting_decay, evidence.start_left
    if evidence.fingerprint.mean_recurrence != "ema" or not left > LAGGING_WEIGHT:
        return None
    served = serving_decay(evidence.steps)
    figures = {"steps": evidence.steps, "decay": decay, "left": left, "initial_mean": 0, "initial_variance": 1}
    measured = ""
    if isfinite(evidence.variance_ratio):
        figures["variance_ratio"] = evidence.variance_ratio
        measured = f", variance {evidence.variance_ratio:.3g} times the population's"
    return Diagnosis(
        "lagging",
        f"after {evidence.steps} steps {decay:.4g}**{evidence.steps} = {left:.3g} of the initial 0 and 1 is "
        f"left in the averages{measured}",
        f"{QUESTION}, tip 4: decay .999 is too slow for few steps",
        f"decay={served:g} would have served; or take final_pass=layerwise",
        figures=figures,
    )


def behind_the_population(evidence: Evidence) -> Diagnosis | None:
    """The population's statistics gain more than two standard errors over those that inference uses.

    Args:
        evidence: what is known of the layer, in which nothing else was found that would explain it.
    """
    if not evidence.harm.matters:
        return None
    which = "the final pass's statistics" if evidence.replaced else "the averages, of a right recurrence,"
    return Diagnosis(
        "lagging",
        f"{which} are not what inference meets with the last weights: the population's gain accuracy",
        f"{QUESTION}, tip 4: decay .999 is too slow for few steps",
        "take final_pass=layerwise, or a smaller learning_rate at the end",
    )


def serving_decay(steps: int) -> float:
    """Returns the largest decay of a few round ones that leaves the initial value at most `SERVED_WEIGHT`.

    Args:
        steps: the number of training steps.

    Example:
        >>> serving_decay(1000), serving_decay(100)
        (0.99, 0.9)
    """
    slowest = SERVED_WEIGHT ** (1 / steps)
    ladder = (0.9999, 0.9995, 0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
    return next((decay for decay in ladder if decay <= slowest), 0.0)
