"""The errors that paretosearch raises on purpose.

    ParetosearchError                 exit code
    ├── UsageError                    2   a command line or call that cannot be meant
    │   └── StoreError                2   a database that cannot be opened or written
    │       └── StoreAwayError        69  one that does not answer now, and may do so again
    ├── StudyFileError                3   a study file that is wrong
    ├── RecipeError                   3   a Recipe that cannot be trained by anybody
    │   └── SurgeryError              3   a change of shape that the network does not allow
    ├── DataError                     4   a data set that is not to be had
    ├── DeviceError                   5   no device here can do what is asked
    ├── DivergedError                 1   a training whose loss left the finite numbers
    └── LockedError                   75  somebody else holds the study or the device

Each message is one line: what was wrong, the value, what is allowed, what to do.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

#: A message that lists more names than this is no longer one that somebody reads.
MOST_NAMES = 24


class ParetosearchError(Exception):
    """Base of every error whose message is meant for the user."""

    exit_code = 1


class UsageError(ParetosearchError):
    """The command or call cannot be meant as it stands."""

    exit_code = 2


class StoreError(UsageError):
    """The database cannot be opened, read or written."""


class StoreAwayError(StoreError):
    """The database does not answer, is in somebody else's hands, or has no room; the call may be repeated."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h


class StudyFileError(ParetosearchError):
    """The study file, or the space it describes, is wrong."""

    exit_code = 3


class RecipeError(ParetosearchError):
    """No device could train this Recipe.

    Attributes:
        key: The field or ``method.parameter`` that it is about; empty where nobody has said.
    """

    exit_code = 3
    key = ""


class SurgeryError(RecipeError):
    """The network does not allow this change of shape."""


class DataError(ParetosearchError):
    """The data set is missing, damaged or unusable."""

    exit_code = 4


class DeviceError(ParetosearchError):
    """No device here can do what is asked."""

    exit_code = 5


class DivergedError(ParetosearchError):
    """The training's loss or weights left the finite numbers."""


class LockedError(ParetosearchError):
    """Another process holds the study or the device."""

    exit_code = 75


@contextmanager
def about(key: str) -> Iterator[None]:
    """Note what a RecipeError is about that is raised inside, unless it is known more closely."""
    try:
        yield
    except RecipeError as error:
        error.key = error.key or key
        raise


def suggest(name: str, allowed: Iterable[str]) -> str:
    """End a message with the nearest allowed name, or with all of them.

    Args:
        name: What was written.
        allowed: What may be written, in the order to show it.

    Returns:
        `` (did you mean 'x'?)`` or `` (allowed: a, b, c)``.
    """
    names = list(allowed)
    near = get_close_matches(name, names, n=1)
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f" (did you mean {near[0]!r}?)" if near else f" (allowed: {', '.join(names[:MOST_NAMES])}{rest})"
