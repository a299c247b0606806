"""Styles of bands: jazz trio, funk, folk ballad, lo-fi hip-hop."""

from __future__ import annotations

from model.corpus.style import Style

JAZZ = Style(
    name="jazz",
    bpm=(116, 168),
    modes=("major", "minor"),
    progressions={
        "major": (
            "ii7 | V7 | Imaj7 | V7/ii",
            "Imaj7 V7/ii | ii7 V7 | iii7 V7/ii | ii7 V7",
            "Imaj7 | V7/vi | vi7 | II7 | ii7 | V7 | Imaj7 vi7 | ii7 V7",
            "I7 | IV7 | I7 | I7 | IV7 | #ivdim7 | I7 | V7/ii | ii7 | V7 | I7 V7/ii | ii7 V7",
            "IVmaj7 | iv7 bVII7 | Imaj7 | V7/ii | ii7 | V7 | Imaj7 | V7/IV",
        ),
        "minor": (
            "iih7 | V7b9 | i6 | i6",
            "i7 | iv7 | iih7 V7b9 | i6",
            "iv7 | bVII7 | bIIImaj7 | bVImaj7 | iih7 | V7b9 | i6 | i6",
        ),
    },
    programs={"bass": (32,), "harmony": (0, 0, 26), "lead": (66, 11, 56, 0, 26)},
    kits=(32, 40),
    grooves=(
        ({"ride": "x...x.x.x...x.x.", "pedal_hat": "....x.......x..."},),
        (
            {
                "ride": "x...X.x.x...X.x.",
                "pedal_hat": "....x.......x...",
                "snare": "......o.........",
                "kick": "o...o...o...o...",
            },
            {
                "ride": "x...X.x.x...X.x.",
                "pedal_hat": "....x.......x...",
                "snare": "..........o...o.",
                "kick": "o.......o.......",
            },
        ),
        (
            {
                "ride": "x...X.x.x...X.x.",
                "pedal_hat": "....x.......x...",
                "snare": "..o...x.....o.x.",
                "kick": "o...o.x.o...o...",
            },
            {
                "ride": "x...X.x.x...X.x.",
                "pedal_hat": "....x.......x...",
                "snare": "......x...x...o.",
                "kick": "o.x.o...o...o.x.",
            },
        ),
    ),
    fills=(
        {"snare": "x.x.o.x.X...x.x.", "kick": "....x.......X...", "ride": "x..............."},
        {
            "snare": "x...x.x.........",
            "tom_high": "........x.x.....",
            "tom_low": "............x.X.",
            "pedal_hat": "....x.......x...",
        },
    ),
    bass=("1---w---w---a---", "1---w---w---a---", "1---w---5---a---", "1---w---w---w-a-"),
    comp=(
        "x-....x-........",
        "......x---......",
        "x-........x-....",
        "..x-......x-..x-",
        "....x-......x-..",
    ),
    lead=(
        "x-x-x-x-x-x-x---",
        "..x-x-x-x-x-x-x-",
        "x---x-x-..x-x---",
        "x-x-x---....x-x-",
        "....x-x-x-x-x---",
        "x-----x-x-------",
    ),
    layers={
        0: (("bass", "harmony"),),
        1: (("drums", "bass", "harmony"), ("drums", "bass", "lead")),
        2: (("drums", "bass", "harmony", "lead"),),
        3: (("drums", "bass", "harmony", "lead"),),
    },
    swing=0.645,
    levels_db={"drums": -6.0, "bass": -2.0, "harmony": -5.0, "lead": -1.0},
    reverb=45,
    timing_ms=6.0,
    leap=0.2,
    words=("swinging", "improvised", "acoustic"),
)

FUNK = Style(
    name="funk",
    bpm=(96, 112),
    modes=("dorian", "mixolydian"),
    progressions={
        "dorian": (
            "i7 | i7 | i7 | IV9",
            "i9 | IV9 | i9 | IV9",
            "bIIImaj7 | IV7 | i7 | V7",
            "iv7 | bVII9 | i7 | i7",
        ),
        "mixolydian": ("I9 | I9 | I9 | IV9", "I7 | bVII | IV7 | I7", "IV9 | IV9 | I9 | V9"),
    },
    programs={
        "bass": (36, 33, 37),
        "harmony": (7, 28, 27),
        "pad": (16, 17),
        "lead": (61, 65, 56, 62),
    },
    kits=(0, 8, 16),
    grooves=(
        ({"kick": "X.....x...x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},),
        (
            {"kick": "X..x......x..x..", "snare": "....X..o.o..X..o", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.x.....x.x.....", "snare": "....X..o....X.o.", "hat": "xoxoxoxoxoxoxoxo"},
        ),
        (
            {
                "kick": "X.x...x..x.x....",
                "snare": "....X..o.o..X..o",
                "hat": "xoxoxox.xoxoxoxo",
                "open_hat": ".......x........",
            },
            {
                "kick": "X..x..x...x..x..",
                "snare": "....X..o.oo.X..o",
                "hat": "x.xxx.xxx.xxx.xx",
                "cowbell": "x...x...x...x...",
            },
        ),
    ),
    fills=(
        {"snare": "....X..xx.xxX.xx", "kick": "X..x......x.....", "hat": "x.x.x.x........."},
        {
            "kick": "X.......x.......",
            "snare": "....X.xx........",
            "tom_high": "........xx......",
            "tom_mid": "..........xx....",
            "tom_low": "............xxX.",
        },
    ),
    bass=(
        "1..1..8.1..57.8.",
        "1..8..7.5..1..a.",
        "1.1...8..7.5.1.a",
        "1---..1.8.7.5.7.",
        "1..1.8..1..1.785",
    ),
    comp=("..x...x..x....x.", "x..x..x...x..x..", "....x..x....x..x", "xx.x.xx.xx.x.xx."),
    lead=("x.x..x-.....x.x.", "..x.x.x---......", "x-......x.xx-...", "x.xx.x-x-......."),
    layers={
        0: (("drums", "bass"), ("bass", "harmony")),
        1: (("drums", "bass", "harmony"),),
        2: (("drums", "bass", "harmony", "pad"), ("drums", "bass", "harmony", "lead")),
        3: (("drums", "bass", "harmony", "pad", "lead"),),
    },
    swing=0.54,
    swing_unit=0.25,
    levels_db={"drums": 0.0, "bass": -1.0, "harmony": -5.0, "pad": -9.0, "lead": -4.0},
    reverb=25,
    pentatonic=True,
    words=("syncopated", "groovy", "tight"),
)

FOLK = Style(
    name="folk",
    bpm=(76, 100),
    modes=("major", "mixolydian", "minor"),
    progressions={
        "major": (
            "I | V | vi | IV",
            "I | IV | I | V",
            "vi | IV | I | V",
            "I | iii | IV | iv",
            "IV | I | ii7 | V7/V V",
            "I | V7/vi | vi | IV V",
        ),
        "mixolydian": ("I | bVII | IV | I", "I | v7 | bVII | IV"),
        "minor": ("i | bVI | bIII | bVII", "i | iv | bVII | bIII", "iv | i | bVI | V7"),
    },
    programs={
        "bass": (32, 35),
        "arpeggio": (25, 24),
        "harmony": (25, 0),
        "pad": (48, 49, 42),
        "lead": (73, 40, 22, 71),
    },
    kits=(40, 0),
    grooves=(
        ({"shaker": "x.o.x.o.x.o.x.o."}, {"tambourine": "....x.......x..."}),
        ({"kick": "x.......x.......", "rim": "....x.......x...", "shaker": "x.o.x.o.x.o.x.o."},),
        (
            {"kick": "x.....x.x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {
                "kick": "x..x....x.x.....",
                "snare": "....x.......x..o",
                "tambourine": "x.x.x.x.x.x.x.x.",
            },
        ),
    ),
    fills=(
        {"snare": "....x...x.x.xxxx", "kick": "x.......x......."},
        {"tom_high": "........x.x.....", "tom_low": "............x.xx", "kick": "x.......x......."},
    ),
    bass=("1-------5-------", "1-----1-5-----a-", "1-------1---5---"),
    comp=("b...x-..b...x-x-", "X-..x-x-..x-x-x-", "x-------x---x---"),
    arpeggio=(
        "0-2-3-2-1-2-3-2-",
        "0-3-1-2-0-3-1-2-",
        "0-1-2-3-4-3-2-1-",
        "0---2-3-1---2-3-",
        "0.2.3.2.4.2.3.2.",
    ),
    lead=("x---x-x-x-------", "x-x-x---x---....", "....x-x-x---x---", "x-----x-x-x-x---"),
    layers={
        0: (("arpeggio",), ("arpeggio", "bass")),
        1: (("arpeggio", "bass", "pad"), ("arpeggio", "bass", "lead")),
        2: (("arpeggio", "bass", "drums", "lead"), ("arpeggio", "harmony", "bass", "drums")),
        3: (
            ("arpeggio", "harmony", "bass", "drums", "lead", "pad"),
            ("arpeggio", "bass", "drums", "lead", "pad"),
        ),
    },
    section_bars=(4, 4, 8),
    levels_db={
        "drums": -6.0,
        "bass": -2.0,
        "harmony": -5.0,
        "pad": -10.0,
        "arpeggio": -3.0,
        "lead": -2.0,
    },
    reverb=55,
    timing_ms=7.0,
    pentatonic=False,
    words=("gentle", "acoustic", "singing"),
)

LOFI = Style(
    name="lo-fi hip-hop",
    bpm=(72, 88),
    modes=("major", "minor"),
    progressions={
        "major": (
            "ii9 | V13 | Imaj9 | V7/ii",
            "IVmaj9 | iii7 | ii9 | Imaj9",
            "Imaj9 | vi9 | ii9 | V9",
            "IVmaj7 | iv6 | iii7 | V7b9/ii",
        ),
        "minor": (
            "i9 | iv9 | bVImaj7 | V7b9",
            "bVImaj9 | v7 | i9 | i9",
            "iv9 | bVII13 | bIIImaj9 | bVImaj7",
        ),
    },
    programs={
        "bass": (33, 35, 32),
        "harmony": (4, 5, 0),
        "pad": (89, 49),
        "arpeggio": (26, 24, 11),
        "lead": (11, 66, 26, 73),
    },
    kits=(8, 0, 25),
    grooves=(
        ({"hat": "x.o.x.o.x.o.x.o.", "rim": "....x.......x..."},),
        (
            {"kick": "X.....x...x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X......x..x.....", "rim": "....X.......X...", "hat": "x.o.x.o.x.o.x.o."},
        ),
        (
            {"kick": "X..x..x...x.....", "snare": "....X.......X..o", "hat": "x.x.xox.x.x.x.xo"},
            {
                "kick": "X......x.xx.....",
                "snare": "....X..o....X...",
                "hat": "x.x.x.xxx.x.x.x.",
                "shaker": "..o...o...o...o.",
            },
        ),
    ),
    fills=(
        {"kick": "X.....x.........", "snare": "....x.....o.x.xx", "hat": "x.x.x.x........."},
        {"kick": "X.....x...x.....", "snare": "....x...........", "tom_low": "............x.x."},
    ),
    bass=("1-----..1-.5-...", "1---..1---5---a-", "1-------..8-5-..", "1-.1..5---..1-a-"),
    comp=("x---------x-....", "x-----x---------", "..x-----x---....", "x-..x-......x---"),
    arpeggio=("....3-2-1-..0-..", "..0-2-3-....4-3-", "0-..2-..3-..1-.."),
    lead=("..x-x-x---......", "x---..x-x-......", "....x-x-..x-----", "x-x-....x---...."),
    layers={
        0: (("harmony", "arpeggio", "bass"), ("harmony", "bass", "pad")),
        1: (("drums", "harmony", "pad"), ("drums", "harmony", "bass")),
        2: (("drums", "bass", "harmony", "arpeggio"), ("drums", "bass", "harmony", "pad")),
        3: (("drums", "bass", "harmony", "lead"), ("drums", "bass", "harmony", "lead", "pad")),
    },
    section_bars=(4,),
    swing=0.58,
    swing_unit=0.25,
    levels_db={
        "drums": -2.0,
        "bass": -2.0,
        "harmony": -3.0,
        "pad": -11.0,
        "arpeggio": -9.0,
        "lead": -5.0,
    },
    reverb=45,
    timing_ms=8.0,
    pentatonic=True,
    words=("mellow", "dusty", "laid-back"),
)
