"""The paper's tables: whole, and with our rows under their protocols."""

import pytest

from actionpose.evaluation.protocols import SYNTHETIC
from actionpose.experiments.tables import (
    TABLES,
    OurRow,
    as_csv,
    as_latex,
    as_text,
    load_table,
)
from actionpose.utils.errors import UserError


@pytest.mark.parametrize("name", TABLES)
def test_load_table_has_sources_and_protocols(name: str) -> None:
    table = load_table(name)
    for row in table["rows"] + table["others"]:
        assert row["source"] and row["protocol"] in table["legend"]
        assert row["marks"] == "" or set(row["marks"]) <= set(table["marks"])
        assert all(row[column] is None or row[column] > 0 for column in table["columns"])
    text = as_text(table, [])
    assert "nothing was run" in text and table["title"] in text
    for row in table["rows"]:
        for column in table["columns"]:
            if row[column] is not None:
                assert f"{row[column]:.1f}" in text


def test_our_rows_carry_their_protocol() -> None:
    table = load_table("table2")
    report = {"pck": 97.25, "auc": 80.0, "mpjpe_mm": 20.0, "protocol": "P & Q, T = 9", "frames": 7}
    ours = [OurRow("Our_model", {"3dhp": report})]
    text, latex = as_text(table, ours), as_latex(table, ours)
    assert "97.2" in text and "ours 1: P & Q, T = 9; 7 frames." in text
    assert r"Our\_model" in latex and r"P \& Q" in latex and SYNTHETIC not in text
    assert latex.count(r"\\") > len(table["rows"])
    lines = as_csv(table, ours).splitlines()
    assert [line for line in lines if line.startswith("ours,")][0].split(",")[5] == "97.25"
    assert any(line.startswith("# ours 1: ") for line in lines)


def test_load_table_refuses_unknown_names() -> None:
    with pytest.raises(UserError, match="there are table1"):
        load_table("table9")
