"""Finds out what a layer does and what is wrong with it: fingerprint, audit, evidence and verdict."""
