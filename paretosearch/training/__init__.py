"""Trains one Recipe on one device."""

from paretosearch.training.build import build_model
from paretosearch.training.loop import Trained, Training, train
from paretosearch.training.replay import replay

__all__ = ["Trained", "Training", "build_model", "replay", "train"]
