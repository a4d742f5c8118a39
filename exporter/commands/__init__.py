"""The subcommands: each has `add_arguments(parser)` and `execute(arguments)`; what they share."""
