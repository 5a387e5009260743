"""The verbs of the command line as functions."""

from paretosearch.api.fronts import axes_of, chosen_recipe, load_front, open_study
from paretosearch.api.launching import Launched, launch
from paretosearch.api.training import train

__all__ = ["Launched", "axes_of", "chosen_recipe", "launch", "load_front", "open_study", "train"]
