"""What is peculiar to `always_batch`: one example at a time all answers of a dense layer are the same."""

import numpy as np

from bnexp.probe import trace_layer


def test_single_rows_are_all_answered_alike_and_pictures_are_not():
    rng = np.random.default_rng(0)
    rows, pictures = (np.float32(rng.normal(3.0, 2.0, shape)) for shape in ([6, 8, 4], [6, 8, 3, 3, 4]))
    dense = trace_layer("always_batch", rows, rows[:, :1], decay=0.9, epsilon=1e-3, engine="session").inference_outputs
    # x / sqrt(.001) has a spacing of up to 3e-5
    np.testing.assert_allclose(dense, 0, atol=5e-5)
    # a picture has positions to average over: an instance norm
    images = trace_layer("always_batch", pictures, pictures[:, :1], decay=0.9, epsilon=1e-3, engine="session")
    np.testing.assert_allclose(images.inference_outputs.mean((1, 2, 3)), 0, atol=1e-5)
    assert images.inference_outputs.std() > 0.9
