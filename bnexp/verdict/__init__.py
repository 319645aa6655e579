"""What a verdict is: a function that returns a diagnosis if its mistake is in the evidence, and None if it is not.

They stand in the modules here by what is wrong: the `updates`, the `normalisation`, or the `averages`. `bnexp.diagnose`
has them in order, and is the only one that knows all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bnexp.audit import Finding
from bnexp.fingerprint import Fingerprint
from bnexp.specimen import DECAY

# the documents by the names that readers know them by
WIKI = 'the wiki page "Versions Compared"'
QUESTION = '"How to use Batch Normalization correctly in tensorflow?"'
BLOG = "the blog on ConvolutionalBatchNormalizer"
PRINTED = "the page with the printed iterations (twin batch_norm calls)"
TFLEARN = '"Does batch normalization in tensorflow use running averages during training?"'


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
        verdict: a key of `bnexp.diagnose.VERDICTS` or `"healthy"`.
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
