"""The limit of open files: each device's socket and each connection takes one."""

import resource

_SPARE = 64


def raise_file_limit(sockets: int) -> None:
    """Raise the soft limit to the hard one. Raises ValueError if `sockets` don't fit under it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and sockets + _SPARE > hard:
        raise ValueError(
            f"{sockets} devices need {sockets + _SPARE} open files, the limit is {hard}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
