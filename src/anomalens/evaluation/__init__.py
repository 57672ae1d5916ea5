"""Evaluation: tasks fitted and tested, alone, in suites and in sweeps; result cards and their comparison."""
