"""The files of deploy/: what can be held against the code, against Dagster's own reading of them, and each other."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from dagster._cli import create_dagster_cli
from dagster._core.instance.config import dagster_instance_config
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_k8s import K8sRunLauncher

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.views import views
from cbi_dagster.home import SETTINGS
from cbi_dagster.warehouse.bigquery.client import BigQuerySettings
from cbi_dagster_tests.deployment.composed import DEPLOY, composition

ROOT = DEPLOY.parent
PASSWORD = {"DAGSTER_PG_PASSWORD": "secret"}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


VALUES = read("helm/values.yaml")


def instructions(stage: int) -> list[tuple[str, str]]:
    """The instructions of a stage of the Dockerfile, and what they say."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        stages += [[]] if word == "FROM" else []
        stages[-1].append((word, rest))
    return stages[stage]


# --- compose ----------------------------------------------------------------------------------------------------------


def test_compose_does_not_start_without_a_password():
    assert composition(PASSWORD)["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"] == "secret"
    with pytest.raises(KeyError, match="DAGSTER_PG_PASSWORD"):
        composition({})


def test_every_file_that_compose_mounts_is_there():
    for service in composition(PASSWORD)["services"].values():
        for source in (volume.partition(":")[0] for volume in service["volumes"]):
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in composition(PASSWORD)["volumes"]
        if "build" in service:
            context = DEPLOY / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_every_service_starts_after_those_that_it_waits_for():
    services = composition(PASSWORD)["services"]
    for service in services.values():
        for name, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert services[name]["healthcheck"]["test"][0] == "CMD"
            else:
                assert (wait["condition"], services[name]["restart"]) == ("service_completed_successfully", "no")


def test_the_variables_that_dagster_asks_for_are_those_that_compose_sets():
    asked = set(
        re.findall(r"env: (\w+)", "".join((DEPLOY / f).read_text() for f in ("dagster.yaml", "workspace.yaml")))
    )
    for name in ("init", "code", "webserver", "daemon"):
        assert asked == set(composition(PASSWORD)["services"][name]["environment"])


def test_the_settings_of_the_example_are_settings():
    lines = [line for line in (DEPLOY / "cbi.env.example").read_text().splitlines() if line and line[0] != "#"]
    assert {line.partition("=")[0] for line in lines} <= {*SETTINGS, "CBI_WATCH"}
    assert set(VALUES["extraManifests"][0]["data"]) <= {*SETTINGS, "CBI_WATCH"}


# --- the image --------------------------------------------------------------------------------------------------------


def test_what_the_image_copies_is_there_and_reaches_the_build():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for word, rest in instructions(0):
        if word == "COPY":
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources)
            assert set(sources) <= kept
    metadata = (ROOT / "pyproject.toml").read_text()
    assert 'readme = "README.md"' in metadata
    assert 'license-files = ["LICENSE"]' in metadata


@pytest.mark.slow  # it installs everything from the package index
def test_the_image_s_build_makes_an_environment_that_runs(tmp_path: Path) -> None:
    """Its instructions done in directories of a test: the wheel and the production extra in an empty environment."""
    source, environment = tmp_path / "src", tmp_path / "cbi"
    source.mkdir()
    for word, rest in instructions(0):
        if word == "COPY":
            *copied, target = rest.split()
            for name in copied:
                subprocess.run(["cp", "-r", str(ROOT / name), str(source / target)], check=True)
        elif word == "RUN":
            command = shlex.split(rest.replace("/opt/cbi", str(environment)))
            done = subprocess.run(command, cwd=source, capture_output=True, text=True)
            if "NewConnectionError" in done.stderr or "Temporary failure in name resolution" in done.stderr:
                pytest.skip("no package index is reached")
            assert done.returncode == 0, done.stderr
    home = {"PATH": f"{environment}/bin:/usr/bin:/bin", "CBI_HOME": str(tmp_path / "home"), "LC_ALL": "C.UTF-8"}
    for command in (
        ["cbi", "--version"],
        ["cbi", "init"],
        ["dagster", "definitions", "validate", "-m", "cbi_dagster.definitions"],
        ["python", "-c", "import dagster_k8s, gcsfs, cbi_dagster.orchestration.event_log_postgres"],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=home, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_the_image_serves_what_compose_and_the_chart_serve():
    (served,) = (yaml.safe_load(rest) for word, rest in instructions(1) if word == "CMD")
    assert served == composition(PASSWORD)["services"]["code"]["command"]
    (deployment,) = VALUES["dagster-user-deployments"]["deployments"]
    by_the_chart = ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", str(deployment["port"])]
    assert sorted(served) == sorted(by_the_chart + deployment["dagsterApiGrpcArgs"])
    help_text = CliRunner().invoke(create_dagster_cli(), ["api", "grpc", "--help"]).output
    assert all(word in help_text for word in served if word.startswith("--"))


# --- Dagster's reading ------------------------------------------------------------------------------------------------


def test_dagster_takes_the_workspace(monkeypatch):
    monkeypatch.setenv("CBI_CODE_HOST", "code")
    monkeypatch.setenv("CBI_CODE_PORT", "4000")
    (origin,) = WorkspaceFileTarget([str(DEPLOY / "workspace.yaml")]).create_origins()
    assert (origin.host, origin.port, origin.location_name) == ("code", 4000, "cbi_dagster")


def by_the_chart() -> str:
    """The instance's dagster.yaml as Dagster's chart writes it from the values: its own part, then what is added."""
    postgres = VALUES["postgresql"]
    database = {
        "postgres_db": {
            "username": postgres["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": postgres["postgresqlHost"],
            "db_name": postgres["postgresqlDatabase"],
            "port": postgres["service"]["port"],
            "params": {},
            "scheme": postgres["postgresqlScheme"],
        }
    }
    daemon = VALUES["dagsterDaemon"]
    monitoring, retries = daemon["runMonitoring"], daemon["runRetries"]
    written = {
        f"{kind}_storage": {"module": f"dagster_postgres.{kind}", "class": name, "config": database}
        for kind, name in (("schedule", "Schedule"), ("run", "Run"), ("event_log", "EventLog"))
    } | {
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_resume_run_attempts": monitoring["maxResumeRunAttempts"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
        },
        "run_retries": {"enabled": retries["enabled"], "max_retries": retries["maxRetries"]},
        "telemetry": VALUES["telemetry"],
    }
    return yaml.safe_dump(written, sort_keys=False) + yaml.safe_dump(VALUES["additionalInstanceConfig"])


def test_the_chart_s_instance_is_compose_s_but_for_what_starts_runs(tmp_path, monkeypatch):
    """With what Dagster's defaults are where one says something and the other nothing."""
    (tmp_path / "dagster.yaml").write_text(by_the_chart(), encoding="utf-8")
    charted, _ = dagster_instance_config(str(tmp_path))
    composed, _ = dagster_instance_config(str(DEPLOY))
    for name in ("event_log_storage", "concurrency", "run_retries", "freshness", "telemetry"):
        one, other = charted[name], composed[name]
        if name == "event_log_storage":
            one, other = ({k: v for k, v in part.items() if k != "config"} for part in (one, other))
        assert one == other, name
    monitored = {key: value for key, value in composed["run_monitoring"].items() if key != "max_runtime_seconds"}
    assert monitored.items() <= charted["run_monitoring"].items()
    assert "run_launcher" not in by_the_chart(), "the chart writes its own"
    assert VALUES["runLauncher"]["type"] == K8sRunLauncher.__name__


def test_the_values_name_two_accounts_one_image_one_secret_and_one_home():
    _, account, initial = VALUES["extraManifests"]
    job = initial["spec"]["template"]["spec"]
    (container,) = job["containers"]
    image = VALUES["dagsterWebserver"]["image"]
    assert container["image"] == f"{image['repository']}:{image['tag']}"
    assert VALUES["dagsterDaemon"]["image"] == VALUES["dagster-user-deployments"]["deployments"][0]["image"] == image
    assert job["serviceAccountName"] == account["metadata"]["name"] != VALUES["global"]["serviceAccountName"]
    acting = (account["metadata"]["annotations"], VALUES["serviceAccount"]["annotations"])
    assert [found["iam.gke.io/gcp-service-account"].partition("@")[0] for found in acting] == ACCOUNTS
    assert container["env"][0]["valueFrom"]["secretKeyRef"]["name"] == VALUES["global"]["postgresqlSecretName"]
    assert container["volumeMounts"][0]["mountPath"] == f"{VALUES['global']['dagsterHome']}/dagster.yaml"
    environment = " ".join(rest for word, rest in instructions(1) if word == "ENV")
    assert f"DAGSTER_HOME={VALUES['global']['dagsterHome']}" in environment
    assert container["command"] == composition(PASSWORD)["services"]["init"]["command"]


# --- who may do what --------------------------------------------------------------------------------------------------

ACCOUNTS = ["cbi-setup", "cbi-builder"]
ROLES = DEPLOY / "iam" / "roles.sh"


def commands(tmp_path: Path, *arguments: str) -> list[list[str]]:
    """What the script prints, as the programs that it names are called."""
    printed = subprocess.run([ROLES, *arguments], capture_output=True, text=True, check=True).stdout
    for name in ("gcloud", "bq"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" END >> {tmp_path}/called\n', encoding="utf-8")
        program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", printed], env=path, check=True)
    return [call.splitlines() for call in (tmp_path / "called").read_text().split("END\n") if call]


def test_roles_are_given_on_the_datasets_of_the_catalog_and_nowhere_else(tmp_path):
    called = commands(tmp_path, "my-project", "my-bucket", "cbi_", "EU")
    settings = BigQuerySettings("my-project", prefix="cbi_")
    wanted = {settings.name(name.partition(".")[0]) for name in (*TABLES, *views())} | {
        f"my-project.{settings.staging}"
    }
    made = {call[-1].replace(":", ".") for call in called if "mk" in call}
    said = "".join(call[-1] for call in called if call[:2] == ["bq", "query"])
    granted = {dataset: role for role, dataset in re.findall(r"roles/(\w+)` ON SCHEMA `([\w.-]+)`", said)}
    assert made == set(granted) == wanted
    assert [dataset for dataset, role in granted.items() if role == "cbiStager"] == [f"my-project.{settings.staging}"]
    in_the_project = {call[-3] for call in called if call[:3] == ["gcloud", "projects", "add-iam-policy-binding"]}
    assert in_the_project == {f"projects/my-project/roles/{name}" for name in ("cbiSetup", "cbiRunner")}


def test_every_permission_is_explained(tmp_path):
    explained = (ROOT / "docs" / "bigquery.md").read_text(encoding="utf-8")
    roles = {
        call[4]: call[-1].split(",") for call in commands(tmp_path, "p", "b") if call[1:4] == ["iam", "roles", "create"]
    }
    assert len(roles) == 5
    for role, permissions in roles.items():
        assert f"`{role}`" in explained
        for permission in permissions:
            assert f"`{permission.removeprefix('bigquery.').removeprefix('storage.')}`" in explained, permission
    assert not {"bigquery.tables.create", "bigquery.tables.delete"} & {*roles["cbiBuilder"], *roles["cbiRunner"]}


def test_the_script_says_how_it_is_called(tmp_path):
    called = subprocess.run([ROLES], capture_output=True, text=True)
    assert called.returncode == 2
    assert "usage: " in called.stderr
