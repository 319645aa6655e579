"""Converts a diagnosis to tags of its run, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from bnexp.diagnosis.verdict import Diagnosis
from bnexp.names import ALSO_TAG, CURE_TAG, DOCUMENT_TAG, NOTE_TAG, SENTENCE_TAG, VERDICT_TAG

_TAGS = {
    "verdict": VERDICT_TAG,
    "sentence": SENTENCE_TAG,
    "document": DOCUMENT_TAG,
    "cure": CURE_TAG,
    "also": ALSO_TAG,
}


def diagnosis_tags(diagnosis: Diagnosis) -> dict[str, str]:
    """Returns a diagnosis as tags: one for each part that is not empty, and a note that MLflow shows as description.

    The first findings of the audit are in the note; `diagnosis_json` has all of them.

    Args:
        diagnosis: the diagnosis of a run.

    Example:
        >>> diagnosis_tags(Diagnosis("healthy", "the statistics move in training alone"))["bnexp.verdict"]
        'healthy'
    """
    parts = {**asdict(diagnosis), "also": ", ".join(diagnosis.also)}
    words = {part: parts[part] for part in _TAGS if parts[part]}
    note = [f"**{part}**: {text}" for part, text in words.items()]
    note += ["**in the graph**:\n" + "\n".join(f"- {line}" for line in finding_lines(diagnosis))] * bool(
        diagnosis.findings
    )
    return {_TAGS[part]: text for part, text in words.items()} | {NOTE_TAG: "\n\n".join(note)}


def diagnosis_of(tags: Mapping[str, str]) -> Diagnosis:
    """Returns the diagnosis in a run's tags, without the audit's findings; the inverse of `diagnosis_tags`.

    Args:
        tags: all tags of a run by name.

    Example:
        >>> diagnosis_of({"bnexp.verdict": "double_update", "bnexp.also": "lagging"}).also
        ('lagging',)
    """
    verdict, sentence, document, cure, also = (tags.get(tag, "") for tag in _TAGS.values())
    return Diagnosis(verdict, sentence, document, cure, tuple(also.split(", ")) if also else ())


def diagnosis_json(diagnosis: Diagnosis) -> bytes:
    """Returns a diagnosis with all findings of the audit as JSON, the content of the artifact diagnosis.json.

    Args:
        diagnosis: the diagnosis of a run.

    Example:
        >>> json.loads(diagnosis_json(Diagnosis("healthy", "the statistics move in training alone")))["verdict"]
        'healthy'
    """
    return json.dumps(asdict(diagnosis), indent=1).encode()


def finding_lines(diagnosis: Diagnosis, most: int = 3) -> list[str]:
    """Returns the sentences of the audit's findings, the first few and a line that says how many more there are.

    Args:
        diagnosis: the diagnosis of a run.
        most: the most findings to return.

    Example:
        >>> finding_lines(Diagnosis("healthy", "the statistics move in training alone"))
        []
    """
    said = [finding.sentence for finding in diagnosis.findings]
    left = len(said) - most
    return said[:most] + ([f"and {left} more, in diagnosis.json"] if left > 0 else [])
