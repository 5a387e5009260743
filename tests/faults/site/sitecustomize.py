"""Runs in every Python process of a test that has this folder on its path: arms what the test wants to go wrong."""

from paretosearch.testing.faults import arm

arm()
