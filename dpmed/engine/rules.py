"""Batch, steps, learning rate and draws by rule, where a recipe leaves them out: from public numbers alone.

The batch is as large as is feasible, since it divides the noise (De et al. 2022, arXiv:2204.13650; Ponomareva et al.
2023, arXiv:2303.00654). How far weights may walk, learning rate times steps, grows with epsilon (Panda et al. 2022,
arXiv:2212.04486) and, as noise is known by epsilon times patients alone, with their number. The constants are those of
the recipe `covid-ct`; they are not the outcome of a search.
"""

import math

from dpmed.core.recipe import Recipe
from dpmed.privacy.spec import BANDS

FEW = 1000
"""Up to so many patients, half of them are in a step; beyond, time counts too, and the batch grows by its root."""
USUAL = 8.0 * 300
"""Epsilon times patients for which `STEPS` steps at the usual rate are right."""
STEPS, LEAST_STEPS, MOST_STEPS = 120, 20, 500
SGD_WALK, ADAM_RATE = 0.1, 0.01
"""Learning rate times clip norm of SGD; the rate of Adam, which knows no scale."""
VIEWS, LEAST_VIEWS, MOST_VIEWS = 1200, 2, 8


def batch_of(patients: int, *, bands: int = 1) -> int:
    """Expected patients a step; with `bands`, no more than are in one of so many groups."""
    half = patients / 2 if patients <= FEW else FEW / 2 * math.sqrt(patients / FEW)
    return max(1, min(int(half), patients // bands))


def steps_of(epsilon: float, patients: int) -> int:
    """As many as the budget carries, and at least and at most some."""
    return round(max(LEAST_STEPS, min(MOST_STEPS, STEPS * epsilon * patients / USUAL)))


def rate_share(epsilon: float, patients: int) -> float:
    """Of the usual learning rate: less where the least steps are more than the budget carries."""
    return min(1.0, STEPS * epsilon * patients / USUAL / LEAST_STEPS)


def draws_of(patients: int) -> int:
    """Views or slices of a patient in one gradient: they cost time and no epsilon, and few patients take little."""
    return max(LEAST_VIEWS, min(MOST_VIEWS, VIEWS // patients)) if patients else LEAST_VIEWS


def by_rule(recipe: Recipe, *, patients: int) -> tuple[Recipe, dict[str, str]]:
    """The recipe with the keys it leaves out chosen, and why each was; unchanged unless its plan is "by rule".

    Depends on the recipe and the number of training patients alone, which are public.
    """
    privacy, optimizer, data = recipe.privacy, recipe.optimizer, recipe.data
    if privacy.plan != "by rule":
        return recipe, {}
    bands = (privacy.bands or BANDS) if privacy.mechanism == "bandmf" else 1
    usual = SGD_WALK / privacy.clip_norm if optimizer.name == "sgd" else ADAM_RATE
    budget = f"epsilon {privacy.epsilon:g} on {patients:,} patients"
    most = privacy.truncate_at or patients
    chosen = {
        "privacy.expected_batch_size": (min(most, batch_of(patients, bands=bands)), "large batches divide the noise"),
        "privacy.steps": (steps_of(privacy.epsilon, patients), f"what {budget} carries"),
        "optimizer.learning_rate": (
            float(f"{usual * rate_share(privacy.epsilon, patients):.3g}"),
            f"clip norm {privacy.clip_norm:g}, {budget}",
        ),
        "data.draws_per_patient": (draws_of(patients), "views cost time and no epsilon"),
    }
    given = {
        f"{table}.{key}"
        for table in ("privacy", "optimizer", "data")
        for key in getattr(recipe, table).model_fields_set
    }
    left = {key: value for key, value in chosen.items() if key not in given}
    sections = {"privacy": privacy, "optimizer": optimizer, "data": data}
    for key, (number, _) in left.items():
        table, _, name = key.partition(".")
        sections[table] = sections[table].model_copy(update={name: number})
    return recipe.model_copy(update=sections), {key: f"{number:g}: {why}" for key, (number, why) in left.items()}
