#!/usr/bin/env bash
# All steps from the raw downloads to Tables 1 to 3 and Figures 5, 7 and 8. A step is skipped if its
# output exists, so the script resumes where it stopped.
#
#   RAW=raw recipes/reproduce.sh            # weeks on one GPU; the data require a license
#   DRY=1 RAW=raw recipes/reproduce.sh      # prepare the data, then print the remaining steps
#   SWEEP="1 0.1 0.01" recipes/reproduce.sh # also train with these alignment weights (Table 1)
#
# On synthetic files and with small recipes, in minutes; the scores are meaningless:
#   PYTHONPATH=tests python -m helpers.paper_files smoke/raw && SMOKE=smoke recipes/reproduce.sh
#
# RAW contains, with their original names:
#   AMASS/, BABEL/, smplh/, J_regressor_h36m_correct.npy   docs/datasets/amass_babel.md
#   h36m_sh_conf_cam_source_final.pkl          Human3.6M as distributed by MotionBERT
#   data_train_3dhp.npz, data_test_3dhp.npz    MPI-INF-3DHP as prepared by P-STMO
#   MB_release/latest_epoch.bin                MotionBERT's pretrained weights
set -euo pipefail

if [ -n "${SMOKE:-}" ]; then
    RAW=$SMOKE/raw DATA=$SMOKE/data RUNS=$SMOKE/runs RECIPES=$SMOKE/raw/recipes
fi
RAW=${RAW:-raw}
DATA=${DATA:-data}
RUNS=${RUNS:-runs}
RECIPES=${RECIPES:-recipes}
WORK=$RUNS/reproduce
MOTIONBERT=$RAW/MB_release/latest_epoch.bin
ACTIONPOSE=${ACTIONPOSE:-actionpose}
DRY=${DRY:+--dry-run}

# 1. Data: check and convert.
[ -d "$DATA/amass_babel" ] || $ACTIONPOSE prepare amass-babel "$RAW/AMASS" "$RAW/BABEL" \
    "$DATA/amass_babel" --body-model "$RAW/smplh" --regressor "$RAW/J_regressor_h36m_correct.npy"
[ -d "$DATA/h36m" ] || $ACTIONPOSE prepare h36m "$RAW/h36m_sh_conf_cam_source_final.pkl" "$DATA/h36m"
[ -d "$DATA/3dhp" ] || $ACTIONPOSE prepare 3dhp "$RAW" "$DATA/3dhp"

# 2. Pretraining: the three rows of Table 3; the baseline is MotionBERT. $1 is the recipe, $2 the
#    run, the other arguments are settings.
finished() { grep -qs '"status": "finished"' "$1/report.json"; }
pretrain() {
    local recipe=$RECIPES/$1.yaml run=$2
    shift 2
    finished "$run" || $ACTIONPOSE pretrain --config "$recipe" --run "$run" $DRY \
        --init "$MOTIONBERT" --data.corpora "$DATA/amass_babel" 1 "$@"
}
for recipe in paper_pretrain paper_pretrain_mmm paper_pretrain_map; do
    pretrain $recipe "$RUNS/$recipe"
done
BASELINE="baseline=$MOTIONBERT" FULL="full=$RUNS/paper_pretrain"
MMM="mmm=$RUNS/paper_pretrain_mmm" MAP="map=$RUNS/paper_pretrain_map"

# 3. Pretraining and fine-tuning with each alignment weight in SWEEP.
SWEPT=()
for weight in ${SWEEP:-}; do
    run=$RUNS/paper_pretrain_alignment_$weight tuned=$WORK/h36m_alignment_$weight
    pretrain paper_pretrain "$run" --loss-weights.alignment "$weight"
    finished "$tuned" || $ACTIONPOSE finetune --config "$RECIPES/h36m.yaml" --run "$tuned" $DRY \
        --init "$run" --data.paired "$DATA/h36m"
    SWEPT+=(--checkpoint "alignment $weight=$tuned")
done
[ -z "$DRY" ] || SWEPT=()

# 4. Table 1: fine-tune on Human3.6M (60 epochs, T = 243), and score by MotionBERT's protocol.
$ACTIONPOSE reproduce table1 --h36m "$DATA/h36m" --pretrained "$FULL" \
    --out-dir "$WORK" --recipes "$RECIPES" $DRY ${SWEPT[@]+"${SWEPT[@]}"}

# 5. Table 2: fine-tune on MPI-INF-3DHP (90 epochs, T = 81, ground-truth 2D), and score the valid
#    frames.
$ACTIONPOSE reproduce table2 --3dhp "$DATA/3dhp" --pretrained "$FULL" \
    --out-dir "$WORK" --recipes "$RECIPES" $DRY

# 6. Table 3: the ablation; finished rows are not run again.
$ACTIONPOSE reproduce table3 --h36m "$DATA/h36m" --3dhp "$DATA/3dhp" \
    --pretrained "$BASELINE" --pretrained "$MMM" --pretrained "$MAP" --pretrained "$FULL" \
    --out-dir "$WORK" --recipes "$RECIPES" $DRY
[ -z "$DRY" ] || exit 0

# 7. Figure 5: embeddings of BABEL's motions, without and with text. Figure 7: two frames with
#    occlusion and one without, for the model and the baseline. Figure 8: clips of Human3.6M.
[ -f "$WORK/figure5.png" ] || $ACTIONPOSE reproduce figure5 --data "$DATA/amass_babel" \
    --checkpoint "$RUNS/paper_pretrain" --baseline "$MOTIONBERT" -o "$WORK/figure5.png"
[ -f "$WORK/figure7.png" ] || $ACTIONPOSE reproduce figure7 --h36m "$DATA/h36m" \
    --checkpoint "$WORK/h36m_full" --baseline "$WORK/h36m_baseline" -o "$WORK/figure7.png"
part=a
for labels in "bend down, kneel" "sit down, get up from a chair" \
    "walk, stand, walk forward, walk backward"; do
    [ -f "$WORK/figure8$part.png" ] || $ACTIONPOSE reproduce figure8 --h36m "$DATA/h36m" \
        --checkpoint "$WORK/h36m_full" --labels "$labels" -o "$WORK/figure8$part.png"
    part=$(tr abc bcd <<< "$part")
done
