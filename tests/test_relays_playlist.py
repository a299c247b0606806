"""The rolling playlist: what it says, and that a later run goes on from it."""

from __future__ import annotations

import pytest

from engine.relays.playlist import Playlist, Segment


def rolled(count: int) -> Playlist:
    playlist = Playlist(3)
    for number in range(count):
        playlist.add(Segment(number, 4.010667, broken=number == 1))
    return playlist


def test_the_newest_segments_are_listed() -> None:
    assert rolled(4).text().splitlines() == [
        "#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:5", "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0", "#EXT-X-DISCONTINUITY",
        "#EXTINF:4.010667,", "perpetuo-00000001.ts",
        "#EXTINF:4.010667,", "perpetuo-00000002.ts",
        "#EXTINF:4.010667,", "perpetuo-00000003.ts",
    ]  # fmt: skip


def test_a_break_that_has_left_the_list_is_counted() -> None:
    text = rolled(5).text()
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1" in text
    assert "#EXT-X-DISCONTINUITY\n" not in text


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_a_list_is_read_as_it_was_written(count: int) -> None:
    playlist = rolled(count)
    again = Playlist.read(playlist.text(), 3)
    assert again.text() == playlist.text()
    assert again.next_number == playlist.next_number == count


@pytest.mark.parametrize("text", ["#EXTM3U\nother.mp4\n", "#EXT-X-MEDIA-SEQUENCE:x\n"])
def test_a_list_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Playlist.read(text, 3)
