"""Apache Kafka: a broker that is there already, or nodes started from the published jars.

`Kafka` is what every test may use. A `Broker` is one node, a `Cluster` three; whoever
has one of these to itself may stop, kill and freeze nodes as well.
"""

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from tests.services.process import Service, free_port
from tests.services.wanted import NotHere

JAVA_WANTED = 17
HOW_TO_GET_ONE = (
    "install Java 17 and Maven (Debian: apt-get install default-jre-headless maven), "
    "or set LEADLEDGER_TEST_KAFKA=HOST:PORT"
)
SMALL = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # starts soonest
FOR_SPEED = ("-Xms1g", "-Xmx1g")  # what a benchmark wants
_HERE = Path(__file__).parent / "kafka"


def jars() -> Path:
    """The folder of a broker's jars; fetched when asked for the first time on a machine.

    Raises:
        NotHere: Java or Maven is missing, or Maven got nothing.
    """
    if _java_version() < JAVA_WANTED:
        raise _no_broker(f"there is no Java from {JAVA_WANTED} on")
    pom = _HERE / "pom.xml"
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leadledger"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"kafka-{digest}"
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(pom, folder)
    return folder


def _no_broker(why: str) -> NotHere:
    return NotHere(f"no Apache Kafka for the tests: {why}; {HOW_TO_GET_ONE}")


def _java_version() -> int:
    java = Path(os.environ.get("JAVA_HOME", ""), "bin", "java")
    try:
        command = [java if java.is_absolute() else "java", "-version"]
        said = subprocess.run(command, capture_output=True, text=True).stderr
    except FileNotFoundError:
        return 0
    version = re.search(r'version "(\d+)', said)
    return int(version[1]) if version else 0


def _fetch(pom: Path, folder: Path) -> None:
    if not shutil.which("mvn"):
        raise _no_broker("there is no Maven to fetch its jars with")
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        got = Path(unfinished, "jars")
        command = ["mvn", "-B", "-q", "--strict-checksums", "-f", pom]
        command += ["dependency:copy-dependencies", f"-DoutputDirectory={got}"]
        outcome = subprocess.run(
            [*command, "-DincludeScope=runtime"], capture_output=True, text=True, cwd=unfinished
        )
        if outcome.returncode:
            last = outcome.stdout.strip().splitlines()[-5:]
            raise _no_broker(" ".join(["Maven could not fetch its jars:", *last]))
        got.rename(folder)


class Kafka:
    """Brokers that serve at an address; `servers` is what clients call bootstrap servers."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self._topics: list[str] = []

    def admin(self) -> KafkaAdminClient:
        """A client for what no method here does; the caller closes it."""
        return KafkaAdminClient(bootstrap_servers=self.servers.split(","))

    def new_topic(self, partitions: int = 4, **settings: object) -> str:
        """Make a topic that nobody else has; settings as `retention_ms=1000`.

        It is there on every partition's leader when this returns.
        """
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.create_topic(name, partitions, **settings)
        return name

    def create_topic(self, name: str, partitions: int = 4, **settings: object) -> None:
        """Make a topic of this name, as one does who makes a deleted one anew."""
        configs = {key.replace("_", "."): str(value) for key, value in settings.items()}
        with closing(self.admin()) as admin:
            wanted = {name: {"num_partitions": partitions, "configs": configs}}
            admin.create_topics(wanted, wait_for_metadata=True)
        self._topics.append(name)

    def messages(self, topic: str) -> list[Any]:
        """All that a topic holds, by partition and offset."""
        with closing(KafkaConsumer(bootstrap_servers=self.servers.split(","))) as consumer:
            places = [TopicPartition(topic, one) for one in consumer.partitions_for_topic(topic)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            found: list[Any] = []
            while any(consumer.position(one) < end for one, end in ends.items()):
                for records in consumer.poll(timeout_ms=500).values():
                    found += records
        return sorted(found, key=lambda one: (one.partition, one.offset))

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        with closing(self.admin()) as admin:
            admin.delete_topics([name])
        self._topics.remove(name)

    def delete_topics(self) -> None:
        """Delete all that were made through this handle."""
        if self._topics:
            with closing(self.admin()) as admin:
                admin.delete_topics(self._topics, raise_errors=False)
            self._topics.clear()


class Node(Service):
    """One KRaft node, broker and controller in one process."""

    serving = "Kafka Server started"

    def __init__(self, folder: Path, jars: Path, java: tuple[str, ...] = SMALL) -> None:
        super().__init__(folder)
        self._jars = jars
        self._java = java

    def command(self) -> list[str | Path]:
        """The start script, with the id that the cluster's storage bears."""
        cluster = json.loads((self.folder / "cluster.json").read_text())["id"]
        return [_HERE / "start", self._jars, self.folder, cluster, *self._java]


class Broker(Node, Kafka):
    """A node that is a cluster of its own."""

    def __init__(self, folder: Path, jars: Path, java: tuple[str, ...] = SMALL) -> None:
        Node.__init__(self, folder, jars, java)
        Kafka.__init__(self, _laid_out([folder]))


class Cluster(Kafka):
    """Three nodes; topics have three replicas, and a write is acknowledged by two.

    A node that is killed is noticed after three seconds.
    """

    def __init__(self, folder: Path, jars: Path, java: tuple[str, ...] = SMALL) -> None:
        folder.mkdir(exist_ok=True)
        self.nodes = [Node(folder / f"node-{number}", jars, java) for number in (1, 2, 3)]
        super().__init__(_laid_out([node.folder for node in self.nodes]))

    def start(self) -> None:
        """Start the nodes that are down; return when all serve."""
        down = [node for node in self.nodes if node.pid is None]
        for node in self.nodes:
            node.launch() if node in down else node.thaw()
        for node in down:
            node.wait_until_it_serves()

    def stop(self) -> None:
        """Let all nodes end in order, all at a time: the last two would wait for a majority."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.stop, self.nodes))

    def leader(self, topic: str, partition: int = 0) -> Node:
        """The node that leads a partition."""
        with closing(self.admin()) as admin:
            (described,) = admin.describe_topics([topic])
        (leader,) = (
            one["leader_id"]
            for one in described["partitions"]
            if one["partition_index"] == partition
        )
        return self.nodes[leader - 1]


def _laid_out(folders: list[Path]) -> str:
    """Where the nodes of a cluster serve; the first time, ports are chosen and settings written."""
    known = folders[0] / "cluster.json"
    if not known.exists():
        cluster = {
            "id": _cluster_id(),
            "ports": [free_port() for _ in folders],
            "controllers": [free_port() for _ in folders],
        }
        for number, folder in enumerate(folders, 1):
            (folder / "server.properties").write_text(_settings(number, folder, cluster))
            (folder / "cluster.json").write_text(json.dumps(cluster))
    return ",".join(f"127.0.0.1:{port}" for port in json.loads(known.read_text())["ports"])


def _cluster_id() -> str:
    """Sixteen bytes as Kafka writes them; the first is nought, lest the id look like an option."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def _settings(number: int, folder: Path, cluster: dict[str, list[int]]) -> str:
    here, controllers = cluster["ports"][number - 1], cluster["controllers"]
    voters = (f"{one}@127.0.0.1:{port}" for one, port in enumerate(controllers, 1))
    replicas = len(controllers)
    settings = {
        "process.roles": "broker,controller",
        "node.id": number,
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CLIENTS://127.0.0.1:{here},CONTROLLER://127.0.0.1:{controllers[number - 1]}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{here}",
        "inter.broker.listener.name": "CLIENTS",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": folder / "storage",
        "auto.create.topics.enable": "false",
        "log.retention.ms": -1,
        "default.replication.factor": replicas,
        "min.insync.replicas": (replicas + 1) // 2,
        "broker.session.timeout.ms": 3000 if replicas > 1 else 1500,  # a restart waits for it too
        "broker.heartbeat.interval.ms": 300,
        "group.initial.rebalance.delay.ms": 0,  # a group of one need not wait for a second
        "group.min.session.timeout.ms": 500,
        "log.cleaner.dedupe.buffer.size": 16 << 20,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    for internal in ("offsets.topic", "transaction.state.log"):
        settings[f"{internal}.replication.factor"] = replicas
        settings[f"{internal}.num.partitions"] = 4
    for internal in ("transaction.state.log", "share.coordinator.state.topic"):
        settings[f"{internal}.min.isr"] = (replicas + 1) // 2
    settings["share.coordinator.state.topic.replication.factor"] = replicas
    return "".join(f"{key}={value}\n" for key, value in settings.items())
