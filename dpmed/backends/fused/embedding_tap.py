"""Embeddings."""

from torch import Tensor, nn

from dpmed.backends.fused.tap import Given, Saved


def is_plain_embedding(layer: nn.Embedding) -> bool:
    """Whether its gradient is a plain sum over the places of a word; `max_norm` would write to the weights."""
    return layer.max_norm is None and not layer.scale_grad_by_freq and not layer.sparse


class EmbeddingTap:
    """Rows of a table, looked up by number."""

    def __init__(self, layer: nn.Embedding, names: dict[str, str]) -> None:
        self._layer, self._name = layer, names["weight"]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return nn.functional.embedding(inputs, self._layer.weight), ()

    def backward(self, given: Given) -> None:
        """Every patient's table, each place added to its row."""
        outputs, collector = given.outputs, given.collector
        patients, (rows, width) = collector.patients, self._layer.weight.shape
        words, made = given.inputs.view(patients, -1), outputs.reshape(patients, -1, width)
        gradient = outputs.new_zeros(patients, rows, width)
        gradient.scatter_add_(1, words.unsqueeze(-1).expand_as(made), made)
        if self._layer.padding_idx is not None:
            gradient[:, self._layer.padding_idx] = 0
        collector.keep(self._name, gradient)
