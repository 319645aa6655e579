"""Which device a run uses."""

import tensorflow as tf

from bnexp.errors import UserError
from bnexp.threads import thread_limit


def choose_device(wanted: str) -> tuple[str, str]:
    """Chooses the device and sets TensorFlow up for it.

    Args:
        wanted: `"auto"` (a GPU if there is one), `"cpu"` or `"gpu"`.

    Returns:
        TensorFlow's name of the device, and a line that says what was chosen and why.

    Raises:
        UserError: a GPU is wanted and TensorFlow sees none.
    """
    # deprecations and retracing are bnexp's affair; its errors become exceptions
    tf.get_logger().setLevel("ERROR")
    # the same seed gives the same bits, on a GPU too; and its float32 is float32, not TF32
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # whatever is wanted: TensorFlow refuses to change this later, and a sweep's next job may want the GPU
        tf.config.experimental.set_memory_growth(gpu, True)
    if wanted == "gpu" and not gpus:
        raise UserError(
            "device=gpu: TensorFlow sees no GPU. Install CUDA with pip install -e '.[cuda]' and check the driver with "
            "nvidia-smi, or take device=auto or device=cpu."
        )
    if gpus and wanted != "cpu":
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unnamed")
        return "/GPU:0", f"GPU: {name}"
    limit = thread_limit()
    threads = "" if limit is None else f"; {limit} thread{'s' if limit > 1 else ''}"
    return "/CPU:0", ("CPU, as asked" if wanted == "cpu" else "CPU: TensorFlow sees no GPU") + threads
