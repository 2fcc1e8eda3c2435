"""A real Kafka: one process that is broker and controller."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

from sandbox.processes import ports
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient, Spec
from sandbox.servers import jvm
from sandbox.servers.base import Server, data_directory, lasting_port, launch

HEAP_MB = 256
_FORMAT_S = 60.0
# One broker holds everything once, and a group that is joined alone need not wait for others.
_SINGLE = """\
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
"""


def start_kafka(keeper: KeeperClient, *, env: Mapping[str, str] | None = None) -> Server:
    """Start it; clients use ``connection["extra"]`` as their configuration. Topics are not made by being used.

    Raises
        NotHere        there is no Java, or `make servers` has not fetched Kafka
        ServiceFailed  it did not start; the message ends with its log
    """
    java, lib = jvm.java("kafka"), jvm.fetched("kafka") / "lib"
    version = next(lib.glob("kafka_2*.jar")).stem.rpartition("-")[2]
    env = env if env is not None else base_environment()
    data = data_directory(keeper, "kafka")
    port, controller = lasting_port(), lasting_port()
    settings = data / "server.properties"
    settings.write_text(_settings(data / "log", port, controller))
    command = [java, *jvm.options(heap_mb=HEAP_MB), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{lib}/*"]
    if not (data / "log" / "meta.properties").exists():
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={_cluster_id()}", "--config", str(settings)]
        keeper.run(Spec(name="kafka-format", argv=[*command, *tool], env=env, cwd=str(data)), timeout=_FORMAT_S)
    return launch(
        keeper,
        name="kafka",
        port=port,
        argv=[*command, "kafka.Kafka", str(settings)],
        connection={"conn_type": "kafka", "extra": {"bootstrap.servers": f"{ports.HOST}:{port}"}},
        describe=f"Kafka {version}, real server",
        data=data,
        ready=_takes_requests(port),
        env=env,
    )


def _settings(log: Path, port: int, controller: int) -> str:
    return (
        "process.roles=broker,controller\n"
        "node.id=1\n"
        f"controller.quorum.voters=1@{ports.HOST}:{controller}\n"
        f"listeners=PLAINTEXT://{ports.HOST}:{port},CONTROLLER://{ports.HOST}:{controller}\n"
        "controller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        f"log.dirs={log}\n" + _SINGLE
    )


def _cluster_id() -> str:
    """16 random bytes in the letters that Kafka takes."""
    return urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")


def _takes_requests(port: int) -> Callable[[], bool]:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    def check() -> bool:
        if ports.is_free(port):
            return False
        # Its log lines would tell the driver's terminal what is normal here: that nobody answers yet.
        client = AdminClient({"bootstrap.servers": f"{ports.HOST}:{port}", "log_level": 0})
        try:
            return bool(client.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False

    return check
