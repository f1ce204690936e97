"""`sindbad …`: one thin file per group of commands. Heavy imports stay inside the commands: `--help` is quick."""
