"""The enumerations of the manifest, values included."""

import enum

from ._manifest import MANIFEST

MeanReductionStrategy = DataLoaderMode = SharingStrategy = OutputMode = ConnectionType = None
HalfFloatCastingBehavior = ReductionType = SyncPattern = MatMulSerializationMode = Liveness = None
OverlapMode = AutoStage = MultiConvPlanType = CommGroupType = VariableRetrievalMode = None

for _name, _members in MANIFEST["enums"].items():
    _kind = enum.Enum if _name in MANIFEST["plain_enums"] else enum.IntEnum
    globals()[_name] = _kind(_name, _members)
