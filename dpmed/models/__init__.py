"""THE CATALOGUE: named networks, and the check that each can be trained with privacy."""
