"""Trains one Recipe on one device."""

from paretosearch.training.loop import Trained, build_model, train

__all__ = ["Trained", "build_model", "train"]
