"""moto's server with Route 53's own rule for a change batch: ``moto_corrected.py --port N --data DIR``.

moto 5.2 looks for a deleted record in the journal of everything that was ever created, and refuses to create
what was created before: so a stale delete passes, and the second move back is refused (test_route53.py shows
both). Here a batch is judged as AWS documents it: a DELETE must name the record exactly as it stands, a CREATE
must find none, and all changes of a batch are made or none. Changes in a zone whose name begins with ``slow.``
are PENDING when they are first asked for. This is our reading of the documentation, not AWS.

Signatures are not checked: moto cannot verify that of a GET without a body. Rights are, where a test asks for it.
"""

from __future__ import annotations

import threading
from collections import Counter
from itertools import count
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.access_control import IAMRequest
from moto.route53.exceptions import Route53ClientError
from moto.route53.models import RecordSet, Route53Backend
from moto.route53.responses import Route53

from sandbox.servers import moto_process

LOCK = threading.Lock()
NUMBERS = count(1)
LOOKS: Counter[str] = Counter()


def change_resource_record_sets(self: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]) -> None:
    """All changes, or none."""
    zone = self.get_hosted_zone(zoneid)
    with LOCK:
        records = list(zone.rrsets)
        for change in change_list:
            given = record_set(change["ResourceRecordSet"])
            standing = next((each for each in records if identity(each) == identity(given)), None)
            if change["Action"] == "CREATE" and standing is not None:
                raise refused("create", given, "but it already exists")
            if change["Action"] == "DELETE" and standing is None:
                raise refused("delete", given, "but it was not found")
            if change["Action"] == "DELETE" and content(standing) != content(given):
                raise refused("delete", given, "but the values provided do not match the current values")
            if standing is not None:
                records.remove(standing)
            if change["Action"] != "DELETE":
                if any(each.name == given.name and "CNAME" in (each.type, given.type) for each in records):
                    raise refused("create", given, "but a conflicting record of this name already exists")
                records.append(given)
        zone.rrsets = records


def record_set(given: dict[str, Any]) -> RecordSet:
    """A record as moto keeps it."""
    values = [value["Value"] for value in given.get("ResourceRecords", ())]
    return RecordSet({**given, "Name": given["Name"].rstrip(".").lower() + ".", "ResourceRecords": values})


def identity(record: RecordSet) -> tuple[Any, ...]:
    """What may exist once in a zone."""
    return record.name, record.type, record.set_identifier


def content(record: Any) -> tuple[Any, ...]:
    """What a DELETE must give exactly."""
    return int(record.ttl or 0), sorted(record.records), record.alias_target, record.health_check_id


def refused(verb: str, record: RecordSet, why: str) -> Route53ClientError:
    """In the words of AWS."""
    text = f"[Tried to {verb} resource record set [name='{record.name}', type='{record.type}'] {why}]"
    return Route53ClientError("InvalidChangeBatch", text)


def answer_change(self: Route53) -> ActionResult:
    """Each change has its own id, which tells whether it will be slow."""
    zone = self._get_param("HostedZoneId")
    self.backend.change_resource_record_sets(zone, self._get_param("ChangeBatch.Changes"))
    slow = self.backend.get_hosted_zone(zone).name.startswith("slow.")
    return change_info(f"{'SLOW' if slow else 'C'}{next(NUMBERS)}")


def answer_status(self: Route53) -> ActionResult:
    """The status of one change."""
    return change_info(self._get_param("Id").rpartition("/")[2])


def change_info(id: str) -> ActionResult:
    """Everything that AWS tells of a change."""
    LOOKS[id] += 1
    status = "PENDING" if id.startswith("SLOW") and LOOKS[id] <= 2 else "INSYNC"
    return ActionResult(
        {"ChangeInfo": {"Id": f"/change/{id}", "Status": status, "SubmittedAt": "2026-01-01T00:00:00Z"}}
    )


if __name__ == "__main__":
    Route53Backend.change_resource_record_sets = change_resource_record_sets
    Route53.change_resource_record_sets = answer_change
    Route53.get_change = answer_status
    IAMRequest.check_signature = lambda self: None
    moto_process.main()
