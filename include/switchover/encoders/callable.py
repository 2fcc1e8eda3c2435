"""Encoders that are a function of somebody else's package; see docs/encoders.md for two that are written out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.functions import FunctionName, function_of
from switchover.encoders.base import Encoder
from switchover.encoders.outside import OutsideEncoder, OutsideSpec, Reads
from switchover.errors import BadInput, SwitchoverError
from switchover.text import first_line


class CallableSpec(OutsideSpec):
    """A function of a package that the deployment allows (`SWITCHOVER_FUNCTIONS`)."""

    kind: Literal["callable"]
    function: FunctionName = Field(description="`module:function`: takes a list of texts, returns a vector for each.")

    def build(self, edge: Edge) -> Encoder:
        """See :class:`EncoderSpec`. The function is imported at the first text."""
        return CallableEncoder(self)


class CallableEncoder(OutsideEncoder):
    """Calls ``function(texts)``, or ``function(texts, input_type)`` where the plan gives an input type."""

    def __init__(self, spec: CallableSpec) -> None:
        super().__init__(spec)
        self._name = spec.function

    @functools.cached_property
    def _function(self) -> Callable[..., Any]:
        return function_of(self._name, key=f"{self._what}: function")

    def call(self, texts: Sequence[str], how: Reads) -> Any:
        """See :class:`OutsideEncoder`. Whatever the function raises is one line."""
        function, more = self._function, [] if how.input_type is None else [how.input_type]
        try:
            return function(list(texts), *more)
        except SwitchoverError:
            raise
        except Exception as error:  # somebody else's code may raise anything
            raise BadInput(f"{self._what}: {self._name}: {type(error).__name__}: {first_line(error)}") from error
