"""Tracked runs: a journal on the local disk first, then MLflow. Nothing here depends on batch normalisation."""
