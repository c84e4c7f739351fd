"""Studies: many trainings of one question over epsilons, seeds and folds, and the page of what they found."""
