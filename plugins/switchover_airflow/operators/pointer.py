"""Move a pointer in any DAG: no plan, no ledger. Compare-and-set from the arm that is expected.

Without a ledger there is no lease: a pointer that a switchover may move at the same time belongs into a plan.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from airflow.sdk import BaseOperator, Context

from switchover.pointers import Change
from switchover.steps.move import move, pointer_spec
from switchover_airflow.connections import airflow_edge
from switchover_airflow.links import PointerLink
from switchover_airflow.operators.base import RETRY_POLICY, text, yes


class SwapOperator(BaseOperator):
    """Base of the operators that move one pointer from ``expect`` to ``to``.

    At ``to`` already is a success that changes nothing; on any other arm than ``expect`` the task fails and
    nothing is changed. A store that does not answer is read back and asked again.

    :param expect: the arm that must be live now (templated)
    :param to: the arm to move to (templated)
    :param dry: only say what would change (templated; true values: True, "true", "1")
    :param converge_s: seconds until the store must serve ``to`` everywhere
    """

    template_fields: Collection[str] = ("expect", "to", "dry")
    ui_color = "#e8f0fe"
    operator_extra_links = (PointerLink(),)

    def __init__(self, *, expect: str, to: str, dry: bool | str = False, converge_s: float = 30, **kwargs: Any) -> None:
        super().__init__(**{"retries": 2, "retry_policy": RETRY_POLICY, **kwargs})
        self.expect = expect
        self.to = to
        self.dry = dry
        self.converge_s = converge_s

    @abstractmethod
    def pointer_values(self) -> Mapping[str, Any]:
        """The keys of a plan's ``pointer`` part."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns what was done: pointer, before, after, changed, version, epoch, seconds."""
        edge = airflow_edge()
        actor = f"airflow task {self.task_id}"
        expect, to = text("expect", self.expect), text("to", self.to)
        try:
            pointer = pointer_spec(self.pointer_values()).build(edge)
            self.pointer_url = pointer.link
            if yes(self.dry):
                change = Change(before=expect, after=to, epoch=pointer.read().epoch or 0, actor=actor)
                line = pointer.plan(change)
                self.log.info("dry run: %s", line)
                return {"pointer": pointer.key, "changed": False, "plan": line}
            moved = move(pointer, expect=expect, to=to, actor=actor, converge_s=self.converge_s)
        finally:
            edge.close()
        self.log.info("%s", moved.line)
        return moved.to_json()


class PointerSwapOperator(SwapOperator):
    """Move a pointer of any kind.

    :param pointer: the keys of a plan's ``pointer`` part, ``kind`` first (templated); see docs/plan.md
    """

    template_fields: Collection[str] = ("pointer", *SwapOperator.template_fields)

    def __init__(self, *, pointer: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pointer = pointer

    def pointer_values(self) -> Mapping[str, Any]:
        """As given."""
        return self.pointer


class IndexAliasSwapOperator(SwapOperator):
    """Move an index alias; the arms are the names of the indexes (collections, tables).

    :param store: ``opensearch``, ``elasticsearch``, ``qdrant``, ``milvus``, ``weaviate`` or ``pgvector``
    :param conn_id: connection of the store (templated)
    :param alias: name of the alias (templated)
    """

    template_fields: Collection[str] = ("conn_id", "alias", *SwapOperator.template_fields)

    def __init__(self, *, store: str, conn_id: str, alias: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = store
        self.conn_id = conn_id
        self.alias = alias

    def pointer_values(self) -> Mapping[str, Any]:
        """See :class:`SwapOperator`."""
        return {"kind": self.store, "connection": self.conn_id, "alias": self.alias}


class AlbSwapOperator(SwapOperator):
    """Move an ALB's listener or rule between two target groups, whole, weights 100 and 0.

    :param aws_conn_id: connection of the amazon provider (templated)
    :param targets: arm -> ARN of its target group (templated)
    :param listener_arn: the listener whose default action is moved (templated); or
    :param rule_arn: the rule that is moved (templated)
    """

    template_fields: Collection[str] = (
        "aws_conn_id",
        "targets",
        "listener_arn",
        "rule_arn",
        *SwapOperator.template_fields,
    )

    def __init__(
        self,
        *,
        aws_conn_id: str,
        targets: Mapping[str, str],
        listener_arn: str | None = None,
        rule_arn: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.targets = targets
        self.listener_arn = listener_arn
        self.rule_arn = rule_arn

    def pointer_values(self) -> Mapping[str, Any]:
        """See :class:`SwapOperator`."""
        which = {"listener_arn": self.listener_arn, "rule_arn": self.rule_arn}
        return {
            "kind": "alb",
            "connection": self.aws_conn_id,
            "targets": self.targets,
            **{name: arn for name, arn in which.items() if arn},
        }


class ServiceSelectorSwapOperator(SwapOperator):
    """Move a Kubernetes Service's selector.

    :param kubernetes_conn_id: connection of the cncf-kubernetes provider (templated)
    :param namespace: the Service's namespace (templated)
    :param service: the Service's name (templated)
    :param selectors: arm -> labels of its pods (templated)
    """

    template_fields: Collection[str] = (
        "kubernetes_conn_id",
        "namespace",
        "service",
        "selectors",
        *SwapOperator.template_fields,
    )

    def __init__(
        self,
        *,
        kubernetes_conn_id: str,
        namespace: str,
        service: str,
        selectors: Mapping[str, Mapping[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kubernetes_conn_id = kubernetes_conn_id
        self.namespace = namespace
        self.service = service
        self.selectors = selectors

    def pointer_values(self) -> Mapping[str, Any]:
        """See :class:`SwapOperator`."""
        return {
            "kind": "k8s_service",
            "connection": self.kubernetes_conn_id,
            "namespace": self.namespace,
            "service": self.service,
            "targets": self.selectors,
        }
