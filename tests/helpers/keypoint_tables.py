"""Tables of keypoints as DeepLabCut and Sports2D write them, for tests."""

import numpy as np

RNG = np.random.default_rng(3)


FRAMES = 6


def points(joints: int) -> np.ndarray:
    """(FRAMES, joints, 3) pixels and confidence."""
    return np.concatenate(
        [RNG.uniform(50, 900, (FRAMES, joints, 2)), RNG.uniform(0.2, 1, (FRAMES, joints, 1))], -1
    ).round(3)


def deeplabcut(
    names: list[str], people: dict[str, np.ndarray], index: list[str] | None = None
) -> str:
    """The table as DeepLabCut writes it; individuals only if there are several."""
    columns = [(p, n, c) for p in people for n in names for c in ("x", "y", "likelihood")]
    rows = [["scorer", *["net"] * len(columns)]]
    if len(people) > 1:
        rows.append(["individuals", *(p for p, _, _ in columns)])
    rows += [
        ["bodyparts", *(n for _, n, _ in columns)],
        ["coords", *(c for _, _, c in columns)],
    ]
    for frame in range(FRAMES):
        values = np.concatenate([body[frame].ravel() for body in people.values()])
        cells = ["" if np.isnan(v) else repr(float(v)) for v in values]
        rows.append([index[frame] if index else str(frame), *cells])
    return "\n".join(",".join(row) for row in rows) + "\n"


def trc(names: list[str], body: np.ndarray, units: str = "m", rate: str = "60") -> str:
    """The table as Sports2D writes it: pixels, though the units may say m."""
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tx.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame",
        f"{rate}\t{rate}\t{len(body)}\t{len(names)}\t{units}\t{rate}\t1",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\t",
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(names) + 1)),
    ]
    for frame, marks in enumerate(body):
        cells = "\t".join(f"{x}\t{y}\t0" if x else "\t\t" for x, y, _ in marks)
        lines.append(f"{frame + 1}\t{frame / float(rate):.6f}\t{cells}")
    return "\n".join(lines) + "\n"
