"""What a run depends on in its process: the device, the number of threads, and signals."""
