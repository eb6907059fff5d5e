from cbi_dagster.catalog.documents import ROOT, generated_files
from cbi_dagster.catalog.generated_views import GENERATED
from cbi_dagster.catalog.views import views


def test_generated_files_are_in_step_with_the_declarations():
    for name, content in generated_files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == content, f"{name} is stale: run `make generate`"


def test_no_derived_view_is_left_over():
    derived = {view.id for view in views().values() if GENERATED in view.text}
    assert {f"sql/views/{name}.sql" for name in derived} == {
        name for name in generated_files() if name.startswith("sql/views/")
    }


def test_no_generated_file_is_left_over():
    on_disk = {str(path.relative_to(ROOT)) for path in (ROOT / "sql" / "schema").glob("*.sql")}
    assert on_disk == {name for name in generated_files() if name.startswith("sql/schema/")}
