"""Styles of the club and the machine: house, drum and bass, chiptune, ambient."""

from __future__ import annotations

from model.corpus.style import Style

_ELECTRONIC_LEVELS = {
    "drums": 0.0,
    "bass": -2.0,
    "harmony": -6.0,
    "pad": -6.0,
    "arpeggio": -8.0,
    "lead": -5.0,
}

_FOUR = {"kick": "X...X...X...X..."}
_HOUSE = {**_FOUR, "open_hat": "..x...x...x...x.", "clap": "....X.......X..."}

HOUSE = Style(
    name="house",
    bpm=(120, 126),
    modes=("minor", "dorian"),
    progressions={
        "minor": (
            "i7 | i7 | bVImaj7 | bVII",
            "i7 | iv7 | bVImaj7 | v7",
            "bVImaj7 | v7 | i9 | i9",
            "iv7 | bVII7 | bIIImaj7 | V7",
        ),
        "dorian": ("i9 | IV7 | i9 | IV7", "i7 | bIIImaj7 | IV7 | i7", "i9 | i9 | ii7 | v7"),
    },
    programs={
        "bass": (38, 39),
        "harmony": (0, 16, 4),
        "pad": (89, 50, 90),
        "arpeggio": (81, 80, 11),
        "lead": (81, 62, 80),
    },
    kits=(25, 24, 8),
    grooves=(
        ({**_FOUR, "hat": "..x...x...x...x."}, {**_FOUR, "shaker": "xoxoxoxoxoxoxoxo"}),
        (_HOUSE, {**_HOUSE, "hat": "x.xxx.xxx.xxx.xx"}),
        (
            {**_HOUSE, "hat": "xox.xox.xox.xox.", "rim": "...x..x....x...."},
            {**_HOUSE, "shaker": "xoxoxoxoxoxoxoxo", "conga": "..x..x....x..x.x"},
        ),
    ),
    fills=(
        {"clap": "........x.x.xxxx", "kick": "X...X...X...X..."},
        {"snare": "........x.xxxxXX", "kick": "X...X..........."},
    ),
    bass=(
        "..1...1...1...1.",
        "..1-..1-..1-..18",
        "1-.1..1-..1.5-8.",
        "1..1..8.1..1..5.",
    ),
    comp=("x..x..x...x..x..", "..x-..x-..x-..x-", "X-....X-..X-....", "x..x..x..x..x.x."),
    arpeggio=("0.2.1.3.0.2.1.3.", "0123012301230123", "..3.2.1...3.2.0."),
    lead=("x-.x-.x---......", "x-x-..x-x-......", "..x-x-x---..x---", "x...x-..x-x-x---"),
    layers={
        0: (("pad", "arpeggio", "bass"), ("harmony", "pad")),
        1: (("drums", "bass", "pad"), ("drums", "harmony"), ("drums", "bass", "arpeggio")),
        2: (("drums", "bass", "harmony", "pad"), ("drums", "bass", "harmony", "arpeggio")),
        3: (("drums", "bass", "harmony", "pad", "lead"), ("drums", "bass", "harmony", "lead")),
    },
    levels_db=_ELECTRONIC_LEVELS,
    timing_ms=1.5,
    reverb=30,
    words=("four-on-the-floor", "club", "driving"),
)

AMBIENT = Style(
    name="ambient",
    bpm=(60, 76),
    modes=("major", "minor", "dorian"),
    progressions={
        "major": (
            "Imaj9 | IVmaj9 | Imaj9 | iv6",
            "Imaj7 | iii7 | IVmaj7 | Vsus4",
            "vi9 | IVmaj7 | Iadd9 | Vsus4",
        ),
        "minor": ("i9 | bVImaj7 | bIIImaj7 | bVIIsus2", "iadd9 | iv9 | bVImaj7 | v7"),
        "dorian": ("i9 | IVadd9 | i9 | bVIImaj7", "isus2 | IV | bIIImaj7 | IV"),
    },
    programs={
        "bass": (39, 35),
        "pad": (89, 91, 49, 52),
        "harmony": (4, 0, 46),
        "arpeggio": (46, 11, 98, 8, 108),
        "lead": (73, 75, 71, 40),
    },
    kits=(25, 0),
    grooves=(
        ({"shaker": "x...o...x...o..."},),
        ({"shaker": "x.o.x.o.x.o.x.o.", "kick": "x.........o....."},),
        ({"kick": "x.......x.......", "rim": "....o.......x...", "shaker": "x.o.x.o.x.o.x.o."},),
    ),
    fills=({"shaker": "x.x.x.x.xxxxxxxx"},),
    bass=("1---------------", "1-------5-------", "1-----------8---"),
    comp=("x---------------", "x-------x-------", "b---x-------x---"),
    arpeggio=(
        "0-1-2-3-4-3-2-1-",
        "0-2-4-2-3-1-2-1-",
        "0---2---4---3---",
        "0.1.2.3.1.2.3.4.",
        "4-3-2-1-0-1-2-3-",
    ),
    lead=("x-------x---x---", "....x-------x---", "x-----------....", "x---x---x-------"),
    layers={
        0: (("pad", "bass"), ("pad", "arpeggio")),
        1: (("pad", "arpeggio", "bass"), ("pad", "harmony", "bass")),
        2: (("pad", "arpeggio", "bass", "harmony"), ("pad", "bass", "lead", "arpeggio")),
        3: (("pad", "arpeggio", "bass", "lead", "harmony"), ("pad", "bass", "lead", "drums")),
    },
    section_bars=(4,),
    levels_db={
        "drums": -12.0,
        "bass": -3.0,
        "harmony": -5.0,
        "pad": -3.0,
        "arpeggio": -4.0,
        "lead": -3.0,
    },
    reverb=100,
    timing_ms=6.0,
    leap=0.3,
    words=("calm", "spacious", "drifting"),
)

_BREAK = {"kick": "X.........X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."}

DRUM_AND_BASS = Style(
    name="drum and bass",
    bpm=(168, 176),
    modes=("minor", "dorian"),
    progressions={
        "minor": (
            "i9 | i9 | bVImaj7 | bVImaj7",
            "i7 | bVII | bVImaj7 | v7",
            "bVImaj7 | bVImaj7 | iv9 | v7",
            "iv7 | iv7 | bIIImaj7 | bVII",
        ),
        "dorian": ("i9 | i9 | IV7 | IV7", "i7 | bIIImaj7 | bVII | IV"),
    },
    programs={
        "bass": (38, 39, 87),
        "pad": (91, 89, 50, 94),
        "harmony": (4, 5),
        "arpeggio": (81, 11, 98),
        "lead": (81, 80, 73),
    },
    kits=(24, 8, 16),
    grooves=(
        ({"hat": "x.x.x.x.x.x.x.x.", "ride": "x...x...x...x..."},),
        (
            _BREAK,
            {"kick": "X.........X.....", "snare": "....X..o.o..X...", "hat": "x.x.x.x.x.x.x.x."},
        ),
        (
            {"kick": "X.x.......x.....", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
            {
                "kick": "X.x.......xx....X.........x.....",
                "snare": "....X..o.o....X.....X..o.o..X..o",
                "ride": "x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.",
            },
        ),
    ),
    fills=(
        {"kick": "X.........X.....", "snare": "....X.xx.xx.XxXx"},
        {"snare": "X.x.X.x.X.xxXXXX", "kick": "X...X..........."},
    ),
    bass=("1-----1-..1---..", "1---------1-8---", "1--1--1-....1-5-", "1-------........"),
    comp=("x-....x-....x---", "x---------------", "..x-....x-....x-"),
    arpeggio=("0.2.3.2.1.2.3.4.", "0.3.2.0.3.2.0.3.", "4.3.2.1.4.3.2.0."),
    lead=("x-------x---x---", "x---x---....x-x-", "......x-x-x-----", "x-----x-----x---"),
    layers={
        0: (("pad", "arpeggio"), ("pad", "harmony")),
        1: (("drums", "pad", "arpeggio"), ("drums", "pad", "bass")),
        2: (("drums", "bass", "pad", "arpeggio"), ("drums", "bass", "harmony", "pad")),
        3: (("drums", "bass", "pad", "lead", "arpeggio"), ("drums", "bass", "lead", "pad")),
    },
    section_bars=(8,),
    levels_db=_ELECTRONIC_LEVELS | {"pad": -7.0},
    reverb=50,
    timing_ms=1.5,
    words=("fast", "breakbeat", "deep bass"),
)

CHIPTUNE = Style(
    name="chiptune",
    bpm=(132, 156),
    modes=("major", "minor"),
    progressions={
        "major": (
            "I | V | vi | IV",
            "IV | V | iii | vi",
            "I | V7/ii | ii | V",
            "I | bVII | bVI | V",
            "vi | ii | V | I",
        ),
        "minor": (
            "i | bVI | bVII | i",
            "i | bVII | bVI | V",
            "iv | bVII | bIII | bVI",
            "i | v | bVI | bVII",
        ),
    },
    programs={"bass": (80, 38), "arpeggio": (80, 81), "harmony": (80, 90), "lead": (80, 81, 82)},
    kits=(24, 25),
    grooves=(
        ({"kick": "X.......X.......", "hat": "..x...x...x...x."},),
        ({"kick": "X.......X.......", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},),
        (
            {"kick": "X...x...X.x.....", "snare": "....X.......X...", "hat": "x.xxx.xxx.xxx.xx"},
            {"kick": "X.x...x.X.x...x.", "snare": "....X.......X..x", "hat": "x.x.x.x.x.x.x.x."},
        ),
    ),
    fills=(
        {"snare": "....X...x.x.XxXx", "kick": "X.......X......."},
        {
            "tom_high": "........xx......",
            "tom_mid": "..........xx....",
            "tom_low": "............xxxx",
            "kick": "X...............",
        },
    ),
    bass=("1.8.1.8.1.8.1.8.", "1.1.8.1.1.1.8.5.", "1-1-5-5-8-8-5-5-", "1..1..1.8..8..5."),
    comp=("x.x.x.x.x.x.x.x.", "..x...x...x...x.", "x..x..x.x..x..x."),
    arpeggio=("0120120120120120", "0123210123212321", "0246420202464202", "3210321032103210"),
    lead=("x-x-x-x-x---x---", "x--x--x-x--x--x-", "x-.xx-x-x-.xx---", "x---..x-x-x-x-x-"),
    layers={
        0: (("arpeggio", "bass"), ("arpeggio", "lead")),
        1: (("arpeggio", "bass", "drums"), ("bass", "lead", "drums")),
        2: (("arpeggio", "bass", "drums", "lead"),),
        3: (("arpeggio", "bass", "drums", "lead", "harmony"),),
    },
    section_bars=(4, 8),
    levels_db={"drums": -1.0, "bass": -4.0, "harmony": -12.0, "arpeggio": -8.0, "lead": -3.0},
    reverb=8,
    timing_ms=0.0,
    leap=0.25,
    words=("8-bit", "catchy", "playful"),
)
