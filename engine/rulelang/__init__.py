"""The rule language: from TOML tables to a checked `RuleSet`."""
