"""PUBLIC WEIGHTS: ordinary training on scans that are nobody's secret, and a record of what was seen."""

from dpmed.pretrain.request import PretrainDone, PretrainRequest
from dpmed.pretrain.run import pretrain

__all__ = ["PretrainDone", "PretrainRequest", "pretrain"]
