"""ROOM 3: a trained model on patients it has not seen: predictions, metrics, pictures, the model card."""

from dpmed.evaluate.card import write_card
from dpmed.evaluate.results import Evaluation
from dpmed.evaluate.run import EvaluateEvent, evaluate

__all__ = ["EvaluateEvent", "Evaluation", "evaluate", "write_card"]
