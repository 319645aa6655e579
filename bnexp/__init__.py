"""The batch-normalisation laboratory for TensorFlow."""

import os

# set before anything imports TensorFlow, which otherwise prints notes when it starts
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
