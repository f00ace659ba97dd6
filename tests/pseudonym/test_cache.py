"""The sealed cache and the quotas of key holders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.pseudonym.cache import cache_tag, open_identity, open_name, seal_identity, seal_name
from health_exchange.pseudonym.identities import Identity, IdentityKind
from health_exchange.pseudonym.quotas import holder_quota
from health_exchange.pseudonym.threshold import Name

KEY, OTHER = Secret(b"k" * 32), Secret(b"o" * 32)
WHO = Identity(IdentityKind.NATIONAL_ID, "11010519491231002X")
P = Name(pseudonym=Pseudonym("abcdefghijklmnopqrstuvwxyz"), link=Secret(b"l" * 32))


def test_what_is_kept_opens_beside_its_tag_only() -> None:
    tag = cache_tag(KEY, WHO)
    sealed = seal_name(KEY, tag, P, nonce=b"n" * 12)

    assert open_name(KEY, tag, sealed) == P
    with pytest.raises(SealBrokenError):
        open_name(KEY, b"t" * 32, sealed)
    with pytest.raises(SealBrokenError):
        open_name(OTHER, tag, sealed)


def test_a_waiting_identity_is_sealed_and_comes_back_whole() -> None:
    tag = cache_tag(KEY, WHO)
    sealed = seal_identity(KEY, tag, WHO, nonce=b"n" * 12)

    assert WHO.value.encode() not in sealed
    assert open_identity(KEY, tag, sealed) == WHO


def test_tags_of_two_keys_have_nothing_in_common() -> None:
    assert cache_tag(KEY, WHO) != cache_tag(OTHER, WHO)


@given(target=st.integers(0, 10**6), threshold=st.integers(1, 5), extra=st.integers(0, 4))
def test_quotas_of_all_holders_together_allow_the_target_and_hardly_more(
    target: int, threshold: int, extra: int
) -> None:
    holders = threshold + extra
    quota = holder_quota(target, threshold=threshold, holders=holders)

    assert target * threshold <= quota * holders < target * threshold + holders
