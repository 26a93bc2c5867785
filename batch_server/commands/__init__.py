"""The subcommands of `batch-server`, a module each: `add(subcommands)` declares one, `run(options)` does it."""
