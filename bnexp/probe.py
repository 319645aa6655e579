"""One batch-norm layer alone, driven by arrays: what every conformance test and every fingerprint uses."""
