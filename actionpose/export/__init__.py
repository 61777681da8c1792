"""Files of other formats. The import of this package teaches `Result.save` their suffixes.

A writer is imported when the first file of its suffix is written, so that this import is quick.
"""

from pathlib import Path
from pkgutil import resolve_name

from actionpose.result import Result, register_writer

_WRITERS = {
    ".json": "actionpose.export.tabular:write_json",
    ".csv": "actionpose.export.tabular:write_csv",
    ".png": "actionpose.visualization.picture:picture",
    ".html": "actionpose.visualization.html_viewer:html",
    ".mp4": "actionpose.visualization.video_overlay:video",
    ".bvh": "actionpose.export.bvh:bvh",
    ".trc": "actionpose.export.markers:trc",
    ".c3d": "actionpose.export.markers:c3d",
    ".glb": "actionpose.export.gltf:glb",
}


def _register(suffix: str, writer: str) -> None:
    def write(result: Result, path: Path) -> list[Path] | None:
        return resolve_name(writer)(result, path)

    register_writer(suffix, write)


for _suffix, _writer in _WRITERS.items():
    _register(_suffix, _writer)
