"""Metrics of 3D poses and of retrieval, and bootstrap confidence intervals."""

from actionpose.metrics.pose import auc, mpjpe, mpjve, n_mpjpe, p_mpjpe, pck

__all__ = ["auc", "mpjpe", "mpjve", "n_mpjpe", "p_mpjpe", "pck"]
