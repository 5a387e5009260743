"""The values that a study file is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError, model_validator

from paretosearch.axis import Int
from paretosearch.errors import UsageError
from paretosearch.space import Genome, Space
from paretosearch.studyfile.source import Source
from paretosearch.studyfile.tables import Table, complaint

Sampler = Literal["nsga2", "nsga2-stock", "tpe", "gp", "random", "grid", "one-at-a-time"]
SAMPLERS: tuple[str, ...] = get_args(Sampler)

_POPULATION = Int(2, 10_000)


class Budget(Table):
    """When a search ends: at the first limit that is reached.

    Args:
        trials: Most Trials, failed ones among them; None for no limit.
        device_hours: Most hours of training, summed over the Devices; None for no limit.
    """

    trials: int | None = Field(default=None, ge=1, description="a whole number of at least 1")
    device_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")

    @model_validator(mode="after")
    def _is_limited(self) -> Budget:
        if self.trials is None and self.device_hours is None:
            raise ValueError("a search needs an end; set trials, device_hours or both")
        return self


class SearchOptions(Table):
    """Who asks.

    Args:
        sampler: Name of the sampler; ``grid`` asks for every Recipe of the space once, ``one-at-a-time`` for the one
            with the first value of every axis and for those that differ from it in one, and both end.
        population: Trials of the first design of ``nsga2`` and parents of its next child; trials in a generation of
            ``nsga2-stock``; the random start of the other samplers.
        stop_dominated: Whether a training ends early once even its best ending is dominated; None for the sampler's own
            way: only ``nsga2`` does.
        replicates: Repeats of every result that may be on the front, with other seeds, in the budget's last fifth of
            the hours, or behind its trials; 0 is none.
    """

    sampler: Sampler = Field(default="nsga2", description=f"one of {', '.join(SAMPLERS)}")
    population: int = Field(default=16, ge=_POPULATION.low, le=_POPULATION.high, description=str(_POPULATION))
    replicates: int = Field(default=0, ge=0, le=100, description="a whole number from 0 to 100")
    stop_dominated: bool | None = Field(default=None, description="true or false")

    @property
    def stops(self) -> bool:
        """Whether trainings end early."""
        return self.sampler == "nsga2" if self.stop_dominated is None else self.stop_dominated


class Hardware(Table):
    """On what.

    Args:
        reference: Class of device whose seconds the sampler sees, or any part of its name; None is that of the first
            Device of the first launch.
    """

    reference: str | None = Field(default=None, min_length=1, description="a class of device, or a part of its name")


@dataclass(frozen=True)
class StudyFile:
    """What to search, on what, for how long.

    Args:
        name: Name of the study in the store.
        dataset: Name of the data set, or ``folder:PATH`` with an absolute path.
        network: Name of the network.
        seed: Seed of the sampler and of every training.
        budget: When the search ends.
        search: Who asks.
        space: What varies, and the value of everything that does not.
        first: Genomes to train before the sampler is asked, by name.
        hardware: Whose seconds the sampler sees.
        keep_slow_formats: Whether to search number formats that are slower than fp32 on the device.
        text: The file, as it was read.
        path: Where it was read from, absolute.
    """

    name: str
    dataset: str
    network: str
    seed: int
    budget: Budget
    search: SearchOptions
    space: Space
    first: Mapping[str, Genome]
    hardware: Hardware
    keep_slow_formats: bool
    text: str
    path: Path

    @property
    def source(self) -> Source:
        """Its text and where that is from, for complaints."""
        return Source(self.path, self.text)

    def first_in(self, space: Space) -> list[Genome]:
        """Give the genomes of `first` that are in a space, which may be smaller than the file's."""
        return [genome for genome in self.first.values() if space.has(genome)]


def with_budget(study: StudyFile, trials: int | None = None, device_hours: float | None = None) -> StudyFile:
    """Change limits of a study's budget.

    Args:
        study: The study.
        trials: Most Trials; None leaves the file's.
        device_hours: Most hours of training; None leaves the file's.

    Returns:
        The study with the new budget.

    Raises:
        UsageError: If a limit is not above 0.
    """
    given = {"trials": trials, "device_hours": device_hours}
    limits = study.budget.model_dump() | {name: limit for name, limit in given.items() if limit is not None}
    try:
        return replace(study, budget=Budget.model_validate(limits))
    except ValidationError as error:
        path, message = complaint(error, Budget)
        raise UsageError(f"{'.'.join(path)}: {message}") from None
