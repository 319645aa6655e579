"""The tests of the tests: each mutant has to be rejected, by the check and for the trait that the table says."""

from dataclasses import fields
from functools import partial

import contract
import mutants
import pytest

from bnexp.variant import Traits

# mutant: the rank that shows it, the trait that it betrays (or what no trait says), the first check that catches it
TABLE = {
    mutants.FlagAsPythonBool: (2, "flag", "builds"),
    mutants.FlagIgnored: (2, "flag", "monitoring"),
    mutants.FlagInverted: (2, "flag", "gradient"),
    mutants.InPlaceForUpdateOps: (2, "attachment", "attachment"),
    mutants.UpdateOpsForInPlace: (2, "attachment", "attachment"),
    mutants.FirstLayerAlone: (2, "attachment", "two layers"),
    mutants.DecaySwapped: (2, "moving", "training mean"),
    mutants.DecayOfItsOwn: (2, "moving", "training mean"),
    mutants.NeverUpdated: (2, "moving", "attachment"),
    mutants.UpdatedTwice: (2, "moving", "training mean"),
    mutants.OnlyMeanUpdated: (2, "moving", "training variance"),
    mutants.OnlyVarianceUpdated: (2, "moving", "training mean"),
    mutants.LagsOneBatch: (2, "moving", "training mean"),
    mutants.EverySecondStep: (2, "moving", "training mean"),
    mutants.DecayWarmsUp: (2, "moving", "training mean"),
    mutants.MomentumOnStddev: (2, "moving", "training variance"),
    mutants.VarianceAroundTheMovingMean: (2, "moving", "training variance"),
    mutants.MomentsOfTheOutput: (2, "moving", "training mean"),
    mutants.VarianceClipped: (2, "moving", "training variance"),
    mutants.DebiasedFromOnes: (2, "moving", "training variance"),
    mutants.DebiasedTooOften: (2, "moving", "training mean"),
    mutants.DebiasForgotten: (2, "moving", "training mean"),
    mutants.BesselForBiased: (2, "variance_ddof", "training variance"),
    mutants.BiasedForBessel: (2, "variance_ddof", "training variance"),
    mutants.BesselByTheBatchAlone: (4, "variance_ddof", "training variance"),
    mutants.MeanFromOne: (2, "initial_mean", "initial"),
    mutants.VarianceFromZero: (2, "initial_variance", "initial"),
    mutants.MovingInTraining: (2, "training_uses", "gradient"),
    mutants.HalfMovingInTraining: (2, "training_uses", "gradient"),
    mutants.ConstantsToTheGradient: (2, "training_uses", "gradient"),
    mutants.BesselInTheOutput: (2, "training_uses", "gradient"),
    mutants.ContiguousGhosts: (2, "training_uses", "gradient"),
    mutants.RenormUnclipped: (2, "training_uses", "gradient"),
    mutants.GroupsAcross: (2, "training_uses", "gradient"),
    mutants.VarianceOverExamplesAlone: (4, "training_uses", "gradient"),
    mutants.ChannelsFirst: (4, "training_uses", "builds"),
    mutants.AllChannelsTogether: (2, "training_uses", "gradient"),
    mutants.BatchAtInference: (2, "inference_uses", "inference outputs"),
    mutants.LastBatchAtInference: (2, "inference_uses", "inference outputs"),
    mutants.SecondSet: (2, "inference_uses", "attachment"),
    mutants.UpdatedAtInference: (2, "inference_updates", "monitoring"),
    mutants.VarianceUpdatedAtInference: (2, "inference_updates", "monitoring"),
    mutants.NotUpdatedButAtInference: (2, "inference_updates", "attachment"),
    mutants.MonitorsThroughTraining: (2, "monitoring_updates", "monitoring"),
    mutants.Races: (2, "ordered", "order"),
    mutants.EpsilonOfItsOwn: (2, "(epsilon)", "gradient"),
    mutants.EpsilonOutsideTheRoot: (2, "(epsilon)", "gradient"),
    mutants.EpsilonTwice: (2, "(epsilon)", "gradient"),
    mutants.CancellingVariance: (2, "(precision)", "training outputs"),
    mutants.HalfPrecision: (2, "(precision)", "gradient"),
    mutants.GammaBetaSwapped: (2, "(affine)", "gradient"),
    mutants.BetaBeforeGamma: (2, "(affine)", "training outputs"),
    mutants.GammaFromZero: (2, "(affine)", "initial"),
    mutants.TrainsNothing: (2, "(weights)", "train op"),
    mutants.TrainableStatistics: (2, "(variables)", "trainable"),
    mutants.SharedByAllLayers: (2, "(variables)", "two layers"),
}

# right for dense inputs: why the suite looks at images too
SEEN_WITH_POSITIONS_ALONE = [mutant for mutant, (rank, _, _) in TABLE.items() if rank == 4]

# the conformance suite hands a variant its options from the YAML; these have theirs here
OPTIONS = {
    mutants.ContiguousGhosts: {"parts": 2},
    mutants.RenormUnclipped: {"rmax": 3.0, "dmax": 5.0},
    mutants.GroupsAcross: {"groups": 2},
}


@pytest.mark.parametrize("mutant", TABLE, ids=lambda mutant: mutant.__name__)
def test_mutant_is_rejected(mutant):
    rank, _, check = TABLE[mutant]
    with pytest.raises(contract.Broken, match=f"^{mutant.__name__} is not what it claims:\n") as caught:
        contract.hold(partial(mutant, **OPTIONS.get(mutant, {})), rank=rank, engine="session")
    assert caught.value.caught_by == check, caught.value


@pytest.mark.parametrize("rank", [2, 4])
def test_what_the_mutants_are_made_of_is_accepted(rank):
    contract.hold(partial(mutants.Right), rank=rank, engine="session")


@pytest.mark.parametrize("mutant", SEEN_WITH_POSITIONS_ALONE, ids=lambda mutant: mutant.__name__)
def test_dense_inputs_cannot_tell(mutant):
    contract.hold(partial(mutant), rank=2, engine="session")


def test_every_mutant_is_in_the_table():
    made = {m for m in vars(mutants).values() if isinstance(m, type) and issubclass(m, mutants.Right)}
    assert made - {mutants.Right} == set(TABLE)


def test_every_trait_is_betrayed_by_some_mutant():
    betrayed = {trait for _, trait, _ in TABLE.values() if not trait.startswith("(")}
    told = {field.name for field in fields(Traits)} - {"document", "verdict"}  # words; test_verdict holds them
    assert betrayed == told


def test_the_compiled_engine_rejects_too():
    with pytest.raises(contract.Broken) as caught:
        contract.hold(partial(mutants.DecaySwapped), rank=2, engine="compiled")
    assert caught.value.caught_by == "training mean"
