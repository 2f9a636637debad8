"""Policy as code: the register of strategies, typed, loaded from YAML, linted."""
