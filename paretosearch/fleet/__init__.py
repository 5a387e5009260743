"""Runs Attempts on devices, and the search over them."""
