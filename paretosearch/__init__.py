"""Finds the Pareto front of training time against accuracy."""
