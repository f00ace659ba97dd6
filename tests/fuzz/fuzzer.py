"""One fuzzing process: ``python -m tests.fuzz.fuzzer TARGET --runs N --seconds N --seed N --folder DIR``.

Ends with 0 after its runs or its time. What a target could not take ends it otherwise, after the traceback; the input
lies in the folder then, and is one for ``tests/fuzz/found``. A slow input (10 s) and a greedy one (2 GiB) end it, too.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import atheris

SECONDS_MAX = 10
MEBIBYTES_MAX = 2048
SEED = 45
FEW = 0.5
"""So often JSON is changed as a tree."""


def main() -> None:
    """Fuzz one target."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.fuzzer", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=0, help="so many executions; 0 for as many as the time allows")
    parser.add_argument("--seconds", type=int, default=0, help="so long; 0 for as long as the runs take")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--folder", type=Path, required=True, help="for the corpus, and for what is found")
    arguments = parser.parse_args()
    # Only what is imported in here tells which of its branches an input has taken.
    with atheris.instrument_imports(include=["health_exchange"], enable_loader_override=False):
        from tests.fuzz.seeds import found_by, seeds_of, words
        from tests.fuzz.targets import TARGETS, attempt
    target = TARGETS[arguments.target]
    corpus = arguments.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate((*seeds_of(arguments.target), *found_by(arguments.target).values())):
        corpus.joinpath(f"seed-{number:04}").write_bytes(raw)
    names = words(arguments.target)
    dictionary = arguments.folder / "dictionary"
    dictionary.write_text("".join(f'"{word}"\n' for word in names))
    flags = [
        sys.argv[0],
        str(corpus),
        f"-dict={dictionary}",
        f"-artifact_prefix={arguments.folder}/",
        f"-max_len={target.bytes_max}",
        f"-runs={arguments.runs or -1}",
        f"-max_total_time={arguments.seconds}",
        f"-seed={arguments.seed}",
        f"-timeout={SECONDS_MAX}",
        f"-rss_limit_mb={MEBIBYTES_MAX}",
        "-print_final_stats=1",
        "-reload=0",
    ]
    mutator = _by_trees(names) if target.is_json else None
    atheris.Setup(flags, lambda raw: attempt(target, raw), custom_mutator=mutator)
    atheris.Fuzz()


def _by_trees(names: Sequence[str]) -> Callable[[bytes, int, int], bytes]:
    """Changes JSON as a tree about as often as bytes."""
    from tests.fuzz.trees import changed

    def mutated(raw: bytes, bytes_max: int, seed: int) -> bytes:
        dice = Random(seed)
        if dice.random() < FEW:
            made = changed(raw, dice, bytes_max, names)
            if made != raw:
                return made
        return bytes(atheris.Mutate(raw, bytes_max))

    return mutated


if __name__ == "__main__":
    main()
