"""The subcommands of `trainer`, a module each: `add(subcommands)` declares one, `run(options)` does it."""
