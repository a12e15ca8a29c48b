"""The exceptions of the product.

WindtunnelError
 |- InputError               bad input of a user; the command line ends with exit code 2
 |   `- RefusedError         a request to the twins that changed nothing, with the code of HTTP
 |- MissingEnvironmentError  something the machine lacks, with the line that installs it; exit code 4
 |- ConservationError        the message ledger of a run does not add up: a defect of ours
 `- LimitError               a named bound of a run was hit
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class WindtunnelError(Exception):
    """Base of every error that is shown to a user without a traceback."""

    def __reduce__(self) -> tuple[Any, ...]:
        """So that a worker process can tell it, whatever arguments the class is made with."""
        return _restored, (type(self), self.args, self.__dict__)


class InputError(WindtunnelError):
    """Bad input: the message says what was wrong, what was expected and the nearest valid name."""


class MissingEnvironmentError(WindtunnelError):
    """The machine lacks something; the message ends with the line that installs it."""


class ConservationError(WindtunnelError):
    """Messages sent do not equal messages delivered, lost, expired and queued."""


class LimitError(WindtunnelError):
    """A bound on events, observations or time was hit; the message names the bound."""


class RefusedError(InputError):
    """A request to the twins that is refused and changed nothing; `code` is that of HTTP."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def _restored(
    kind: type[WindtunnelError], args: tuple[Any, ...], fields: Mapping[str, Any]
) -> WindtunnelError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error
