"""Sweeps: the parent run, launchers, progress, and shared trainings. Imports no TensorFlow."""
