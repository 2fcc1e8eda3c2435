"""Move a Kubernetes Service from Blue's pods to Green's, and wait until only Green is behind it.

Needs: a ``kubernetes`` connection named ``kubernetes_default`` with the role of docs/pointers/k8s_service.md.
"""

from airflow.sdk import DAG

from switchover_airflow.operators.pointer import ServiceSelectorSwapOperator

with DAG("example_service_selector_swap", schedule=None, tags=["example"]):
    ServiceSelectorSwapOperator(
        task_id="swap",
        kubernetes_conn_id="kubernetes_default",
        namespace="search",
        service="docs",
        selectors={"blue": {"app": "docs", "arm": "blue"}, "green": {"app": "docs", "arm": "green"}},
        expect="blue",
        to="green",
        converge_s=120,
    )
