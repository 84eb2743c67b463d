"""What docker-compose.yml starts, started without containers: the same commands and settings.

A broker with the file's settings, the two jobs, and each service that lasts; then
Prometheus asks them, and every expression of dashboard and alerts gets an answer.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import closing
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from engine import metrics
from engine.emit import Emitter
from tests.deployed import (
    DEPLOY,
    alerts,
    example,
    filled,
    panel_expressions,
    program,
    read,
    services,
)
from tests.services.brokers import Kafka, Node, jars
from tests.services.process import free_port, wait_until
from tests.services.wanted import or_skip
from tests.test_readme import environment

pytestmark = pytest.mark.services

KEYS = {"LEADLEDGER_IDENTIFIER_KEY": "1d" * 32, "LEADLEDGER_WORKSPACE_KEY": "2e" * 32}
INVOKE = "from engine.cli.main import cli; cli(prog_name='leadledger')"
SENT, BROKEN, AGAIN = 40, 3, 5
LASTING = ("consumer", "projector", "announcer")


class ComposedBroker(Node, Kafka):
    """A node with the settings that the compose file gives to Kafka, on ports of its own."""

    def __init__(self, folder):
        given = services()["kafka"]["environment"]
        ports = {port: str(free_port()) for port in ("9092", "9093", "19092")}
        settings = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): value
            for name, value in given.items()
            if name.startswith("KAFKA_")
        }
        for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
            value = re.sub(r"(//|@)(kafka|localhost|):", r"\g<1>127.0.0.1:", settings[name])
            settings[name] = re.sub(r":(\d+)", lambda found: f":{ports[found[1]]}", value)
        settings["log.dirs"] = str(folder / "storage")
        self.settings = settings
        Node.__init__(self, folder, or_skip(jars))
        Kafka.__init__(self, f"127.0.0.1:{ports['9092']}")
        lines = (f"{name}={value}\n" for name, value in settings.items())
        (folder / "server.properties").write_text("".join(lines))
        (folder / "cluster.json").write_text(json.dumps({"id": given["CLUSTER_ID"]}))


@pytest.fixture
def broker(test_run):
    """Kafka as the file starts it; it ends with the test run at the latest."""
    with test_run.lock("composed"):
        node = ComposedBroker(test_run.folder() / f"composed-{uuid4().hex[:12]}")
        node.start()
        yield node
        node.kill()


class Stack:
    """Our services of the file, as processes."""

    def __init__(self, folder, broker, database):
        self._folder = folder
        address = urlsplit(database)
        user, host = address.username, f"{address.hostname}:{address.port}"
        self._here = {
            "leadledger@postgres:5432/leadledger": f"{user}@{host}{address.path}",
            "kafka:19092": broker.servers,
        }
        self._values = example() | KEYS | {"POSTGRES_PASSWORD": address.password}
        self.ports = {name: free_port() for name in LASTING}
        self._started = {}

    def environ(self, name):
        """The settings of a service, where the servers are those of the test."""
        given = services()[name]["environment"]
        settings = {key: self.at_home(filled(value, self._values)) for key, value in given.items()}
        if name in self.ports:
            settings["LEADLEDGER_METRICS_PORT"] = str(self.ports[name])
        return environment(self._folder) | settings

    def at_home(self, value):
        for there, here in self._here.items():
            value = value.replace(there, here)
        return value

    def command(self, name):
        words = [filled(word, self._values) for word in services()[name]["command"]]
        return [sys.executable, "-c", INVOKE, *words]

    def run(self, name, *words):
        """Run a service that ends, or another command with the settings of one."""
        command = [sys.executable, "-c", INVOKE, *words] if words else self.command(name)
        done = subprocess.run(command, env=self.environ(name), capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name):
        log = (self._folder / f"{name}.log").open("w")
        self._started[name] = subprocess.Popen(
            self.command(name), env=self.environ(name), stdout=log, stderr=log
        )

    def healthy(self, name):
        """What the health check of a service says; fails where the service has ended."""
        assert self._started[name].poll() is None, self.log(name)
        _, *words = services()[name]["healthcheck"]["test"]
        words = [word.replace("9464", str(self.ports[name])) for word in words]
        assert words[0] == "python"
        return subprocess.run([sys.executable, *words[1:]], capture_output=True).returncode == 0

    def has_looked(self):
        """Whether the runner has; of what is there by then it counts no wait until it shows."""
        return total([samples(self.ports["projector"])], metrics.READ_MODEL_AGE.name) > 0

    def log(self, name):
        return (self._folder / f"{name}.log").read_text()

    def stop(self):
        """End all in order; their exit codes."""
        for process in self._started.values():
            process.terminate()
        return {name: process.wait(60) for name, process in self._started.items()}

    def kill(self):
        for process in self._started.values():
            process.kill()
            process.wait()


@pytest.fixture
def stack(tmp_path, broker, database):
    """Everything up and healthy."""
    stack = Stack(tmp_path, broker, database)
    for job in ("migrate", "topics"):
        stack.run(job)
    for name in LASTING:
        stack.start(name)
    try:
        for name in LASTING:
            assert wait_until(lambda name=name: stack.healthy(name), seconds=60), stack.log(name)
        assert wait_until(stack.has_looked, seconds=60), stack.log("projector")
        yield stack
    finally:
        stack.kill()


@pytest.fixture
def emitter_port(stack, database, tmp_path, monkeypatch):
    """A tool that emits and shows its metrics; some of what it says is no touchpoint."""
    registry = CollectorRegistry()
    monkeypatch.setattr(metrics, "_measures", None)
    metrics.measure(registry)
    server, _ = start_http_server(0, "127.0.0.1", registry)
    environ = stack.environ("consumer") | {"LEADLEDGER_DATABASE_URL": database}
    with Emitter.open(environ, spool=tmp_path / "spool", on_error=lambda _: None) as emitter:
        emitter.emit([said(number) for number in range(SENT)])
        emitter.emit([said(number) for number in range(AGAIN)])
        emitter.emit([{"source": "shop"}])
        emitter.flush()
        yield server.server_port
    server.shutdown()


def said(number):
    return {
        "source": "shop",
        "event_id": str(number),
        "type": "price_asked",
        "occurred_at": "2026-03-01T08:00:00+07:00",
        "identifiers": [{"kind": "email", "value": f"somebody{number}@example.vn"}],
    }


@pytest.fixture
def told(stack, broker, emitter_port):
    """What the processes tell once all has come through, and bytes besides that are no Avro."""
    with closing(KafkaProducer(bootstrap_servers=broker.servers)) as producer:
        for number in range(BROKEN):
            producer.send(example()["LEADLEDGER_TOPIC"], b"?" * (number + 1))
        producer.flush()
    asked = (*stack.ports.values(), emitter_port)

    def through():
        try:
            now = [samples(port) for port in asked]
        except OSError:  # whoever has ended shows it in the end
            return False
        came = total(now, "leadledger_batch_touchpoints_sum")
        shown = total(now, "leadledger_append_to_visible_seconds_count")
        told = total(now, metrics.TOLD.name)  # of each lead at least that it entered a stage
        waiting = total(now, metrics.SINK_LAG.name)
        return (came, shown) == (SENT + AGAIN + BROKEN, SENT) and told >= SENT and not waiting

    assert wait_until(through, seconds=60), "".join(map(stack.log, LASTING))
    return [samples(port) for port in asked]


def samples(port):
    """A process's metrics: by name, values by labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    found = {}
    for one in (sample for family in families for sample in family.samples):
        found.setdefault(one.name, {})[tuple(sorted(one.labels.items()))] = one.value
    return found


def total(told, name):
    return sum(value for one in told for value in one.get(name, {}).values())


@pytest.fixture
def ask(stack, told, emitter_port, tmp_path):
    """A function that asks Prometheus, which has asked every process a few times."""
    port, targets = free_port(), stack.ports | {"shop": emitter_port}
    settings = read("deploy/prometheus.yml")
    assert {job["job_name"] for job in settings["scrape_configs"]} == set(stack.ports)
    settings["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    settings["rule_files"] = [str(DEPLOY / name) for name in settings["rule_files"]]
    settings["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]}
        for job, at in targets.items()
    ]
    YAML().dump(settings, tmp_path / "prometheus.yml")
    command = [
        or_skip(partial(program, "prometheus")),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = tmp_path / "prometheus.log"
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT)

    def ask(path, **query):
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError as error:
            return {"error": str(error), "result": [], "groups": []}

    everywhere = f"count(count_over_time(up[1m]) >= 4) == {len(targets)}"
    try:
        asked = wait_until(lambda: ask("query", query=everywhere)["result"], seconds=60)
        assert asked, log.read_text()
        yield ask
    finally:
        process.terminate()
        process.wait(30)


def check_kafka_took_every_setting(broker):
    with closing(broker.admin()) as admin:
        asked = [ConfigResource("BROKER", "1")]
        known = admin.describe_configs(asked, config_filter="all")["broker"]["1"]
        (topic,) = admin.describe_topics([example()["LEADLEDGER_TOPIC"]])
    assert set(broker.settings) <= set(known)
    assert len(topic["partitions"]) == int(example()["LEADLEDGER_PARTITIONS"])


def check_all_that_was_sent_is_accounted_for(stack, told):
    kind = (("source", "shop"), ("type", "price_asked"))
    consumer = told[0]
    assert consumer[metrics.RECORDED.name] == {kind: SENT}
    assert consumer[metrics.DOUBLED.name] == {kind: AGAIN}
    assert total(told, metrics.ASIDE.name) == BROKEN
    assert total(told, metrics.SENT.name) == SENT + AGAIN
    assert total(told, metrics.FAILED.name) == 1
    assert stack.run("leadledger", "head") == f"{SENT}\n"
    leads = json.loads(stack.run("leadledger", "leads", "--limit", "100", "--json"))
    assert len(leads["leads"]) == SENT


def check_every_metric_is_told(told):
    names = {name for one in told for name in one}
    for metric in metrics.METRICS:
        ending = "_count" if metric.kind == "histogram" else ""
        assert f"{metric.name}{ending}" in names


def check_every_expression_is_answered(ask):
    """An alert's as well, where a comparison says yes or no instead of leaving out."""
    expressions = panel_expressions()
    for name, rule in alerts().items():
        expressions[name] = re.sub(r" (>|==) ", r" \1 bool ", rule["expr"])
    answers = {name: ask("query", query=one)["result"] for name, one in expressions.items()}
    assert {name for name, answer in answers.items() if not answer} == set()


def check_no_alert_wakes_somebody(ask):
    def judged():
        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] == "ok" for rule in rules) else []

    assert wait_until(judged, seconds=30)
    raised = {rule["name"] for rule in judged() if rule["state"] != "inactive"}
    assert {rule["name"] for rule in judged()} == set(alerts())
    assert not {name for name in raised if alerts()[name]["labels"]["severity"] == "page"}


def check_all_end_in_time_when_they_are_told_to(stack):
    begun = time.monotonic()
    assert stack.stop() == dict.fromkeys(LASTING, 0)
    grace = services()["consumer"]["stop_grace_period"]
    assert time.monotonic() - begun < float(grace.removesuffix("s"))


def test_what_is_deployed_runs_without_containers_and_is_watched(broker, stack, told, request):
    check_kafka_took_every_setting(broker)
    check_all_that_was_sent_is_accounted_for(stack, told)
    check_every_metric_is_told(told)
    if shutil.which("prometheus"):
        ask = request.getfixturevalue("ask")
        check_every_expression_is_answered(ask)
        check_no_alert_wakes_somebody(ask)
    check_all_end_in_time_when_they_are_told_to(stack)
    or_skip(partial(program, "prometheus"))  # says so where nobody watched
