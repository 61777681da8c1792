"""JSON of unknown origin is checked before it is used."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from actionpose.utils.errors import UserError
from actionpose.utils.json_files import Checked, parse_json, read_json, read_json_lines, typed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON, or cut off"),
        ("[1, 2", "not JSON, or cut off"),
        ("[" * 60 + "]" * 60, "nested more than 50 deep"),
        ("[" * 100_000 + "]" * 100_000, "recursion"),
        ("[9223372036854775808]", "an integer is beyond 64 bits"),
        (f'{{"a": {"9" * 5000}}}', "not JSON"),
        (r'{"\udcff": 1}', "surrogates not allowed"),
        (r'["a", "\udcff"]', "surrogates not allowed"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_parse_json_refuses(text: str | bytes, reason: str) -> None:
    with pytest.raises(UserError, match=f"(?i)it is {reason}|it is not JSON.*{reason}"):
        parse_json(text, "it")


def test_parse_json_takes_what_files_hold() -> None:
    text = '\N{ZERO WIDTH NO-BREAK SPACE}{"a": [1, -2.5, null, true, "人"], "b": {}}'
    assert parse_json(text.encode(), "it") == {"a": [1, -2.5, None, True, "人"], "b": {}}
    assert parse_json("[" * 49 + "9223372036854775807" + "]" * 49, "it")


def test_read_json_limits_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2, 3]")
    assert read_json(path, 9) == [1, 2, 3]
    with pytest.raises(UserError, match=r"a\.json is larger than 8 bytes"):
        read_json(path, 8)
    with pytest.raises(UserError, match="cannot read .*absent.*: No such file"):
        read_json(tmp_path / "absent")
    with pytest.raises(UserError, match="cannot read .*: Is a directory"):
        read_json(tmp_path)


@dataclass(frozen=True)
class Row(Checked):
    name: str
    values: tuple[float, ...] = ()


def test_typed_names_the_place() -> None:
    assert typed(Row, {"name": "a", "values": [1, 2.5], "more": 0}, "it") == Row("a", (1, 2.5))
    with pytest.raises(UserError, match=r"^it: name: field required"):
        typed(Row, {}, "it")
    with pytest.raises(UserError, match=r"^it: values\.1: input should be a valid number"):
        typed(Row, {"name": "a", "values": [1, "2"]}, "it")
    with pytest.raises(UserError, match=r"^it: values\.0: input should be a finite number"):
        typed(Row, {"name": "a", "values": [float("nan")]}, "it")


def test_read_json_lines_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"name": "a"}\n{"name": "b"}\n')
    assert [row.name for row in read_json_lines(path, Row)] == ["a", "b"]
    path.write_text('{"name": "a"}\n{"name": 1}\n')
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: name: input should be a valid string"):
        list(read_json_lines(path, Row))
