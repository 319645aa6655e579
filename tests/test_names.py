"""Names that cross a process or a store: made and read back in one place."""

from bnexp.names import MEAN_ERROR, layer_of_moving_metric, moving_metric, telling_overrides


def test_overrides_that_tell_no_run_from_another_are_left_out():
    given = ["a=1", "tracking.experiment=e", "resume=true", "+verbose=true", "verbose=false", "b=2"]
    assert telling_overrides(given) == ["a=1", "b=2"]


def test_a_layer_is_read_back_from_its_metric_slashes_and_all():
    assert layer_of_moving_metric(moving_metric("block1/bn", MEAN_ERROR)) == "block1/bn"
    assert layer_of_moving_metric("test/accuracy") is None
