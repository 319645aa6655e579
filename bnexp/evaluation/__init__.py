"""Evaluation: predictions one by one and in large batches, and the accuracy with other moving averages."""
