"""What a run leaves behind: its identity, metrics, artifacts, pictures and printed report."""
