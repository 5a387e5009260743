"""Why a network stays here."""

from paretosearch.errors import ParetosearchError


class NotPortableError(ParetosearchError):
    """The network cannot be written down for other programs; the message goes on after ``is left out: ``."""
