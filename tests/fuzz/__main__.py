"""Fuzz for as long as wanted: `python -m tests.fuzz --seconds=600 [--target=NAME]`.

One target after the other, guided by coverage if atheris is installed. The inputs that reached new
code stay in build/fuzz/TARGET, and the next run begins with them. Prints a table; exit code 1 if an
input showed a defect, which is then printed.
"""

import argparse
import hashlib
import importlib.util
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.mutate import LONGEST_INPUT, fuzz_with_hypothesis, words
from tests.fuzz.target import FuzzTarget
from tests.fuzz.targets import TARGETS
from tests.support.log_lines import log_to

BUILD: Final = Path(__file__).parents[2] / "build" / "fuzz"

SLOW_SECONDS: Final = 10
"""An input that takes longer is a defect."""


def guided(target: FuzzTarget, seconds: int) -> int | None:
    """Return the number of inputs; `None` after a defect."""
    corpus, dictionary = BUILD / target.name, BUILD / f"{target.name}.dict"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds:
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in words(target.seeds)))
    arguments = (
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SLOW_SECONDS}",
        f"-dict={dictionary}",
        f"-artifact_prefix={BUILD}/{target.name}-",
        "-print_final_stats=1",
        "-verbosity=0",
        str(corpus),
    )
    command = [sys.executable, "-m", "tests.fuzz.guided", target.name, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    output = ended.stdout + ended.stderr
    executed = re.search(r"number_of_executed_units: *(\d+)", output)
    if ended.returncode or executed is None:
        sys.stderr.write(re.sub(r"(?m)^(INFO|WARNING): .*\n", "", output)[:10_000])
        return None
    return int(executed[1])


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def unguided(target: FuzzTarget, seconds: int) -> int | None:
    """Return the number of inputs; `None` after a defect."""
    log_to("error")
    try:
        return fuzz_with_hypothesis(target, seconds, first_seed=random.getrandbits(32))
    except AssertionError as defect:
        sys.stderr.write(f"{defect}\n")
        return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    names = [target.name for target in TARGETS]
    parser.add_argument("--target", choices=names, action="append", help="default: all")
    options = parser.parse_args()
    has_atheris = importlib.util.find_spec("atheris") is not None
    fuzz = guided if has_atheris else unguided
    how = "guided by coverage" if has_atheris else "not guided: atheris is not installed"
    sys.stdout.write(f"| target | inputs ({how}) |\n| --- | --- |\n")
    failed = False
    for target in TARGETS:
        if target.name in (options.target or names):
            count = fuzz(target, options.seconds)
            failed |= count is None
            shown = "a defect, see above" if count is None else f"{count:,}"
            sys.stdout.write(f"| {target.name} | {shown} |\n")
            sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
