"""Metrics of 3D poses, of retrieval, and bootstrap intervals of their means."""

from actionpose.metrics.pose import auc, mpjpe, mpjve, n_mpjpe, p_mpjpe, pck

__all__ = ["auc", "mpjpe", "mpjve", "n_mpjpe", "p_mpjpe", "pck"]
