"""Labels of sequences: keys, clean texts, frames."""

import math
from collections import Counter

import pytest

from actionpose.prepare.amass.labels import Label, clean_text, frame_spans, sequence_key


@pytest.mark.parametrize(
    ("babel", "local"),
    [
        ("CMU/CMU/01/01_01_poses.npz", "CMU/01/01_01_poses.npz"),
        ("CMU/CMU/01/01_01_poses.npz", "CMU/01/01_01_stageii.npz"),
        ("CMU/CMU/01/01_01_poses.npz", "deep/CMU/CMU/01/01_01_poses.npz"),
        ("BMLrub/BioMotionLab_NTroje/rub1/00_a_poses.npz", "BMLrub/rub1/00_a_stageii.npz"),
        ("DFaust67/DFaust_67/50002/j_poses.npz", "DFaust/50002/j_poses.npz"),
        ("EyesJapanDataset/Eyes_Japan_Dataset/a/b-1-c d-e_poses.npz",
         "EyesJapanDataset/a/b-1-c_d-e_stageii.npz"),
        ("MPIHDM05/MPI_HDM05/bk/HDM_bk_poses.npz", "HDM05/bk/HDM_bk_stageii.npz"),
        ("MPILimits/MPI_Limits/03100/uar3_poses.npz", "PosePrior/03100/uar3_stageii.npz"),
        ("MPImosh/MPI_mosh/50022/stretch_poses_poses.npz", "MoSh/50022/stretch_poses_poses.npz"),
        ("SSMsynced/SSM_synced/2016/sync_poses.npz", "SSM/2016/sync_poses.npz"),
        ("TCDhandMocap/TCD_handMocap/E/w_poses.npz", "TCDHands/E/w_poses.npz"),
        ("Transitionsmocap/Transitions_mocap/mazen_c3d/x_poses.npz", "Transitions/mazen_c3d/x.npz"),
        ("ACCAD/ACCAD/Male2/B14 -  Walk turn_poses.npz", "ACCAD/Male2/B14_-__Walk_turn_poses.npz"),
    ],
)  # fmt: skip
def test_sequence_key_of_every_spelling(babel: str, local: str) -> None:
    assert sequence_key(babel) == sequence_key(local)
    assert sequence_key(babel) != sequence_key(babel.replace("_poses.npz", "2_poses.npz"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Walk\tforward_slowly. ", "walk forward slowly"),
        ("T-pose", "t-pose"),
        ("“sit”", "“sit”"),
        ("it's done!", "it's done"),
        ("ﬁx\u200b", "fix"),
        ("", ""),
        (None, ""),
        (3, ""),
        ("--", ""),
    ],
)
def test_clean_text(text: object, expected: str) -> None:
    assert clean_text(text) == expected


def test_frame_spans_clip_and_count() -> None:
    left_out = Counter()
    labels = [Label(2.3, 3.0, "b"), Label(0.1, 1.2, "a"), Label(0, math.inf, "all"),
              Label(2, 1, "turned"), Label(9, 10, "late"), Label(1, 1.01, "short"),
              Label(0.1, 1.2, "a"), Label(-1, 1, "early"), Label(1, 3.04, "over")]  # fmt: skip
    spans = frame_spans(labels, 90, 30.0, left_out)
    assert spans == [
        (0, 90, "all", "action"),
        (3, 36, "a", "action"),
        (30, 90, "over", "action"),
        (69, 90, "b", "action"),
    ]
    assert sum(left_out.values()) == 5 and len(left_out) == 4
