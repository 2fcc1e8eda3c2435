"""A DNS record in Route 53, moved by one change batch that deletes exactly the record that was read.

Route 53 makes all changes of a batch or none, and refuses to delete a record that is not exactly as given: that
is the compare-and-set. The epoch and the number of moves stand in a TXT record beside it, replaced in the same
batch. DNS itself is slow: for a while some clients follow one arm and some the other (docs/pointers/route53.md).
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from switchover.edge.aws_calls import Declined, Service, distinct, place_of, service
from switchover.edge.edge import Edge
from switchover.errors import BadInput, PointerConflict
from switchover.pointers.base import (
    TRIES,
    Capabilities,
    Change,
    EpochCheck,
    Pointer,
    PointerSpec,
    Reading,
    not_of_a_rehearsal,
)

MAX_TTL_S = 30
NAME = r"^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z0-9-]{2,63}\.?$"
FENCE = re.compile(r'^"switchover epoch=(\d+) version=(\d+)"$')

Record = Mapping[str, Any]


class Route53Spec(PointerSpec):
    """A DNS record in Route 53."""

    kind: Literal["route53"]
    zone_id: str = Field(pattern=r"^[A-Z0-9]{1,32}$", description="Id of the hosted zone, public or private.")
    name: str = Field(pattern=NAME, max_length=200, description="Full name of the record.")
    type: Literal["CNAME", "A", "AAAA"] = Field(description="Type of the record; an alias record cannot be used.")
    targets: Annotated[dict[str, str], AfterValidator(distinct)] = Field(
        min_length=2, description="The record's one value for each arm: a name, or an address."
    )
    ttl: int = Field(10, ge=0, le=MAX_TTL_S, description="Seconds for which resolvers may keep the record.")
    accept_split_brain: str = Field(
        min_length=20,
        description="Consent, as a sentence in writing: for a while some clients use one arm and some the other.",
    )

    @model_validator(mode="after")
    def _values_fit(self) -> Route53Spec:
        for arm, value in self.targets.items():
            if not _fits(self.type, value):
                raise ValueError(f"targets.{arm}: found {value!r}; allowed: what a {self.type} record holds")
        return self

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        name = self.name.lower().rstrip(".")
        api = service(edge, "route53", self.connection, where=f"route53:{self.zone_id}/{name}")
        zone = Zone(service=api, id=self.zone_id)
        return Route53Pointer(zone=zone, name=name, type=self.type, targets=self.targets, ttl=self.ttl)


@dataclass(frozen=True, kw_only=True)
class Zone:
    """One hosted zone."""

    service: Service
    id: str

    def records(self, name: str, type: str) -> Sequence[Record]:
        """The first records from ``name`` and ``type`` on, in the zone's order."""
        try:
            answer = self.service.call(
                "list_resource_record_sets",
                HostedZoneId=self.id,
                StartRecordName=name,
                StartRecordType=type,
                MaxItems="10",
                expect=("NoSuchHostedZone",),
            )
        except Declined:
            raise BadInput(
                f"route53:{self.id}: there is no such hosted zone in the connection's account; correct zone_id"
            ) from None
        records: Sequence[Record] = answer["ResourceRecordSets"]
        return records

    def change(self, changes: Sequence[tuple[str, Record]], *, comment: str) -> str:
        """Make all changes, or none and raise ``Declined``; returns the id of the change."""
        batch = {
            "Comment": comment[:256],
            "Changes": [{"Action": action, "ResourceRecordSet": record} for action, record in changes],
        }
        answer = self.service.call(
            "change_resource_record_sets", HostedZoneId=self.id, ChangeBatch=batch, expect=("InvalidChangeBatch",)
        )
        return str(answer["ChangeInfo"]["Id"])

    def in_sync(self, change: str) -> bool:
        """Whether every name server of Route 53 has the change."""
        return bool(self.service.call("get_change", Id=change)["ChangeInfo"]["Status"] == "INSYNC")


class Route53Pointer(Pointer):
    """The record ``name`` of a zone; ``targets``: arm to value; ``ttl`` in seconds."""

    def __init__(self, *, zone: Zone, name: str, type: str, targets: Mapping[str, str], ttl: int) -> None:
        self._zone = zone
        self._name = name
        self._type = type
        self._targets = targets
        self._ttl = ttl
        self._pending: str | None = None
        self.key = f"route53:{zone.id}/{name}/{type}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=True,
            fencing=EpochCheck.WITH_THE_WRITE,
            propagation=f"Route 53's own servers, about a minute; then resolvers' caches, {MAX_TTL_S} s or longer",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`. What Route 53 is told to serve; ``verify`` says whether it does."""
        fence_name = f"_switchover.{self._name}"
        records = self._zone.records(self._name, self._type)
        live = _find(records, self._name, self._type)
        fence = _find(records, fence_name, "TXT") or _find(self._zone.records(fence_name, "TXT"), fence_name, "TXT")
        epoch, version = self._fenced(fence)
        target = None if live is None else self._arm(live)
        return Reading(target=target, version=version, epoch=epoch, token=(live, fence))

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. DNS knows nothing of the arms: the plan's ``index`` is what is checked."""
        place_of(self._targets, target, where=self.key)

    def plan(self, change: Change) -> str:
        """See :class:`Pointer`."""
        self._refuse_long_ttl(self.read())
        return super().plan(change)

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        live, fence = now.token
        new = {**live, **self._record(place_of(self._targets, change.after, where=self.key))}
        if not now.version:  # a record that was moved before has our TTL; who raised it since must not bar the way back
            self._refuse_long_ttl(now)
        changes = [("DELETE", live), ("CREATE", new), *self._fencing(fence, change.epoch, (now.version or 0) + 1)]
        try:
            self._pending = self._zone.change(changes, comment=f"switchover to {change.after} by {change.actor}")
        except Declined as declined:
            if self.read().token == now.token:
                raise BadInput(f"{self.key}: Route 53 refuses the change: {declined}; nothing was changed") from None
            return False
        return True

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        for _ in range(TRIES):
            now = self.read()
            if now.target is None or (now.epoch is not None and now.epoch >= epoch):
                return
            with contextlib.suppress(Declined):
                self._zone.change(self._fencing(now.token[1], epoch, now.version or 0), comment="switchover fence")
                return
        raise PointerConflict(f"{self.key}: something else writes to its fence all the time ({TRIES} tries)")

    def behind(self, target: str) -> str:
        """See :class:`Pointer`. The record, and our own last change on all of Route 53's servers."""
        if why := super().behind(target):
            return why
        if self._pending is not None and self._zone.in_sync(self._pending):
            self._pending = None
        return "" if self._pending is None else f"change {self._pending} has not reached every server of Route 53"

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`. A record below the real one; its TTL is what the real one has after a flip."""
        self._refuse_long_ttl(self.read())
        name = f"rehearsal-switchover.{self._name}"
        value = place_of(self._targets, target, where=self.key)
        shadow = Route53Pointer(zone=self._zone, name=name, type=self._type, targets=self._targets, ttl=self._ttl)
        live, fence = shadow.read().token
        if live is not None and fence is None:  # a rehearsal's own has its fence from the beginning
            raise not_of_a_rehearsal(self.key, f"record {name!r}")
        shadow.remove()
        made = [("CREATE", shadow._record(value)), *shadow._fencing(None, 0, 0)]
        self._zone.change(made, comment="switchover rehearsal")
        try:
            yield shadow
        finally:
            shadow.remove()

    def remove(self) -> None:
        """Delete the record and its fence; no error when there is none."""
        found = [record for record in self.read().token if record is not None]
        if found:
            self._zone.change([("DELETE", record) for record in found], comment="switchover rehearsal ends")

    def _record(self, value: str) -> Record:
        return {"Name": self._name, "Type": self._type, "TTL": self._ttl, "ResourceRecords": [{"Value": value}]}

    def _fencing(self, found: Record | None, epoch: int, version: int) -> list[tuple[str, Record]]:
        text = f'"switchover epoch={epoch} version={version}"'
        new = {"Name": f"_switchover.{self._name}", "Type": "TXT", "TTL": MAX_TTL_S}
        old = [("DELETE", found)] if found is not None else []
        return [*old, ("CREATE", {**new, "ResourceRecords": [{"Value": text}]})]

    def _fenced(self, record: Record | None) -> tuple[int | None, int]:
        if record is None:
            return None, 0
        values = [value["Value"] for value in record.get("ResourceRecords", ())]
        match = FENCE.match(values[0]) if len(values) == 1 else None
        if match is None:
            raise BadInput(
                f"{self.key}: TXT record _switchover.{self._name}: found {str(values)[:80]};"
                ' allowed: "switchover epoch=N version=N"'
            )
        return int(match[1]), int(match[2])

    def _arm(self, record: Record) -> str:
        if "AliasTarget" in record:
            raise BadInput(f"{self.key}: is an alias record, whose TTL cannot be set; allowed: a plain {self._type}")
        if "SetIdentifier" in record:
            raise BadInput(f"{self.key}: has a routing policy; allowed: one plain {self._type} record of this name")
        values = [_normal(self._type, value["Value"]) for value in record["ResourceRecords"]]
        for arm, place in self._targets.items():
            if values == [_normal(self._type, place)]:
                return arm
        return " and ".join(values)

    def _refuse_long_ttl(self, now: Reading) -> None:
        ttl = 0 if now.token[0] is None else int(now.token[0]["TTL"])
        if ttl > MAX_TTL_S:
            raise BadInput(
                f"{self.key}: found TTL {ttl} s; allowed: up to {MAX_TTL_S} s:"
                f" lower it and wait {ttl} s, until no resolver keeps the old one; nothing was changed"
            )


def _find(records: Sequence[Record], name: str, type: str) -> Record | None:
    return next((r for r in records if r["Name"].lower().rstrip(".") == name and r["Type"] == type), None)


def _fits(type: str, value: str) -> bool:
    if type == "CNAME":
        return re.match(NAME, value) is not None
    try:
        return bool(_normal(type, value))
    except ValueError:
        return False


def _normal(type: str, value: str) -> str:
    """A value in the one form in which equal ones are equal; ``ValueError`` if it is no address."""
    if type == "CNAME":
        return value.lower().rstrip(".")
    return str(ipaddress.IPv4Address(value) if type == "A" else ipaddress.IPv6Address(value))
