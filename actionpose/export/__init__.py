"""Writers of file formats. Importing this package registers all suffixes of `Result.save`.

A writer is imported when the first file with its suffix is written, so that this import is fast.
"""

from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from actionpose.utils.writers import register_writer

if TYPE_CHECKING:
    from actionpose.result import Result

_WRITERS = {
    ".npz": "actionpose.result:write_npz",
    ".json": "actionpose.export.tabular:write_json",
    ".csv": "actionpose.export.tabular:write_csv",
    ".png": "actionpose.visualization.picture:write_picture",
    ".html": "actionpose.visualization.html_viewer:write_html",
    ".mp4": "actionpose.visualization.video_overlay:write_video",
    ".bvh": "actionpose.export.bvh:write_bvh",
    ".trc": "actionpose.export.markers:write_trc",
    ".c3d": "actionpose.export.markers:write_c3d",
    ".glb": "actionpose.export.gltf:write_glb",
}


def _register(suffix: str, writer: str) -> None:
    def write(result: "Result", path: Path, **options: Any) -> list[Path] | None:
        return resolve_name(writer)(result, path, **options)

    register_writer(suffix, write)


for _suffix, _writer in _WRITERS.items():
    _register(_suffix, _writer)
