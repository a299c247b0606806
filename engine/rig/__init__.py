"""The performer's rig: OSC, MIDI, scenes, cues, a recorder and a flight log beside the music.

Sources (`osc`, `midi`, `show`) turn what they are given into orders, the `desk` carries orders
out on the controls, now or on the beat, and the `shell` holds the sockets, ports and threads.
"""
