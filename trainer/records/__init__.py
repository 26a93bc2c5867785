"""What a run leaves behind: its folder, configuration, checkpoints and logs; and reading them again."""
