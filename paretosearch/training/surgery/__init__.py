"""Changes the shape of a network while it trains, and not what it computes."""

from paretosearch.training.surgery.analysis import analyze
from paretosearch.training.surgery.deepen import insert_identity
from paretosearch.training.surgery.remap import remap
from paretosearch.training.surgery.removal import remove_branch
from paretosearch.training.surgery.rescale import rescale_kernels
from paretosearch.training.surgery.sizes import smallest_map
from paretosearch.training.surgery.surgeon import Surgeon
from paretosearch.training.surgery.tracing import undisturbed

__all__ = [
    "Surgeon",
    "analyze",
    "insert_identity",
    "remap",
    "remove_branch",
    "rescale_kernels",
    "smallest_map",
    "undisturbed",
]
