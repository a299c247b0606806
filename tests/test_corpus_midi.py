"""MIDI files read back."""

import mido
import pytest

from model.corpus.composer import compose
from model.corpus.midi import TICKS_PER_BEAT, write_midi


@pytest.fixture(scope="module")
def song():
    return compose("funk", 1, 0)


@pytest.mark.parametrize("which", range(4))
def test_every_note_is_written_where_it_was_composed(song, which, tmp_path):
    part = song.parts[which]
    write_midi(song, part, tmp_path / "part.mid")
    now, starts, sounding = 0, [], 0
    for message in mido.MidiFile(tmp_path / "part.mid").tracks[0]:
        now += message.time
        if message.type == "note_on" and message.velocity:
            starts.append((now, message.note))
            assert message.channel == (9 if part.drums else 0)
        sounding += (message.type == "note_on") - (message.type == "note_off")
    written = sorted((round(n.start * TICKS_PER_BEAT), n.pitch) for n in part.notes)
    assert sorted(starts) == written and sounding == 0
    assert now == (song.beats + song.beats_per_bar) * TICKS_PER_BEAT


def test_the_tempo_is_the_songs(song, tmp_path):
    write_midi(song, song.parts[0], tmp_path / "part.mid")
    track = mido.MidiFile(tmp_path / "part.mid").tracks[0]
    tempo = next(m.tempo for m in track if m.type == "set_tempo")
    assert mido.tempo2bpm(tempo) == pytest.approx(song.bpm, rel=1e-5)


def test_last_notes_sound_through_the_cut(song, tmp_path):
    part = next(part for part in song.parts if part.name == "bass")
    write_midi(song, part, tmp_path / "part.mid")
    now = 0
    for message in mido.MidiFile(tmp_path / "part.mid").tracks[0]:
        now += message.time
        if message.type == "note_off":
            assert not (song.beats - 0.3) * TICKS_PER_BEAT < now <= song.beats * TICKS_PER_BEAT
