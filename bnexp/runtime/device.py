"""The device that a run uses, and TensorFlow's settings for it."""

import tensorflow as tf

from bnexp.errors import UserError
from bnexp.runtime.threads import thread_limit


def choose_device(wanted: str) -> tuple[str, str]:
    """Chooses the device, and makes TensorFlow deterministic on it.

    Args:
        wanted: the setting `device`: `"auto"` (a GPU if there is one), `"cpu"` or `"gpu"`.

    Returns:
        TensorFlow's name of the device, `"/CPU:0"` or `"/GPU:0"`, and a line for the report that says what was chosen
        and why.

    Raises:
        UserError: a GPU is wanted and TensorFlow sees none.

    Example:
        >>> choose_device("cpu")
        ('/CPU:0', 'CPU, as asked...')
    """
    # users cannot act on TensorFlow's warnings of deprecations and retracing; its errors arrive as exceptions
    tf.get_logger().setLevel("ERROR")
    # the same seed gives the same bits, on a GPU too, where float32 stays float32 and does not become TF32
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # even if the CPU is wanted: TensorFlow refuses to change this later, and a sweep's next job may want the GPU
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
