"""Addresses route: every walk between two nodes ends, and by the shortest way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.addresses import NodeAddress

SEGMENT = st.sampled_from(["33", "3305", "330521"])
ADDRESS = st.lists(SEGMENT, max_size=3).map(lambda below: NodeAddress(("cn", *below)))


@given(start=ADDRESS, goal=ADDRESS)
def test_a_walk_arrives_within_the_height_of_the_tree(start: NodeAddress, goal: NodeAddress) -> None:
    here, hops = start, 0
    while (step := here.next_hop(goal)) is not None:
        assert here.parent == step or step.parent == here
        here, hops = step, hops + 1

    assert here == goal
    assert hops <= len(start.segments) + len(goal.segments) - 2


@given(address=ADDRESS)
def test_what_is_written_reads_back(address: NodeAddress) -> None:
    assert NodeAddress.parse(str(address)) == address


@given(address=ADDRESS)
def test_ancestors_are_the_parents_one_after_the_other(address: NodeAddress) -> None:
    walked, here = [], address.parent
    while here is not None:
        walked.append(here)
        here = here.parent

    assert address.ancestors == tuple(walked)


@pytest.mark.parametrize("text", ["", "cn/", "CN", "33/cn", "cn/3", "cn/33/3305/330521/1", "cn/33x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        NodeAddress.parse(text)
