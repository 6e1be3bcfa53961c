import pytest

from libs.bigquery.ids import DatasetId, TableId


def test_a_table_is_named_as_sql_as_path_and_as_text() -> None:
    table = TableId.parse("my-project.acme_raw.usage")
    assert table == DatasetId("my-project", "acme_raw").table("usage")
    assert table.sql == "`my-project.acme_raw.usage`"
    assert table.path == "projects/my-project/datasets/acme_raw/tables/usage"
    assert table.parent.sql == "`my-project.acme_raw`"


@pytest.mark.parametrize("name", ["", "a`b", "a b", "a;b", "a.b", "a\n"])
def test_a_name_that_could_leave_its_quotes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="table"):
        TableId("p", "d", name)
    with pytest.raises(ValueError, match="dataset"):
        DatasetId("p", name)


def test_a_project_of_a_domain_keeps_its_dots() -> None:
    assert TableId.parse("example.com:p.d.t").project == "example.com:p"
