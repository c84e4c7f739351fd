"""THE VAULT: sampling, clipping, noise, ledger, accounting, statement; independent of each other."""
