"""One part of a song as a Standard MIDI File."""

from __future__ import annotations

from pathlib import Path

import mido

from model.corpus.song import Part, Song

TICKS_PER_BEAT = 960
_DRUM_CHANNEL = 9


def write_midi(song: Song, part: Part, path: Path) -> None:
    """Write `part` at the song's tempo; the track lasts one bar longer than the song.

    The spare bar lets every note sound on to the cut at the last bar line.
    """
    channel = _DRUM_CHANNEL if part.drums else 0
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(song.bpm), time=0))
    track.append(mido.Message("program_change", channel=channel, program=part.program, time=0))
    for control, value in ((7, 110), (91, part.reverb), (93, 0)):
        track.append(
            mido.Message("control_change", channel=channel, control=control, value=value, time=0)
        )
    now = 0
    for tick, message in sorted(_events(song, part, channel), key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    end = (song.beats + song.beats_per_bar) * TICKS_PER_BEAT
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - now)))
    file = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    file.tracks.append(track)
    file.save(path)


def _events(song: Song, part: Part, channel: int) -> list[tuple[int, mido.Message]]:
    """Note-offs before note-ons, so that a repeated pitch is struck again."""
    offs, ons = [], []
    for note in part.notes:
        start = round(note.start * TICKS_PER_BEAT)
        stop = max(start + 30, round((note.start + note.beats) * TICKS_PER_BEAT))
        if note.start + note.beats >= song.beats - 0.3:
            stop = (song.beats + song.beats_per_bar) * TICKS_PER_BEAT
        on = {"channel": channel, "note": note.pitch, "velocity": note.velocity}
        ons.append((start, mido.Message("note_on", **on)))
        offs.append((stop, mido.Message("note_off", channel=channel, note=note.pitch)))
    return offs + ons
