"""The status page: what it says, that it brings nothing from elsewhere, and how a browser shows it."""

import shutil
import struct
import subprocess
import zlib
from collections import Counter
from pathlib import Path

import pytest
from tests.api.door import Door
from tests.federation.network import Network
from tests.requirements import missing

from health_exchange.console.status_page import render
from health_exchange.model.addresses import NodeAddress
from health_exchange.node.network import Silence, network_status

CHROMIUM = shutil.which("chromium")
AWAY_RED, BEHIND_YELLOW, OK_GREEN = (0xFD, 0xE7, 0xE5), (0xFF, 0xF3, 0xD6), (0xE3, 0xF5, 0xEA)
"""Grounds of a silent node's reason, of a late node's, and of the word ok."""
SEEN = 200
"""As many pixels of a colour are seen."""


@pytest.fixture
async def network(tmp_path: Path) -> Network:
    network = Network(tmp_path)
    await network.settle()
    return network


async def page_of(network: Network) -> str:
    parts = network["cn"].parts
    return render(await network_status(parts), parts)


async def test_the_page_shows_every_node_its_condition_and_why(network: Network) -> None:
    well = await page_of(network)
    network.faults.cut.add(frozenset((NodeAddress.parse("cn/33/3305"), NodeAddress.parse("cn/33"))))
    network.faults.is_on = True
    for _round in range(5):
        await network.round()
    ill = await page_of(network)

    assert "all 6 nodes are well" in well
    assert well.count("● ok") == 6
    assert "1 of 5 nodes are not well" in ill
    assert ill.count("■ away") == 1
    assert "away: cn/33/3305 does not answer; since 2026-11-24" in ill


async def test_names_and_reasons_are_text_whatever_is_in_them(network: Network) -> None:
    parts = network["cn"].parts
    tree = await network_status(parts)
    bad = "<script>alert(1)</script>\"'&"
    silent = Silence(name=bad, detail=bad, since=network.clock.now())
    tree.silences["cn/99"] = silent
    tree.away.append("cn/99")

    page = render(tree, parts)

    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 2


async def test_the_page_may_load_nothing_run_nothing_and_stand_in_no_frame(network: Network, tmp_path: Path) -> None:
    answer = await Door(tmp_path, "cn", network).http.get("/status")

    policy = answer.headers["content-security-policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"
    assert not [word for word in ("<script", "src=", "href=", "url(", "@import") if word in answer.text]


@pytest.mark.slow
async def test_a_browser_shows_a_silent_node_in_red_and_a_well_tree_without(network: Network, tmp_path: Path) -> None:
    well = seen_by_chromium(await page_of(network), tmp_path)
    network.faults.cut.add(frozenset((NodeAddress.parse("cn/51"), NodeAddress.parse("cn"))))
    network.faults.is_on = True
    await network.round()
    ill = seen_by_chromium(await page_of(network), tmp_path)

    assert (well[AWAY_RED], well[BEHIND_YELLOW]) == (0, 0)
    assert well[OK_GREEN] > ill[OK_GREEN] > SEEN
    assert ill[AWAY_RED] > SEEN


def seen_by_chromium(page: str, folder: Path) -> Counter[tuple[int, ...]]:
    """How many pixels of each colour a browser shows."""
    if CHROMIUM is None:
        missing("chromium", "Chromium is not installed: apt-get install chromium")
    html, picture = folder / "page.html", folder / "page.png"
    html.write_text(page, "utf-8")
    subprocess.run(  # noqa: S603  # Debian's browser, our own page
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={folder / 'profile'}", "--window-size=1200,900", "--hide-scrollbars"),
            *(f"--screenshot={picture}", html.as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return pixels_of(picture.read_bytes())


def pixels_of(png: bytes) -> Counter[tuple[int, ...]]:
    """Colours of a PNG of eight bits a channel, not interlaced, as Chromium writes it.

    Source: PNG (ISO/IEC 15948), sections 5, 7 and 9.
    """
    width, _height, depth, kind, _compression, _filters, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[kind]
    raw, place = b"", 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        if name == b"IDAT":
            raw += png[place + 8 : place + 8 + length]
        place += length + 12
    stream, line = zlib.decompress(raw), width * channels
    before = bytearray(line)
    found: Counter[tuple[int, ...]] = Counter()
    for start in range(0, len(stream), line + 1):
        before = _unfiltered(stream[start], bytearray(stream[start + 1 : start + 1 + line]), before, channels)
        found.update(tuple(before[at : at + 3]) for at in range(0, line, channels))
    return found


def _unfiltered(kind: int, line: bytearray, above: bytearray, channels: int) -> bytearray:
    """One line of a PNG as it was before its filter."""
    for at, value in enumerate(line):
        left = line[at - channels] if at >= channels else 0
        up = above[at]
        corner = above[at - channels] if at >= channels else 0
        match kind:
            case 1:
                guess = left
            case 2:
                guess = up
            case 3:
                guess = (left + up) // 2
            case 4:
                guess = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
            case _:
                guess = 0
        line[at] = (value + guess) & 0xFF
    return line
