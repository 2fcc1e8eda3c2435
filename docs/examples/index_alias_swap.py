"""Move an index alias from the old index to the one that was built last night.

Needs: an ``opensearch`` connection named ``search``. The alias ``docs`` must be on ``docs_v1`` now.
"""

from airflow.sdk import DAG

from switchover_airflow.operators.pointer import IndexAliasSwapOperator

with DAG("example_index_alias_swap", schedule=None, tags=["example"]):
    IndexAliasSwapOperator(
        task_id="swap",
        store="opensearch",
        conn_id="search",
        alias="docs",
        expect="docs_v1",
        to="docs_v2",
    )
