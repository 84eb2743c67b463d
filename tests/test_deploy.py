"""What is deployed fits the product: compose file, image, alert rules, dashboard."""

import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from functools import partial

import click
import pytest

from engine import metrics
from engine.cli.main import cli
from engine.kafka.settings import KafkaSettings
from engine.settings import Settings
from tests.deployed import (
    DEPLOY,
    ROOT,
    alerts,
    compose,
    dashboard,
    example,
    filled,
    known_settings,
    metrics_in,
    panel_expressions,
    program,
    read,
    services,
    variables,
)
from tests.services.wanted import or_skip

OF_PROMETHEUS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
OF_LIBPQ = {"PGPASSWORD"}
SERIES = {
    f"{metric.name}{suffix}"
    for metric in metrics.METRICS
    for suffix in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
}
METRICS_PORT = "9464"


def test_the_compose_file_is_one_by_the_published_schema():
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [*schema, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_images_of_others_are_pinned_by_version_and_digest():
    pinned = re.compile(r"[a-z/]+:v?\d+(\.\d+)+@sha256:[0-9a-f]{64}")
    for name, service in services(ours=False).items():
        assert pinned.fullmatch(service["image"]), name


def test_our_image_bears_the_version_of_the_product():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for service in services(ours=True).values():
        assert service["image"] == f"leadledger:{project['version']}"
        assert (ROOT / service["build"]["dockerfile"]).exists()


def test_kafka_is_the_one_that_the_tests_run():
    pom = ElementTree.parse(ROOT / "tests/services/kafka/pom.xml")
    named = "{http://maven.apache.org/POM/4.0.0}"
    tested = {
        one.findtext(f"{named}artifactId"): one.findtext(f"{named}version")
        for one in pom.iter(f"{named}dependency")
    }
    assert f":{tested['kafka_2.13']}@" in services()["kafka"]["image"]


def test_what_runs_long_has_a_health_check_and_comes_back():
    jobs = {"migrate", "topics", "leadledger"}
    for name, service in services().items():
        if name in jobs:
            assert "restart" not in service, name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_what_is_stored_lies_in_named_volumes():
    used = [one.split(":") for service in services().values() for one in service.get("volumes", [])]
    named = {source for source, *_ in used if not source.startswith(".")}
    assert named == set(compose()["volumes"])
    for source, _, mode in (one for one in used if one[0].startswith(".")):
        assert (ROOT / source).exists()
        assert mode == "ro"


def test_nothing_is_open_to_other_machines():
    for service in services().values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_a_service_waits_only_for_what_can_come_about():
    for name, service in services().items():
        for other, wanted in service.get("depends_on", {}).items():
            healthy = wanted["condition"] == "service_healthy"
            assert healthy == ("healthcheck" in services()[other]), (name, other)


@pytest.mark.parametrize(
    "name", [name for name, one in services(ours=True).items() if "command" in one]
)
def test_the_command_of(name):
    """It exists, with every option and value as it stands there."""
    words = [filled(word, example()) for word in services()[name]["command"]]
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found, word = command.get_command(context, words[0]), words.pop(0)
        assert found is not None, word
        command, context = found, click.Context(found, parent=context, info_name=word)
    command.make_context(command.name, words, parent=context.parent)


def test_every_variable_is_explained_and_none_besides():
    asked, explained = variables(), example()
    assert set(asked) == set(explained)
    for name, default in asked.items():
        assert explained[name] == (default or ""), name


def test_every_setting_of_our_services_is_one_of_the_product():
    known = known_settings()
    for name, service in services(ours=True).items():
        assert set(service["environment"]) - known <= OF_LIBPQ, name


def test_the_settings_of_our_services_can_be_used(tmp_path):
    secret = dict.fromkeys((name for name, value in example().items() if not value), "0f" * 32)
    for service in services(ours=True).values():
        environ = {
            name: filled(value, example() | secret)
            for name, value in service["environment"].items()
        }
        assert Settings.load(environ).database_url.startswith("postgresql://")
        assert KafkaSettings.load(environ).servers == ("kafka:19092",)


def test_the_database_is_the_one_that_is_made_there():
    environ = services()["postgres"]["environment"]
    url = services()["consumer"]["environment"]["LEADLEDGER_DATABASE_URL"]
    assert url == (
        f"postgresql://{environ['POSTGRES_USER']}@postgres:5432/{environ['POSTGRES_DB']}"
    )


def test_prometheus_asks_who_serves_where_it_serves():
    asked = {
        job["job_name"]: job["dns_sd_configs"]
        for job in read("deploy/prometheus.yml")["scrape_configs"]
    }
    serving = {
        name: service
        for name, service in services(ours=True).items()
        if "LEADLEDGER_METRICS_PORT" in service["environment"]
    }
    assert asked.keys() == serving.keys()
    for name, service in serving.items():
        (where,) = asked[name]
        assert where["names"] == [name]
        assert service["environment"]["LEADLEDGER_METRICS_PORT"] == METRICS_PORT
        assert str(where["port"]) == METRICS_PORT
        assert f"127.0.0.1:{METRICS_PORT}/metrics" in service["healthcheck"]["test"][-1]


def test_grafana_finds_prometheus_and_the_dashboard():
    (source,) = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read("deploy/grafana/provisioning/dashboards/leadledger.yml")["providers"]
    mounted = dict(one.split(":")[:2] for one in services()["grafana"]["volumes"])
    assert mounted["./deploy/grafana/dashboards"] == provider["options"]["path"]
    used = {panel["datasource"]["uid"] for panel in dashboard()["panels"]}
    used |= {
        one["datasource"]["uid"] for panel in dashboard()["panels"] for one in panel["targets"]
    }
    assert used == {source["uid"]}


def test_every_panel_says_what_it_shows():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize(
    ("where", "expression"),
    [*panel_expressions().items(), *((name, rule["expr"]) for name, rule in alerts().items())],
)
def test_only_metrics_that_are_exported_are_asked_for_in(where, expression):
    asked = metrics_in(expression)
    assert asked
    assert asked <= SERIES | OF_PROMETHEUS


def test_every_metric_is_shown():
    shown = set().union(*(metrics_in(one) for one in panel_expressions().values()))
    assert SERIES - shown <= {
        f"{metric.name}{suffix}"
        for metric in metrics.METRICS
        if metric.kind == "histogram"
        for suffix in ("_sum", "_count")
    }


def test_every_alert_is_explained_where_its_reader_looks():
    page = (ROOT / "docs/operations.md").read_text()
    explained = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    assert set(alerts()) == explained


def test_every_alert_has_a_test_that_raises_it():
    cases = [
        case for test in read("deploy/alerts.test.yml")["tests"] for case in test["alert_rule_test"]
    ]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(alerts())
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == set(alerts())


@pytest.mark.parametrize(
    "words",
    [
        ["check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"],
        ["check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_agrees(words):
    checked = subprocess.run(
        [or_skip(partial(program, "promtool")), *words], cwd=DEPLOY, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_image_holds_what_the_wheel_is_made_of():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    folders = set(wheel["targets"]["wheel"]["only-include"])
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    files = {"LICENSE", "README.md", "pyproject.toml", "requirements.txt"}
    assert let_in == folders | files
    assert all((ROOT / name).exists() for name in let_in)


def test_the_image_is_built_on_a_pinned_python_and_does_not_run_as_root():
    text = (DEPLOY / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.1[1-3]-[a-z-]+@sha256:[0-9a-f]{64}", bases[0])
    assert text.index("USER leadledger") < text.index("ENTRYPOINT")
    (entry,) = re.findall(r'^ENTRYPOINT \["(\w+)"\]$', text, re.MULTILINE)
    assert entry in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def test_secrets_are_kept_out_of_git():
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert not any(example()[name] for name, value in variables().items() if value is None)
