"""The sensors over a real watched directory, warehouse and instance; the daemon's part is to call them and launch."""

from __future__ import annotations

import datetime as dt
import shutil
import zipfile
from pathlib import Path

import dagster as dg
import fsspec
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cbi_dagster.catalog import TABLES
from cbi_dagster.config.universe import load_universe
from cbi_dagster.definitions import build_defs
from cbi_dagster.home import Home, builder
from cbi_dagster.orchestration.io_manager import WarehouseIOManager
from cbi_dagster.orchestration.jobs import RANGE_END_TAG, RANGE_START_TAG
from cbi_dagster.orchestration.sensors import Seen, Watched, build_sensors, land_all, look
from cbi_dagster.vendors.archive import Archive
from cbi_dagster.vendors.landing import Landing
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

START, MINUTES = dt.date(2023, 3, 1), dt.date(2023, 4, 24)


@pytest.fixture(scope="module")
def delivery(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("delivery")
    simulate_delivery(directory, seed=3, start=START, end=dt.date(2023, 5, 1), minute_start=MINUTES)
    (directory / "manifest.json").unlink()
    return directory


class Scene:
    """A state directory, a watched directory and both sensors, ticking at once (settle time 0)."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path / "home")
        self.home.prepare()
        self.watched = path / "watched"
        self.watched.mkdir()
        self.warehouse = DuckDBWarehouse(self.home.warehouse)
        self.builder = builder(self.home.warehouse, self.home.landing)
        sensors = build_sensors(self.home, self.builder, str(self.watched), settle_s=0.0)
        self.landing, self.refresh = sensors
        self.defs = build_defs(io_manager=WarehouseIOManager(self.builder))
        self.instance = dg.DagsterInstance.from_config(str(self.home.dagster))

    def tick(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> SensorExecutionData:
        context = dg.build_sensor_context(instance=self.instance, cursor=cursor, definitions=self.defs)
        return sensor.evaluate_tick(context)

    def launch(self, request: dg.RunRequest) -> bool:
        """What the daemon does with a run request."""
        result = self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, asset_selection=request.asset_selection, tags=request.tags, raise_on_error=False
        )
        return result.success


@pytest.fixture
def scene(tmp_path: Path):
    made = Scene(tmp_path)
    yield made
    made.instance.dispose()


def test_a_file_is_ready_once_it_has_settled():
    known, ready = look({"a": "10:1"}, {}, now=100.0, settle_s=30.0)
    assert (known["a"], ready) == (Seen("10:1", 100.0), [])
    assert look({"a": "10:1"}, known, 129.0, 30.0)[1] == []
    assert look({"a": "10:1"}, known, 130.0, 30.0)[1] == ["a"]


def test_a_file_that_still_grows_waits_anew():
    known, _ = look({"a": "10:1"}, {}, 100.0, 30.0)
    known, ready = look({"a": "20:2"}, known, 140.0, 30.0)
    assert (known["a"].since, ready) == (140.0, [])


def test_a_file_that_is_dealt_with_is_taken_again_only_when_it_changes():
    done = {"a": Seen("10:1", 0.0, done=True)}
    assert look({"a": "10:1"}, done, 999.0, 30.0) == (done, [])
    known, _ = look({"a": "11:3"}, done, 999.0, 30.0)
    assert not known["a"].done


def test_an_object_store_is_listed_and_fetched_with_the_manifest_of_the_delivery(tmp_path):
    store = fsspec.filesystem("memory")
    store.pipe(
        {"/bucket/in/x.ohlcv-1h.dbn.zst": b"bars", "/bucket/in/manifest.json": b"{}", "/bucket/in/notes.txt": b""}
    )
    watched = Watched("memory://bucket/in")
    assert [Path(path).name for path in watched.listing()] == ["x.ohlcv-1h.dbn.zst"]
    (copy,) = watched.fetch(watched.listing(), tmp_path)
    assert copy.read_bytes() == b"bars"
    assert (copy.parent / "manifest.json").exists()


def test_arriving_files_are_landed_and_only_what_they_make_stale_is_run(scene, delivery):
    first, last = sorted(delivery.glob("*202303*.ohlcv-1h*"))[0], sorted(delivery.glob("*202304*.ohlcv-1h*"))[0]
    shutil.copy(first, scene.watched)
    tick = scene.tick(scene.landing)
    (daily,) = tick.run_requests
    assert (daily.tags[RANGE_START_TAG], daily.tags[RANGE_END_TAG]) == ("2023-03-01", "2023-03-31")
    assert scene.launch(daily)
    (monthly,) = scene.tick(scene.refresh).run_requests
    assert {key.path[0] for key in monthly.asset_selection} == {"training"}
    assert scene.launch(monthly)
    assert scene.tick(scene.refresh).run_requests == []
    assert scene.tick(scene.landing, tick.cursor).run_requests == []

    before = scene.warehouse.ledger_rows()
    shutil.copy(last, scene.watched)
    tick = scene.tick(scene.landing, tick.cursor)
    (daily,) = tick.run_requests
    assert scene.launch(daily)
    after = scene.warehouse.ledger_rows({"features.daily_ml_matrix"})
    rewritten = after[after["written_at"] > before["written_at"].max()]["partition_key"]
    # The evening of 31 March had been held back until its session's close was covered.
    assert rewritten.min() >= "2023-03-31"
    assert rewritten.max() == "2023-05-01"


def test_a_tick_that_is_repeated_names_the_same_run(scene, delivery):
    shutil.copy(sorted(delivery.glob("*202303*.ohlcv-1h*"))[0], scene.watched)
    (request,) = scene.tick(scene.landing).run_requests
    (again,) = scene.tick(scene.landing).run_requests
    (elsewhere,) = scene.tick(scene.refresh).run_requests
    assert request.run_key == again.run_key == elsewhere.run_key


def test_nothing_is_requested_while_a_refresh_is_under_way(scene, delivery):
    shutil.copy(sorted(delivery.glob("*202303*.ohlcv-1h*"))[0], scene.watched)
    (request,) = scene.tick(scene.landing).run_requests
    scene.instance.create_run_for_job(
        dg.Definitions(jobs=[_empty_job]).resolve_job_def("_empty_job"), tags=request.tags,
        status=dg.DagsterRunStatus.STARTED,
    )  # fmt: skip
    assert scene.tick(scene.refresh).run_requests == []


@dg.job
def _empty_job() -> None:
    pass


def test_a_broken_file_is_refused_by_name_and_the_others_are_landed(scene, delivery, capfd):
    good = sorted(delivery.glob("*202303*.ohlcv-1h*"))[0]
    shutil.copy(good, scene.watched)
    (scene.watched / "broken.ohlcv-1h.dbn.zst").write_bytes(good.read_bytes()[:5000])
    tick = scene.tick(scene.landing)
    assert "refused broken.ohlcv-1h.dbn.zst: its last compressed frame is incomplete" in capfd.readouterr().err
    assert len(tick.run_requests) == 1
    assert scene.warehouse.read(TABLES["ops.landed_files"])["source_file"].to_pylist() == [good.name]
    assert scene.tick(scene.landing, tick.cursor).skip_message.startswith("0 files ready, 0 still settling")


def test_a_zip_of_several_broken_files_is_refused_and_the_others_are_landed(scene, delivery, tmp_path):
    good = sorted(delivery.glob("*202303*.ohlcv-1h*"))[0]
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        archive.writestr("a.ohlcv-1h.dbn.zst", good.read_bytes()[:5000])
        archive.writestr("b.ohlcv-1h.dbn.zst", b"")
    scene.warehouse.ensure(TABLES.values())
    reports, refused = land_all(
        Landing(scene.warehouse, Archive(scene.home.landing), load_universe()), [tmp_path / "job.zip", good]
    )
    assert [report.files["source_file"].tolist() for report in reports] == [[good.name]]
    assert ["incomplete" in refused[0], "0 bytes" in refused[1]] == [True, True]
    assert all(reason.startswith("job.zip: ") for reason in refused)


def test_without_a_directory_the_landing_sensor_says_how_to_name_one(scene):
    sensor, _ = build_sensors(scene.home, scene.builder, None)
    assert "cbi ui --watch" in scene.tick(sensor).skip_message
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
