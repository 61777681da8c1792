"""Commands for checkpoints: `actionpose models`."""

import json
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from actionpose.cli.options import Device, Quiet, check_outputs, progress_bar
from actionpose.utils.errors import UserError


def models_list() -> None:
    """List the models that ship with the package."""
    from actionpose.model_hub import bundled

    for name, folder in bundled().items():
        print(f"{name}\t{folder}")


def models_info(checkpoint: Positional[str] = "tiny", network: str | None = None) -> None:
    """Show the metadata of a checkpoint, or of the official weights of another network.

    Args:
        checkpoint: Name of a bundled model, folder of a checkpoint or run, official MotionBERT
            file, or Hub id; with --network, a file of official weights.
        network: Architecture of the official weights, such as mixste.
    """
    from actionpose.checkpoint import load, load_peer, weights_file
    from actionpose.model_hub import find
    from actionpose.models.peers import PEERS
    from actionpose.utils.files import sha256

    if network:
        peer = load_peer(network, checkpoint)
        facts = {key: getattr(PEERS[network], key) for key in ("units", "skeleton", "license")}
        sizes = {key: getattr(peer, key) for key in ("frames", "width", "depth", "channels")}
        count = sum(value.numel() for value in peer.parameters())
        print(json.dumps({"network": network, **sizes, **facts, "parameters": count}, indent=2))
        return
    folder = find(checkpoint)
    weights, meta = load(folder)
    count = sum(value.numel() for value in weights.values())
    found = {**meta, "sha256": sha256(weights_file(folder)), "parameters": count}
    print(json.dumps(found, indent=2))


def models_convert(
    checkpoint: Positional[str],
    out: Positional[Path],
    text: bool = False,
    network: str | None = None,
    num_heads: int | None = None,
    frames: int | None = None,
) -> None:
    """Write a checkpoint for release: half-precision weights, metadata and label embeddings.

    With --network, convert the official weights of another network into a checkpoint that `lift`
    can load.

    Args:
        checkpoint: Folder of a checkpoint or run, or official MotionBERT file; with --network, a
            file of official weights.
        out: Folder to create.
        text: Include the trained text encoder, for labels that are not in the training data.
        network: Architecture of the official weights, such as mixste.
        num_heads: Number of attention heads, if it differs from the official one.
        frames: Number of frames per clip, if the weights do not determine it.
    """
    from actionpose.checkpoint import convert_peer, publish
    from actionpose.model_hub import find

    if network:
        file = Path(checkpoint)
        print(f"wrote   {convert_peer(network, file, out, num_heads=num_heads, frames=frames)}")
    else:
        print(f"wrote   {publish(find(checkpoint), out, text=text)}")


def models_export(
    checkpoint: Positional[str],
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE")],
) -> None:
    """Export the network to ONNX, OpenVINO, or the file format of MotionBERT's code.

    Args:
        checkpoint: Name of a bundled model, folder of a checkpoint or run, official MotionBERT
            file, or Hub id.
        out: File to write. The suffix selects the format: onnx; xml for OpenVINO, with the weights
            in a bin file beside it; bin for MotionBERT's code, if the architecture is the same.
    """
    from actionpose.checkpoint import export_motionbert
    from actionpose.inference.engines.export import SUFFIXES, export_network
    from actionpose.model_hub import find

    check_outputs((out,), [*SUFFIXES, ".bin"], "model.onnx")
    if out.suffix.lower() == ".bin":
        meta = export_motionbert(find(checkpoint), out)
        names = {"dim": "dim_feat", "max_frames": "maxlen"}  # names of the settings in MotionBERT
        sizes = ("dim", "dim_rep", "depth", "num_heads", "mlp_ratio", "max_frames")
        facts = ", ".join(f"{names.get(size, size)} {meta['model'][size]:g}" for size in sizes)
        print(f"wrote   {out}: {facts}; input in units of the {meta['normalization']}")
        return
    exported = export_network(find(checkpoint), out)
    shortest, longest = exported["frames"]
    length = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
    print(
        f"wrote   {out}: clips of {length} frames at {exported['fps']:g} Hz, normalized by the "
        f"{exported['normalization']}; {len(exported['labels'])} labels; outputs equal torch's"
    )


def models_calibrate(
    checkpoint: Positional[str],
    data: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(help="Folder of a corpus. May be repeated.")
    ],
    split: Annotated[str, arg(help="Split of the corpora to calibrate on.")] = "val",
    actions: Annotated[
        bool, arg(help="Whether to calibrate the action labels of a model with error bars, too.")
    ] = True,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Calibrate the threshold of "other", the confidence of labels and the error bars.

    Args:
        checkpoint: Folder of a checkpoint or run. Its meta.json gets `rejection_threshold` and
            `confidence_weights` if the model has a text embedding, and `error_bars` if it has
            uncertainty heads.
    """
    from dataclasses import asdict

    from actionpose.checkpoint import META
    from actionpose.datasets.corpus import open_corpus
    from actionpose.evaluation import error_bars
    from actionpose.evaluation.calibration import calibrate as best_threshold
    from actionpose.inference.predictor import ActionPose
    from actionpose.model_hub import find
    from actionpose.utils.files import write_json

    folder = find(checkpoint)
    model = ActionPose.from_pretrained(folder, device, engine="torch")
    corpora = [open_corpus(place) for place in data]
    if not corpora:
        raise UserError("name the corpora to calibrate on, with --data FOLDER")
    has_heads = model.encoder.heads is not None
    if not (model.knows_actions or has_heads):
        raise UserError(f"{checkpoint} has nothing to calibrate: neither text nor error bars")
    path = folder / META
    meta = json.loads(path.read_text(encoding="utf-8"))
    where = f"{', '.join(corpus.name for corpus in corpora)}, {split}"

    def progress(items: Any) -> Any:
        return progress_bar(items, quiet=quiet)

    if has_heads:
        people = error_bars.heads_errors(model, corpora, split, progress)
        covered = error_bars.coverage_of_others(people)
        bars = error_bars.fitted_bars(people.values(), where)
        meta |= {"error_bars": asdict(bars)}
        print(
            f"error bars are {bars.factor_68:.2f} and {bars.factor_95:.2f} expected errors; by the "
            f"factors of the other people, {covered[0]:.1f} and {covered[1]:.1f} % of a person's "
            "joints are within those of 68 and 95 %"
        )
    if model.knows_actions and (actions or not has_heads):
        found = best_threshold(model, corpora, split, progress)
        stored = ("rejection_threshold", "confidence_weights")
        meta |= {key: found[key] for key in stored if key in found}
        meta |= {"rejection_calibrated_on": where}
        print(
            f"a label has to reach a cosine of {found['rejection_threshold']:.3f}: "
            f"{found['accepted']:.0f} % of the time steps whose label is offered do, "
            f"{found['rejected']:.0f} % of those whose label is not do not"
        )
        if "reliability" in found:
            print(f"confidence is off by {found['calibration_error']:.1f} % of labels (ECE):")
        for mean, accuracy, number in found.get("reliability", ()):
            print(f"  {mean:3.0f} %: {accuracy:3.0f} % of {number} labels are right")
    write_json(path, meta)
    print(f"wrote   {path}")
