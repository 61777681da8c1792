#!/usr/bin/env bash
# From the raw downloads to the tables of the paper, top to bottom. Every step is skipped when its
# output is there, so the script goes on where it stopped.
#
#   RAW=raw recipes/reproduce.sh            # days on one GPU; the data need a license
#   DRY=1 RAW=raw recipes/reproduce.sh      # prepares the data, then prints what would run
#   python tests/helpers/synthetic_fixtures.py raw && SMOKE=1 RAW=raw recipes/reproduce.sh
#                                           # minutes on synthetic fixtures; numbers mean nothing
#
# RAW holds, under their usual names:
#   h36m_sh_conf_cam_source_final.pkl          Human3.6M as MotionBERT passes it on
#   data_train_3dhp.npz, data_test_3dhp.npz    MPI-INF-3DHP as P-STMO makes them
#   MB_release/latest_epoch.bin                MotionBERT's pretrained weights
# PRETRAINED_FULL, _MMM and _MAP name the pretrained encoders: runs of `actionpose pretrain` with
# both of its tasks, with masks only, and with alignment only.
set -euo pipefail

RAW=${RAW:-raw}
DATA=${DATA:-data}
WORK=${WORK:-runs/reproduce}
RECIPES=${RECIPES:-recipes}
FULL=${PRETRAINED_FULL:-runs/pretrain}
MMM=${PRETRAINED_MMM:-runs/pretrain_mmm}
MAP=${PRETRAINED_MAP:-runs/pretrain_map}
BASELINE=${PRETRAINED_BASELINE:-$RAW/MB_release/latest_epoch.bin}
ACTIONPOSE=${ACTIONPOSE:-actionpose}
OPTIONS=()
[ -n "${DRY:-}" ] && OPTIONS+=(--dry-run)

# 1. Data: read once, checked, and stored as flat arrays (docs/evaluation.md).
[ -d "$DATA/h36m" ] || $ACTIONPOSE prepare h36m "$RAW/h36m_sh_conf_cam_source_final.pkl" "$DATA/h36m"
[ -d "$DATA/3dhp" ] || $ACTIONPOSE prepare 3dhp "$RAW" "$DATA/3dhp"

# On synthetic fixtures: recipes of a bundled model's sizes, a few steps, one encoder for all rows.
if [ -n "${SMOKE:-}" ]; then
    RECIPES=$WORK/recipes
    mkdir -p "$RECIPES"
    for name in h36m 3dhp h36m_baseline 3dhp_baseline; do
        cat > "$RECIPES/$name.yaml" <<'YAML'
model: {dim: 64, depth: 4, num_heads: 2, mlp_ratio: 2, dim_rep: 64, max_frames: 81,
  middle_layer: 1, embedding_depth: 3, embedding_dim: 256}
data: {frames: 81, stride: 27}
training: {epochs: 0.2, batch_size: 4, learning_rate: 2e-4, device: cpu}
YAML
    done
    FULL=tiny MMM=tiny MAP=tiny BASELINE=tiny
fi

# 2. Table 1: fine-tune on Human3.6M (60 epochs, T = 243), score by MotionBERT's protocol.
$ACTIONPOSE reproduce table1 --h36m "$DATA/h36m" --pretrained "full=$FULL" \
    --out-dir "$WORK" --recipes "$RECIPES" ${OPTIONS[@]+"${OPTIONS[@]}"}

# 3. Table 2: fine-tune on MPI-INF-3DHP (90 epochs, T = 81, true 2D), score the valid frames.
$ACTIONPOSE reproduce table2 --3dhp "$DATA/3dhp" --pretrained "full=$FULL" \
    --out-dir "$WORK" --recipes "$RECIPES" ${OPTIONS[@]+"${OPTIONS[@]}"}

# 4. Table 3: the ablation; the rows above are not run again.
$ACTIONPOSE reproduce table3 --h36m "$DATA/h36m" --3dhp "$DATA/3dhp" \
    --pretrained "baseline=$BASELINE" --pretrained "mmm=$MMM" \
    --pretrained "map=$MAP" --pretrained "full=$FULL" \
    --out-dir "$WORK" --recipes "$RECIPES" ${OPTIONS[@]+"${OPTIONS[@]}"}

# 5. Figure 7: two occluded frames and a clear one, ours beside the baseline.
[ -n "${DRY:-}" ] || $ACTIONPOSE reproduce figure7 --h36m "$DATA/h36m" \
    --checkpoint "$WORK/h36m_full" --baseline "$WORK/h36m_baseline" -o "$WORK/figure7.png"
