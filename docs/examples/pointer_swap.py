"""Move a pointer of any kind: here a key in PostgreSQL that a reader resolves at the start of each request.

Needs: a ``postgres`` connection named ``config_db`` with the table of docs/pointers/kv.md.
"""

from airflow.sdk import DAG

from switchover_airflow.operators.pointer import PointerSwapOperator

with DAG("example_pointer_swap", schedule=None, tags=["example"]):
    PointerSwapOperator(
        task_id="swap",
        pointer={"kind": "kv_sql", "connection": "config_db", "key": "docs"},
        expect="docs_v1",
        to="docs_v2",
    )
