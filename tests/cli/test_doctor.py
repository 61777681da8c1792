"""`actionpose doctor`."""

import pytest
from helpers.command_line import call

from actionpose.cli import doctor


def test_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "doctor") == 0
    shown = capsys.readouterr().out
    for word in ("torch", "mediapipe", "rtmlib", "GPU", "telemetry off", "nothing is sent"):
        assert word in shown
    assert doctor.problems() == []


def test_doctor_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"opencv-python": "5.0", "opencv-contrib-python": "5.1", "ray": "2.6"}
    monkeypatch.setattr(doctor, "installed", lambda package: versions.get(package, ""))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    first, second = doctor.problems()
    assert "opencv-python and opencv-contrib-python" in first and "cv2" in first
    assert "RAY_USAGE_STATS_ENABLED" in second
