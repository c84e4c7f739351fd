"""THE WAY OUT: a trained model in the formats of other people's viewers and servers, each opened again and compared."""

from dpmed.export.run import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "export"]
