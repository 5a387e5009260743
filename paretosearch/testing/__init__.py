"""Suites and builders that tests of every implementation share."""
