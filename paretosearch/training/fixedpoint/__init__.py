"""Arithmetic in which the numbers of a tensor share an exponent."""
