"""Batch norm layers as other people have written them, 2015 to today, each with the verdict it deserves."""
