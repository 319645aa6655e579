"""Compares finished runs in a table, a report and pictures. It only reads the tracking store and runs nothing."""
