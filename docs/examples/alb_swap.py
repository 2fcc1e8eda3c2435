"""Move an Application Load Balancer's listener from Blue's target group to Green's.

Needs: an ``aws`` connection named ``aws_default`` with the rights of docs/pointers/alb.md.
"""

from airflow.sdk import DAG, Param

from switchover_airflow.operators.pointer import AlbSwapOperator

ELB = "arn:aws:elasticloadbalancing:eu-central-1:111122223333"

with DAG(
    "example_alb_swap",
    schedule=None,
    tags=["example"],
    params={"dry": Param(True, type="boolean", title="Only say what would change")},
):
    AlbSwapOperator(
        task_id="swap",
        aws_conn_id="aws_default",
        listener_arn=f"{ELB}:listener/app/search/50dc6c495c0c9188/f2f7dc8efc522ab2",
        targets={
            "blue": f"{ELB}:targetgroup/search-blue/73e2d6bc24d8a067",
            "green": f"{ELB}:targetgroup/search-green/8ca2d6bc24d8a123",
        },
        expect="blue",
        to="green",
        dry="{{ params.dry }}",
    )
