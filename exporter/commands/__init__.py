"""The subcommands, each with `add_arguments(parser)` and `execute(arguments)`; what they share."""
