"""Training: the loop and its snapshots, the recorded trajectories, and savepoints and shared trainings."""
