"""Reads study files."""

from paretosearch.studyfile.changes import differences, narrowed
from paretosearch.studyfile.reading import load, shipped
from paretosearch.studyfile.values import SAMPLERS, Budget, SearchOptions, StudyFile, with_budget

__all__ = [
    "SAMPLERS",
    "Budget",
    "SearchOptions",
    "StudyFile",
    "differences",
    "load",
    "narrowed",
    "shipped",
    "with_budget",
]
