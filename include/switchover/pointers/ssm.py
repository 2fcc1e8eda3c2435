"""A parameter of Systems Manager's Parameter Store whose value is the live arm's place (a name, a URL, a flag).

There is no compare-and-set: the newest put wins. Parameter Store counts versions, so a write that went over
somebody else's is noticed, after the fact. The epoch is a tag: readers get the bare value.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from switchover.edge.aws_calls import ACCOUNT, Declined, Service, distinct, epoch_in, epoch_tag, place_of, service
from switchover.edge.edge import Edge
from switchover.errors import BadInput, PointerConflict
from switchover.pointers.base import Capabilities, Change, EpochCheck, Pointer, PointerSpec, Reading, arm_of

Value = Annotated[str, Field(min_length=1, max_length=4096)]


class SsmSpec(PointerSpec):
    """A parameter of Systems Manager's Parameter Store whose value is the live arm's place."""

    kind: Literal["ssm"]
    parameter: str = Field(
        pattern=r"^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", max_length=900, description="Name of the `String` parameter."
    )
    account: str = Field(pattern=ACCOUNT, description="The AWS account that holds the parameter: 12 digits.")
    targets: Annotated[dict[str, Value], AfterValidator(distinct)] = Field(
        min_length=2, description="The parameter's value for each arm."
    )

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        where = f"parameter {self.parameter!r} of account {self.account}"
        store = service(edge, "ssm", self.connection, where=where)
        return SsmPointer(service=store, name=self.parameter, account=self.account, targets=self.targets)


class SsmPointer(Pointer):
    """The parameter ``name`` of one account and region; ``targets``: arm to value."""

    def __init__(self, *, service: Service, name: str, account: str, targets: Mapping[str, str]) -> None:
        self._service = service
        self._name = name
        self._account = account
        self._targets = targets
        self.key = f"ssm:{service.region}:{account}:{name}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=False,
            fencing=EpochCheck.BEFORE_THE_WRITE,
            propagation="when readers ask again: a cached parameter is as old as the cache",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        try:
            found = self._get(self._name)
            tags = self._service.call(
                "list_tags_for_resource",
                ResourceType="Parameter",
                ResourceId=self._name,
                expect=("InvalidResourceId",),
            )
        except Declined:
            return Reading(target=None)
        return Reading(
            target=arm_of(self._targets, found["Value"]),
            version=int(found["Version"]),
            epoch=epoch_in(tags.get("TagList", ()), where=self.key),
        )

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. A parameter knows nothing of the arms: the plan's ``index`` is what is checked."""
        place_of(self._targets, target, where=self.key)

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`. Without a type the put changes a parameter, and never makes one.

        Raises
            PointerConflict  somebody else's value was overwritten; the message shows it
        """
        value = place_of(self._targets, change.after, where=self.key)
        try:
            if now.epoch != change.epoch:
                self._tag(change.epoch)
        except Declined:
            return False
        written = self._service.call("put_parameter", Name=self._name, Value=value, Overwrite=True)
        if written["Version"] != (now.version or 0) + 1:
            self._refuse_overwritten(int(written["Version"]), change)
        return True

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        now = self.read()
        if now.target is not None and (now.epoch is None or now.epoch < epoch):
            with contextlib.suppress(Declined):
                self._tag(epoch)

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`. A new name each time: a deleted one cannot be made again for half a minute."""
        name = f"{self._name}__rehearsal-{secrets.token_hex(4)}"
        value = place_of(self._targets, target, where=self.key)
        self._service.call("put_parameter", Name=name, Value=value, Type="String", Overwrite=False)
        try:
            yield SsmPointer(service=self._service, name=name, account=self._account, targets=self._targets)
        finally:
            with contextlib.suppress(Declined):
                self._service.call("delete_parameter", Name=name, expect=("ParameterNotFound",))

    def _get(self, name: str) -> Mapping[str, Any]:
        """One parameter, of the right account and type; ``Declined`` when there is none."""
        answer = self._service.call(
            "get_parameter", Name=name, expect=("ParameterNotFound", "ParameterVersionNotFound")
        )
        found: Mapping[str, Any] = answer["Parameter"]
        account = found["ARN"].split(":")[4]
        if account != self._account:
            raise BadInput(f"{self.key}: the connection is for account {account}; allowed: {self._account}")
        if found["Type"] != "String":
            raise BadInput(f"{self.key}: is a {found['Type']}; allowed: a String")
        return found

    def _tag(self, epoch: int) -> None:
        """Keep the epoch; ``Declined`` when the parameter is gone."""
        self._service.call(
            "add_tags_to_resource",
            ResourceType="Parameter",
            ResourceId=self._name,
            Tags=[epoch_tag(epoch)],
            expect=("InvalidResourceId",),
        )

    def _refuse_overwritten(self, version: int, change: Change) -> None:
        """Tell when another value than the two of this change stood there in between."""
        try:
            lost = arm_of(self._targets, self._get(f"{self._name}:{version - 1}")["Value"])
        except Declined:
            lost = "nothing"
        if lost not in (change.before, change.after):
            raise PointerConflict(
                f"{self.key}: expected {change.before!r}, and overwrote {lost!r} (version {version - 1}), which"
                f" somebody else wrote at the same moment; it is on {change.after!r} now: put right by hand"
            )
