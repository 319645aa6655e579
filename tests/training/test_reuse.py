"""Shared trainings: the same bits as training afresh, for every variant; what is missing or damaged is trained."""

from contextlib import closing

import numpy as np
import pytest
import tensorflow as tf
from small import ONE_LAYER, images, names, settings, small_model

from bnexp.engine import compiled
from bnexp.engine.single_layer import lone_graph
from bnexp.graph.ancestry import ancestors
from bnexp.graph.layer import variant_factory
from bnexp.network import classifier, weight
from bnexp.statistics.layer_statistics import to_arrays
from bnexp.training import loop as module
from bnexp.training import reuse
from bnexp.training.loop import train
from bnexp.training.reuse import SharedTraining, training_key
from bnexp.variant import control_deps

COURSE = {"batch_size": 10, "steps": 100, "seed": 3}


@pytest.fixture(autouse=True, scope="module")
def few_snapshots():
    # measuring at twenty of them takes longer than the training
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SNAPSHOTS", 4)
        yield


@pytest.fixture(scope="module")
def dataset():
    return images()


def model_of(dataset, *overrides, network="mlp"):
    return small_model(dataset, ONE_LAYER[network], *overrides, network=network)


def snapshots_of(shared, model, dataset, **course):
    with closing(shared.snapshots(model, dataset, **COURSE | course)) as snapshots:
        return list(snapshots)


def everything(snapshots, model):
    """All that a run reports of a training, by name; its seconds are its own."""
    found = {}
    for snapshot in snapshots:
        at = snapshot.step
        found |= {f"{at}/{name}": array for name, array in to_arrays(snapshot.steps.layers).items()}
        found |= {f"{at}/loss": snapshot.steps.losses, f"{at}/accuracy": snapshot.steps.accuracies}
        found |= {f"{at}/monitored": snapshot.monitored}
        for layer, moments in snapshot.population.items():
            found |= {f"{at}/{layer}/mean": moments.mean, f"{at}/{layer}/variance": moments.variance}
            found |= {f"{at}/{layer}/percentiles": snapshot.percentiles[layer]}
    return found | {f"state/{name}": value for name, value in model.state().items()}


def assert_same(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value, err_msg=name)
        assert np.asarray(value).dtype == np.asarray(other[name]).dtype, name


def conv_then_dense(inputs, *, batch_norm, num_classes, seed, **unused):
    """Logits of a network with a layer of either rank."""
    kernel = weight("conv/kernel", [2, 2, inputs.shape[-1], 3], seed=seed)
    hidden = tf.nn.relu(batch_norm(tf.nn.conv2d(inputs, kernel, 2, "SAME"), "bn1"))
    kernel = weight("dense/kernel", [3, 4], seed=seed)
    hidden = tf.nn.relu(batch_norm(tf.matmul(tf.reduce_mean(hidden, [1, 2]), kernel), "bn2"))
    return classifier(hidden, num_classes=num_classes, seed=seed)


def both_ranks(dataset, variant, decay, engine):
    own = f"network._target_={__name__}.conv_then_dense"
    return small_model(dataset, f"variant={variant}", f"decay={decay}", own, "optimizer=sgd", f"engine={engine}")


def dense(dataset, variant, decay, engine):
    return model_of(dataset, f"variant={variant}", f"decay={decay}", "optimizer=sgd", f"engine={engine}")


# of each make of updates one variant
MAKES = {
    "contrib": "one branch of both",
    "update_ops": "a branch each, and for images the shape of the batch",
    "fused": "the shape of the batch",
    "double_update": "averages, one of them of another's outcome",
    "zero_debias": "averages that count",
    "ema": "averages that wait for the step",
    "ema_never_applied": "copies of the last batch",
    "update_ops_forgotten": "none that runs",
    "identity": "none at all",
}

# what trains by itself: it reads its averages, leaves an order open, or does not show the moments that it averages
ALONE = {
    "cond",
    "contrib_positional",
    "contrib_twin",
    "control_deps_leaky",
    "ema_unordered",
    "frozen",
    "ghost",
    "keras",
}
ALONE |= {"moving_in_training", "renorm", "tflearn", "tflearn_untrained_flag"}


def make_of(variant):
    """What a variant's updates are made of, on rows and on images; None where they cannot be cut out."""
    factory, found = variant_factory(variant, decay=0.9, epsilon=1e-3), []
    for shape in ((3,), (2, 2, 3)):
        with tf.Graph().as_default():
            graph = lone_graph(factory, shape, decay=0.9, epsilon=1e-3)
        if graph.averaging is None:
            return None
        averaging = graph.averaging
        running = ancestors(graph.average.outputs.values(), fed=averaging.moments.values(), stop="Shape")
        found.append((frozenset(op.type for op in running), averaging.waits, len(averaging.shapes)))
    return found


def test_every_variant_s_updates_are_of_one_of_the_makes():
    made = {variant: make_of(variant) for variant in names("variant")}
    assert {variant for variant, make in made.items() if make is None} == ALONE
    known = [made[variant] for variant in MAKES]
    assert [variant for variant, make in made.items() if make is not None and make not in known] == []


# every make in a compiled loop, as dense networks are trained; a few with images too, in a compiled loop, as on a GPU, in
# an ordinary one, as convolutions are trained on a CPU, or call by call in a Session; and from another decay than their own
CASES = [("whole", dense, variant, 0.9 if variant in ("update_ops", "ema") else 0.73) for variant in MAKES]
CASES += [("whole", both_ranks, variant, 0.73) for variant in ("update_ops", "ema")]
OTHERS = [("update_ops", 0.9), ("ema", 0.9), ("test_set_leak", 0.0)]
CASES += [("serial", both_ranks, *other) for other in OTHERS]
CASES += [("session", both_ranks, *other) for other in (*OTHERS, ("zero_debias", 0.9))]


@pytest.mark.parametrize(("loop", "network", "variant", "decay"), CASES)
def test_a_shared_training_gives_the_bits_of_one_s_own(dataset, tmp_path, monkeypatch, loop, network, variant, decay):
    monkeypatch.setattr(module, "SNAPSHOTS", 2)
    monkeypatch.setattr(compiled, "_best_loop", lambda types, device, batch: loop)
    engine = "session" if loop == "session" else "compiled"
    first = network(dataset, variant, decay, engine)
    trained = everything(snapshots_of(SharedTraining(tmp_path, "first"), first, dataset), first)
    second, shared = network(dataset, variant, 0.73, engine), SharedTraining(tmp_path, "second")
    replayed = everything(snapshots_of(shared, second, dataset), second)
    assert shared.trained_by == "first"
    if decay != 0.73:
        afresh = network(dataset, variant, 0.73, engine)
        trained = everything(train(afresh, dataset, **COURSE), afresh)
    assert_same(trained, replayed)


def kept(folder):
    return sorted(int(path.stem) for path in folder.glob("*.npz"))


SHORT = {"steps": 8}


@pytest.fixture(scope="module")
def other(dataset):
    """A model of another decay than the first, and its initial state."""
    model = model_of(dataset, "decay=0.5")
    return model, model.state()


@pytest.fixture(scope="module")
def afresh(dataset, other):
    """What its own training gives."""
    model, initial = other
    model.assign(initial)
    return everything(train(model, dataset, **COURSE | SHORT), model)


@pytest.fixture(scope="module")
def left(dataset, tmp_path_factory):
    """The files that the first training leaves."""
    folder = tmp_path_factory.mktemp("left")
    snapshots_of(SharedTraining(folder, "first"), model_of(dataset), dataset, **SHORT)
    return {path.name: path.read_bytes() for path in folder.glob("*.npz")}


@pytest.mark.parametrize("harm", ["truncated", "changed", "missing", "empty", "not an archive"])
def test_what_is_missing_or_damaged_is_trained(dataset, tmp_path, other, afresh, left, harm):
    assert set(left) == {"2.npz", "4.npz", "6.npz", "8.npz"}
    for name, content in left.items():
        (tmp_path / name).write_bytes(content)
    part = tmp_path / "4.npz"
    content = part.read_bytes()
    place = len(content) // 2
    spoilt = {
        "truncated": content[:-100],
        "changed": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
        "empty": b"",
        "not an archive": b"spoilt",
    }
    part.unlink() if harm == "missing" else part.write_bytes(spoilt[harm])
    (model, initial), shared = other, SharedTraining(tmp_path, "second")
    model.assign(initial)
    mended = everything(snapshots_of(shared, model, dataset, **SHORT), model)
    assert shared.trained_by == "first"
    assert part.read_bytes() == content
    assert_same(afresh, mended)


def test_an_interrupted_training_is_gone_on_with_by_the_next(dataset, tmp_path, other):
    with closing(SharedTraining(tmp_path, "first").snapshots(model_of(dataset), dataset, **COURSE | SHORT)) as some:
        next(some), next(some)
    # no lock is left behind, and all that was trained is there
    assert kept(tmp_path) == [2, 4]
    (model, initial), shared = other, SharedTraining(tmp_path, "second")
    model.assign(initial)
    snapshots_of(shared, model, dataset, **SHORT)
    assert (kept(tmp_path), shared.trained_by) == ([2, 4, 6, 8], "first")


def test_a_training_goes_on_from_a_snapshot_of_its_own(dataset, tmp_path):
    whole = model_of(dataset)
    with closing(SharedTraining(tmp_path, "first").snapshots(whole, dataset, **COURSE | SHORT)) as snapshots:
        next(snapshots), next(snapshots)
        state = whole.state()
        rest = list(snapshots)
    model = model_of(dataset)
    model.assign(state)
    assert_same(
        everything(rest, whole),
        everything(snapshots_of(SharedTraining(tmp_path, "second"), model, dataset, start=4, **SHORT), model),
    )


@pytest.mark.parametrize("variant", ["frozen", "moving_in_training", "renorm", "keras", "ema_unordered"])
def test_what_cannot_be_told_apart_is_trained_by_each(dataset, tmp_path, variant):
    model = model_of(dataset, f"variant={variant}")
    for run_id in ("first", "second"):
        shared = SharedTraining(tmp_path, run_id)
        snapshots = snapshots_of(shared, model, dataset, **SHORT)
        assert [snapshot.step for snapshot in snapshots] == [2, 4, 6, 8]
        assert shared.trained_by == ""
    assert kept(tmp_path) == []


class SaysOneThing(control_deps.BatchNorm):
    """Claims to train with the batch, shows its moments, and trains with the moving statistics."""

    def __call__(self, inputs, training):
        if training:
            super().__call__(inputs, training)
        mean, variance = self.moving_mean, self.moving_variance
        return tf.nn.batch_normalization(inputs, mean, variance, None, None, self.epsilon)


class AveragesAnother(control_deps.BatchNorm):
    """Shows moments of its own making."""

    def __call__(self, inputs, training):
        return super().__call__(inputs * 2.0, training)


@pytest.mark.parametrize("layer", [SaysOneThing, AveragesAnother])
def test_a_layer_is_not_taken_at_its_word(dataset, tmp_path, layer):
    model = model_of(dataset, f"variant._target_={__name__}.{layer.__name__}")
    snapshots_of(SharedTraining(tmp_path, "first"), model, dataset, **SHORT)
    assert kept(tmp_path) == []


def test_a_full_disk_stops_no_training(dataset, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError("no space left on device")

    monkeypatch.setattr(reuse, "write_whole", full)
    snapshots = snapshots_of(SharedTraining(tmp_path, "first"), model_of(dataset), dataset, **SHORT)
    assert [snapshot.step for snapshot in snapshots] == [2, 4, 6, 8]


BASE = ("variant=contrib", "seed=1")


@pytest.mark.parametrize(
    "override",
    ["decay=0.5", "variant.decay=0.5", "final_pass=paper", "eval_batch_size=3", "reuse=false", "tracking.experiment=x"],
)
def test_jobs_that_train_alike_have_one_key(dataset, override):
    one, other = (training_key(settings(*BASE, *more), dataset) for more in ((), (override,)))
    assert one == other


@pytest.mark.parametrize(
    "override",
    [
        "variant=update_ops",
        "variant.epsilon=0.1",
        "seed=2",
        "steps=7",
        "batch_size=7",
        "learning_rate=0.5",
        "optimizer=sgd",
        "network=cnn",
        "engine=session",
        "device=cpu",
    ],
)
def test_jobs_that_train_otherwise_have_another(dataset, override):
    one, other = (training_key(settings(*BASE, *more), dataset) for more in ((), (override,)))
    assert one != other


def test_the_code_counts_too(dataset, monkeypatch):
    config = settings(*BASE, f"network._target_={__name__}.conv_then_dense")
    before = training_key(config, dataset)
    assert training_key(config, dataset) == before
    found = []
    monkeypatch.setattr(reuse, "source_digest", lambda names: found.extend(names) or "edited")
    assert training_key(config, dataset) != before
    assert f"{__name__}.conv_then_dense" in found


def test_the_number_of_threads_counts(dataset, monkeypatch):
    """They share a convolution's sums out, and other parts of a sum are rounded otherwise."""
    config, keys = settings(*BASE), set()
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    keys.add(training_key(config, dataset))
    for threads in ("1", "2", "1"):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", threads)
        keys.add(training_key(config, dataset))
    assert len(keys) == 3


def test_the_data_itself_counts(dataset):
    config = settings(*BASE)
    assert training_key(config, images()) == training_key(config, dataset)
    assert training_key(config, images(seed=8)) != training_key(config, dataset)
