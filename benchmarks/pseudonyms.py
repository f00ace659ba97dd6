"""How fast new identities become pseudonyms: 2-of-3, proofs verified, all roles on this machine's cores.

    python -m benchmarks.pseudonyms [--identities 10000] [--runs 3]

Two workers each play client and both holders for their half of the identities, in batches as a node sends them. Prints
pseudonyms per second and where the time goes. Network, logging and databases are not in it: ``relay.py`` has those.
"""

import argparse
import os
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from benchmarks.machine import describe_machine, median_of

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import HolderCard
from health_exchange.node.pseudonyms import ROUND_IDENTITIES_MAX
from health_exchange.pseudonym.dealing import GeneratedKey, generate_key
from health_exchange.pseudonym.identities import Identity, IdentityKind
from health_exchange.pseudonym.threshold import (
    EvaluationRequest,
    KeyShare,
    blind,
    check_response,
    evaluate,
    unblind,
)

AIM_PER_S = 2500
WORKERS = 2


def make(numbers: range, key: GeneratedKey) -> dict[str, float]:
    """Pseudonyms for passports ``numbers``; seconds spent on each step."""
    spent: dict[str, float] = defaultdict(float)

    def timed(step: str, began: float) -> None:
        spent[step] += time.perf_counter() - began

    shares = [KeyShare(epoch=1, version=1, index=index, secret=key.shares[index]) for index in (1, 2)]
    holders = {
        index: HolderCard(address=NodeAddress(("cn",)), index=index, share_public=key.share_publics[index])
        for index in (1, 2)
    }
    for start in range(numbers.start, numbers.stop, ROUND_IDENTITIES_MAX):
        batch = range(start, min(start + ROUND_IDENTITIES_MAX, numbers.stop))
        identities = [Identity(IdentityKind.PASSPORT, f"GBR|{number:09d}") for number in batch]
        began = time.perf_counter()
        blinded = blind(identities, os.urandom)
        timed("client: blind", began)
        request = EvaluationRequest(epoch=1, version=1, elements=list(blinded.elements))
        responses = {}
        for share in shares:
            began = time.perf_counter()
            responses[share.index] = evaluate(share, request, os.urandom)
            timed("holders: evaluate and prove", began)
        for index, response in responses.items():
            began = time.perf_counter()
            check_response(request, response, holders[index])
            timed("client: verify proofs", began)
        began = time.perf_counter()
        names = unblind(blinded, responses, epoch=1)
        timed("client: combine and unblind", began)
        assert len({name.pseudonym for name in names}) == len(batch)
    return dict(spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identities", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    key = generate_key(threshold=2, holders=3, randomness=os.urandom)
    half = arguments.identities // WORKERS
    parts = [range(number * half, (number + 1) * half) for number in range(WORKERS)]
    spent: dict[str, float] = defaultdict(float)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(make, key=key), [range(10)] * WORKERS))

        def measure() -> float:
            began = time.perf_counter()
            for part in pool.map(partial(make, key=key), parts):
                for step, seconds in part.items():
                    spent[step] += seconds
            elapsed = time.perf_counter() - began
            return float(half * WORKERS) / elapsed

        middle, found = median_of(measure, arguments.runs)
    print(describe_machine())
    print(f"{middle:,.0f} pseudonyms/s (median of {', '.join(f'{each:,.0f}' for each in found)}); aim {AIM_PER_S:,}")
    total = sum(spent.values())
    for step, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {seconds / total:5.1%}  {step}")


if __name__ == "__main__":
    main()
