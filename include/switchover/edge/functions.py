"""A plan may name a function, ``module:name``; it is called only where the deployment has named its package.

A plan's author may be somebody who must not run code here. So no package is allowed until the operator of Switchover
writes it into the environment variable ``SWITCHOVER_FUNCTIONS``: ``my_search,my_models.encoders``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from switchover.errors import BadInput
from switchover.text import first_line

ALLOWED = "SWITCHOVER_FUNCTIONS"
#: A key of a plan that names a function.
FunctionName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,200}:[A-Za-z_][A-Za-z0-9_]{0,200}$")]


def function_of(name: str, *, key: str, environ: Mapping[str, str] = os.environ) -> Callable[..., Any]:
    """The function ``module:name``, imported now. ``key`` is the plan's key that names it, for messages.

    ``BadInput`` when the deployment does not allow its package, or when there is none.
    """
    module, _, attribute = name.partition(":")
    allowed = [each.strip() for each in environ.get(ALLOWED, "").split(",") if each.strip()]
    if not any(module == each or module.startswith(f"{each}.") for each in allowed):
        raise BadInput(
            f"{key}: {name!r} may not be called; allowed: functions of the packages in {ALLOWED}"
            f" ({', '.join(allowed) or 'none is named'}). Whoever runs Switchover sets it"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module that is imported may raise anything
        raise BadInput(f"{key}: {name!r} cannot be imported: {type(error).__name__}: {first_line(error)}") from error
    if not callable(found):
        raise BadInput(f"{key}: {name!r} is no function; allowed: module:function")
    called: Callable[..., Any] = found
    return called
