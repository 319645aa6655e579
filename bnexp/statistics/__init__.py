"""The mathematics in float64 NumPy: moments of batches, and the recurrences that average them."""
