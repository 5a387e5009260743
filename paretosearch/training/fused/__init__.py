"""Batch norm, shortcut and ReLU in one pass over memory, on a CPU."""

from paretosearch.training.fused.library import library
from paretosearch.training.fused.rewrite import fused

__all__ = ["fused", "library"]
