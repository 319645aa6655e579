"""Turns config files and overrides into checked values. Imports no TensorFlow, so that `--cfg job` answers at once."""
