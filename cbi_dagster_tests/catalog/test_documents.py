from cbi_dagster.catalog.documents import ROOT, generated_files


def test_generated_files_are_in_step_with_the_declarations():
    for name, content in generated_files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == content, f"{name} is stale: run `make generate`"


def test_no_generated_file_is_left_over():
    on_disk = {str(path.relative_to(ROOT)) for path in (ROOT / "sql" / "schema").glob("*.sql")}
    assert on_disk == {name for name in generated_files() if name.startswith("sql/schema/")}
