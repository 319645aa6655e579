"""The batch-normalisation laboratory for TensorFlow."""

import os

# before anything imports TensorFlow: its start-up notes are not the user's business
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
