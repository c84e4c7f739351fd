"""Tables of text: regions under their measure, units said once, no number without its row."""

import pytest

from dpmed.core.specs import Statement
from dpmed.evaluate.details import Comparison, Difference
from dpmed.evaluate.tables import comparison_table


def comparison(regions: tuple[str, ...]) -> Comparison:
    differences = [
        Difference(
            measure=measure,
            region=region,
            this=40.0,
            other=42.5,
            difference=-2.5,
            difference_ci=(-4.0, -1.0),
            p=0.0002,
            test="Wilcoxon signed-rank",
        )
        for measure in ("dice", "hd95_mm")
        for region in regions
    ]
    said = Statement(
        epsilon=None,
        delta=1e-3,
        second_opinions={},
        noise_multiplier=0,
        sample_rate=0.5,
        clip_norm=None,
        steps=1,
        assumptions=(),
        covers=(),
        does_not_cover=(),
        valid=False,
        words="No guarantee.",
    )
    return Comparison(run="0" * 32, statement=said, differences=tuple(differences), notes=())


def test_several_regions_stand_under_their_measure() -> None:
    table = comparison_table(comparison(("whole_tumour", "tumour_core")))
    assert table.head[0] == "measure"
    names = [row[0] for row in table.rows]
    assert names == ["Dice", "  whole tumour", "  tumour core", "HD95, mm", "  whole tumour", "  tumour core"]


def test_a_single_region_heads_the_table() -> None:
    table = comparison_table(comparison(("whole_tumour",)))
    assert table.head[0] == "whole tumour"
    assert table.rows[1] == ("HD95, mm", "40.0", "42.5", "-2.5", "-4.0 to -1.0", "< 0.001")


@pytest.mark.parametrize("regions", [("a",), ("a", "b", "c")])
def test_every_row_has_a_cell_for_every_column(regions: tuple[str, ...]) -> None:
    table = comparison_table(comparison(regions))
    assert {len(row) for row in table.rows} == {len(table.head)}
