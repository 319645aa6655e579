"""The whole experiment: what a finished run leaves behind, and that the same command leaves the same bits."""

from unittest.mock import Mock

import numpy as np
import pytest
from omegaconf import OmegaConf
from small import ONE_LAYER, artifacts, client, run_here, save_images

from bnexp.errors import UserError
from bnexp.record.progress import log_snapshot
from bnexp.runtime.signals import Interrupted
from bnexp.storage.checkpoint import load_checkpoint

GAUSSIAN = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4")


def arrays_of(path):
    """Reads every array and closes the file."""
    with np.load(path) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run of two layers, looked at by many tests."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        overrides = ("dataset=gaussian", "network.widths=[5,4]", "batch_size=4", "steps=40", "final_pass=layerwise")
        result = run_here(folder, *overrides)
    return folder, result, client(folder).get_run(result.run_id)


def test_it_finished_under_its_overrides(finished):
    _, result, run = finished
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("dataset=gaussian network.widths=[5,4] batch_size=4 steps=40")
    assert run.info.run_id == result.run_id


def test_params_are_the_choices_and_the_flattened_config(finished):
    _, _, run = finished
    params = run.data.params
    chosen = {"variant": "update_ops", "dataset": "gaussian", "network": "mlp", "final_pass": "layerwise"}
    assert {key: params[key] for key in (*chosen, "optimizer")} == chosen | {"optimizer": "adam"}
    assert params["decay"] == params["variant.decay"] == "0.9"
    assert params["variant.epsilon"] == "0.001"
    assert params["network.widths"] == "[5, 4]"
    assert params["learning_rate"] == params["optimizer.learning_rate"] == "0.01"
    for key in ("epsilon", "batch_size", "steps", "seed", "eval_batch_size", "device", "engine", "restore", "resume"):
        assert key in params
    for key in ("reuse", "tracking.uri", "tracking.experiment", "updates"):
        assert key in params


def test_tags(finished):
    _, result, run = finished
    assert run.data.tags["bnexp.verdict"] == result.verdict
    assert run.data.tags["bnexp.device"].startswith(("CPU", "GPU"))
    assert run.data.tags["mlflow.user"]
    assert "bnexp.error" not in run.data.tags


def test_final_metrics(finished):
    _, result, run = finished
    names = {f"test/{name}" for name in ("accuracy", "accuracy_before_final_pass", "accuracy_batched")}
    names |= {"test/accuracy_batch_statistics", "test/flips", "test/moved", "test/seconds", "train/seconds"}
    names |= {"test/accuracy_population_statistics", "test/population_gain", "test/population_gain_error"}
    for layer in ("bn1", "bn2"):
        names |= {f"final_pass/{layer}/residual_mean", f"final_pass/{layer}/residual_variance"}
    assert names <= set(run.data.metrics)
    for name in names:
        assert run.data.metrics[name] == result.metrics[name]
    assert run.data.metrics["test/flips"] == run.data.metrics["test/moved"] == 0
    assert run.data.metrics["final_pass/bn2/residual_mean"] < 1e-4
    # the final pass has put statistics in place than which the population's are no better
    harm = {name: run.data.metrics[f"test/{name}"] for name in ("population_gain", "population_gain_error")}
    gain = run.data.metrics["test/accuracy_population_statistics"] - run.data.metrics["test/accuracy"]
    assert harm["population_gain"] == pytest.approx(gain, abs=1e-12)
    assert abs(gain) <= 2 * harm["population_gain_error"]


def test_metrics_by_step(finished):
    folder, result, _ = finished
    history = client(folder).get_metric_history
    for name in ("train/loss", "train/accuracy"):
        assert [metric.step for metric in history(result.run_id, name)] == list(range(1, 41))
    trajectories = arrays_of(artifacts(folder, result.run_id) / "trajectories.npz")
    logged = [metric.value for metric in history(result.run_id, "train/loss")]
    np.testing.assert_array_equal(np.float32(logged), trajectories["loss"])
    for layer in ("bn1", "bn2"):
        moving, population = (
            [trajectories[f"{layer}/{kind}_{moment}"].astype(float) for moment in ("mean", "variance")]
            for kind in ("moving", "population")
        )
        marks = trajectories["snapshot_steps"]
        errors = np.abs(moving[0][marks - 1] - population[0]) / np.sqrt(population[1])
        ratios = moving[1][marks - 1] / population[1]
        for name, values in (("mean_error", errors), ("variance_ratio", ratios)):
            metrics = history(result.run_id, f"moving/{layer}/{name}")
            assert [metric.step for metric in metrics] == marks.tolist() == list(range(2, 41, 2))
            # the population was rounded to float32 for the file: 6e-8 of a mean of up to a hundred deviations
            np.testing.assert_allclose([m.value for m in metrics], values.mean(1), rtol=1e-4, atol=1e-4)


def test_artifacts(finished):
    folder, result, _ = finished
    found = artifacts(folder, result.run_id)
    names = sorted(str(path.relative_to(found)) for path in found.rglob("*") if path.is_file())
    wanted = {"config.yaml", "trajectories.npz", "trajectories.png"}
    assert wanted | {"checkpoint/variables.npz", "checkpoint/manifest.json"} <= set(names)
    assert (found / "trajectories.png").read_bytes().startswith(b"\x89PNG")
    trajectories = arrays_of(found / "trajectories.npz")
    np.testing.assert_array_equal(trajectories["steps"], np.arange(1, 41))
    for layer, units in (("bn1", 5), ("bn2", 4)):
        for name in ("moving_mean", "moving_variance", "batch_mean", "batch_variance"):
            assert trajectories[f"{layer}/{name}"].shape == (40, units)
            assert trajectories[f"{layer}/{name}"].dtype == np.float32
    config = OmegaConf.load(found / "config.yaml")
    assert (config.steps, config.variant.decay, config.network.widths) == (40, 0.9, [5, 4])
    assert "${" not in (found / "config.yaml").read_text()


def test_the_checkpoint_holds_everything_and_the_averages_that_the_pass_replaced(finished):
    folder, result, _ = finished
    found = artifacts(folder, result.run_id)
    checkpoint = load_checkpoint(found / "checkpoint")
    statistics = {f"bn{n}/moving_{moment}" for n in (1, 2) for moment in ("mean", "variance")}
    affine = {f"bn{n}/{name}" for n in (1, 2) for name in ("gamma", "beta")}
    weights = {"dense1/kernel", "dense2/kernel", "logits/kernel", "logits/bias"} | affine
    slots = {f"{name}/Adam{suffix}" for name in weights for suffix in ("", "_1")}
    assert set(checkpoint.variables) == statistics | weights | slots | {"beta1_power", "beta2_power"}
    assert set(checkpoint.last_averages) == statistics
    trajectories = arrays_of(found / "trajectories.npz")
    for name in statistics:
        np.testing.assert_array_equal(checkpoint.last_averages[name], trajectories[name][-1])
        assert (checkpoint.variables[name] != trajectories[name][-1]).any()


def test_nothing_is_written_outside_runs(finished):
    folder, _, _ = finished
    assert [path.name for path in folder.iterdir()] == ["runs"]


def bits(folder, result):
    """Returns everything that a run computed, as bytes; nothing of when or how long."""
    found = artifacts(folder, result.run_id)
    computed = {name: value for name, value in result.metrics.items() if not name.endswith("seconds")}
    with np.load(found / "trajectories.npz") as arrays:
        recorded = {name: array.tobytes() for name, array in arrays.items()}
    return computed, recorded, (found / "checkpoint" / "variables.npz").read_bytes()


@pytest.mark.slow
def test_the_same_bits_also_after_another_variant_s_run(folder, undrawn):
    """Two commands in turn, twice, in one process; long enough for compiled loops, of either kind."""
    data = ("dataset=npz", f"dataset.path={save_images(folder)}", "batch_size=10", "steps=101")
    one = (*data, "network=mlp", ONE_LAYER["mlp"], "variant=ema", "final_pass=paper")
    other = (*data, "network=cnn", ONE_LAYER["cnn"], "variant=contrib", "seed=5", "optimizer=momentum")
    first, second, third, fourth = (
        bits(folder, run_here(folder, *overrides)) for overrides in (one, other, one, other)
    )
    assert third == first
    assert fourth == second
    assert first[2] != second[2]
    for run in client(folder).search_runs(["1"]):
        assert_every_step(folder, run.info.run_id, 101)


def assert_every_step(folder, run_id, steps):
    assert client(folder).get_run(run_id).info.status == "FINISHED"
    trajectories = arrays_of(artifacts(folder, run_id) / "trajectories.npz")
    np.testing.assert_array_equal(trajectories["steps"], np.arange(1, steps + 1))
    assert client(folder).get_metric_history(run_id, "train/loss")[-1].step == steps


def test_a_single_step_and_an_evaluation_batch_of_more_than_there_is(folder, undrawn):
    result = run_here(folder, *GAUSSIAN, "steps=1", "eval_batch_size=1001")
    assert_every_step(folder, result.run_id, 1)


def test_a_decay_that_the_layer_alone_was_given_is_the_run_s(folder, undrawn, capsys):
    """Sixty steps are enough for the decay that stands in conf/config.yaml, and not for this one."""
    result = run_here(folder, *GAUSSIAN, "steps=60", "variant.decay=0.999")
    run = client(folder).get_run(result.run_id)
    assert (run.data.params["decay"], run.data.params["variant.decay"]) == ("0.999", "0.999")
    assert run.data.tags["bnexp.verdict"] == "lagging"
    assert "after 60 steps 0.999**60 = 0.942 of the initial 0 and 1 is left" in run.data.tags["bnexp.sentence"]
    assert "gaussian, mlp, update_ops, none, adam, decay 0.999\n" in capsys.readouterr().out


def test_divergence_is_a_result_and_no_crash(folder, capsys):
    """Weights of 1e38 overflow in the next product: NaN everywhere, and no NaN in the store."""
    result = run_here(folder, *GAUSSIAN, "steps=12", "optimizer=sgd", "learning_rate=1e38")
    run = client(folder).get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/accuracy"] == 0.0
    assert run.data.tags["bnexp.verdict"] == "diverged"
    assert capsys.readouterr().out.count("diverged") == 1
    losses = arrays_of(artifacts(folder, result.run_id) / "trajectories.npz")["loss"]
    assert not np.isfinite(losses[-1])
    logged = client(folder).get_metric_history(result.run_id, "train/loss")
    assert len(logged) == np.isfinite(losses).sum()
    assert all(np.isfinite(value) for value in run.data.metrics.values())


def test_an_error_in_the_middle_leaves_a_failed_run_with_what_it_measured(folder, undrawn, monkeypatch):
    # a mock's frames are the library's, as those of such an error are; a function here would be a user's own code
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("bnexp.run.write_artifacts", full)
    with pytest.raises(OSError, match="No space left"):
        run_here(folder, *GAUSSIAN, "steps=3")
    (run,) = client(folder).search_runs(["1"])
    assert run.info.status == "FAILED"
    assert run.data.tags["bnexp.error"] == "[Errno 28] No space left on device"
    assert "test/accuracy" in run.data.metrics
    assert len(client(folder).get_metric_history(run.info.run_id, "train/loss")) == 3


def test_training_that_is_interrupted_keeps_its_trajectories(folder, monkeypatch):
    def stops_at_6(tracker, model, snapshot, *, steps):
        log_snapshot(tracker, model, snapshot, steps=steps)
        if snapshot.step == 6:
            raise Interrupted(15)

    monkeypatch.setattr("bnexp.record.progress.log_snapshot", stops_at_6)
    with pytest.raises(Interrupted):
        run_here(folder, *GAUSSIAN, "steps=10")
    (run,) = client(folder).search_runs(["1"])
    assert run.info.status == "KILLED"
    assert run.data.tags["bnexp.error"] == "stopped by SIGTERM"
    assert client(folder).get_metric_history(run.info.run_id, "train/loss")[-1].step == 6
    trajectories = arrays_of(artifacts(folder, run.info.run_id) / "trajectories.npz")
    np.testing.assert_array_equal(trajectories["steps"], np.arange(1, 7))


@pytest.mark.parametrize("sweep", [False, True])
def test_a_mistake_leaves_no_run_but_in_a_sweep_a_failed_one(folder, sweep):
    with pytest.raises(UserError, match=r"^batch_size must be at most"):
        run_here(folder, *GAUSSIAN, "batch_size=401", sweep=sweep)
    runs = client(folder).search_runs(["1"])
    assert [run.info.status for run in runs] == (["FAILED"] if sweep else [])
    if sweep:
        assert runs[0].data.tags["bnexp.error"].startswith("batch_size must be at most")
        assert runs[0].data.params["batch_size"] == "401"
