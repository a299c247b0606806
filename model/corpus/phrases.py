"""What things are called: synonyms from which captions are written, and the list of known words.

The first name of a row is the plain one. Every single word of these tables is a known word.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.words import BPM_WORDS, FUNCTION_WORDS, TONIC_WORDS, stems_of


@dataclass(frozen=True)
class StyleWords:
    """A style in words: nouns, adjectives, and what it is for or where it is heard."""

    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    scenes: tuple[str, ...]


STYLE_WORDS = {
    "house": StyleWords(
        ("house", "house music", "deep house", "dance music", "club music", "edm", "techno",
         "electronic dance music", "disco house", "electro", "electronica", "tech house"),
        ("four-on-the-floor", "club", "driving", "danceable", "electronic", "pumping", "thumping",
         "pulsing", "kicking"),
        ("dancing in a nightclub", "a party", "a rave", "the dancefloor", "a dj set",
         "a festival", "a disco", "a workout"),
    ),
    "ambient": StyleWords(
        ("ambient", "ambient music", "soundscape", "drone", "new age", "atmospheric music",
         "ambient electronica", "background music", "space music", "chillout"),
        ("calm", "spacious", "drifting", "ethereal", "atmospheric", "dreamy", "floating",
         "meditative", "peaceful", "relaxing", "soothing", "serene", "tranquil", "beautiful"),
        ("meditation", "sleep", "yoga", "relaxation", "the ocean at night", "deep space",
         "falling asleep", "a spa", "mindfulness", "clouds"),
    ),
    "jazz": StyleWords(
        ("jazz", "swing", "bebop", "cool jazz", "jazz combo", "jazz trio", "lounge jazz",
         "jazz standard", "hard bop", "jazz quartet", "jazz music"),
        ("swinging", "improvised", "smoky", "jazzy", "sophisticated", "swung", "bluesy"),
        ("a smoky bar", "a jazz club", "a cocktail lounge", "a late dinner", "a restaurant",
         "a hotel lobby", "whisky"),
    ),
    "funk": StyleWords(
        ("funk", "funk music", "groove", "soul", "rnb", "disco funk", "motown",
         "seventies funk", "jam band"),
        ("funky", "syncopated", "groovy", "tight", "slick", "soulful", "sassy", "greasy"),
        ("a block party", "a car chase", "a soul train", "roller skating", "a strut"),
    ),
    "folk": StyleWords(
        ("folk", "folk music", "folk song", "acoustic folk", "country", "americana", "ballad",
         "singer songwriter", "bluegrass", "traditional music", "unplugged"),
        ("gentle", "acoustic", "singing", "rustic", "pastoral", "earthy", "homely", "tender",
         "heartfelt"),
        ("a campfire", "a walk in the woods", "the countryside", "a porch", "a village", "nature",
         "a road trip", "the mountains"),
    ),
    "drum and bass": StyleWords(
        ("drum and bass", "dnb", "drum n bass", "jungle", "breakbeat", "liquid drum and bass",
         "breakcore", "neurofunk"),
        ("breakbeat", "deep bass", "frantic", "rolling", "breakneck", "racing", "hectic",
         "electronic", "urgent"),
        ("a rave", "racing", "an underground warehouse", "running", "adrenaline",
         "extreme sports"),
    ),
    "chiptune": StyleWords(
        ("chiptune", "chip music", "8 bit", "8 bit music", "video game music", "game boy music",
         "retro game music", "nes music", "arcade music", "nintendo", "16 bit", "chiptunes"),
        ("8 bit", "catchy", "playful", "retro", "pixelated", "bleepy", "beeping", "nostalgic"),
        ("a video game", "an arcade", "a platformer", "a boss level", "an old console",
         "a computer from the eighties", "pixel art"),
    ),
    "lo-fi hip-hop": StyleWords(
        ("lo fi hip hop", "lo fi", "hip hop", "chillhop", "lo fi beats", "chill beats",
         "boom bap", "low fidelity", "trip hop", "study beats", "rap beat"),
        ("mellow", "dusty", "laid back", "chill", "lazy", "relaxed", "hazy", "vinyl", "sleepy",
         "cosy", "cozy", "stoned"),
        ("studying", "homework", "a rainy day", "a coffee shop", "a cafe", "reading",
         "late night", "concentration", "working", "focus"),
    ),
    "chorale": StyleWords(
        ("chorale", "baroque", "bach", "hymn", "church music", "classical", "classical music",
         "sacred music", "baroque music", "counterpoint", "four part harmony", "choral music",
         "orchestral music"),
        ("solemn", "four-part", "baroque", "reverent", "stately", "sacred", "classical",
         "religious", "majestic", "polyphonic", "noble"),
        ("church", "a cathedral", "a church service", "worship", "a funeral", "prayer",
         "a wedding", "a concert hall", "christmas"),
    ),
}  # fmt: skip

INSTRUMENT_WORDS = {
    "drums": ("drums", "drum kit", "percussion", "drum beat", "drumming", "beats", "drummer",
              "drum set", "kick and snare"),
    "piano": ("piano", "grand piano", "acoustic piano", "pianist", "keys"),
    "electric piano": ("electric piano", "rhodes", "e piano", "wurlitzer", "electric keys"),
    "clavinet": ("clavinet", "clav", "funky keys"),
    "celesta": ("celesta", "music box", "bells"),
    "vibraphone": ("vibraphone", "vibes", "mallets", "vibraphonist"),
    "drawbar organ": ("organ", "hammond organ", "drawbar organ", "hammond"),
    "percussive organ": ("organ", "percussive organ", "jazz organ", "hammond"),
    "church organ": ("church organ", "pipe organ", "organ"),
    "harmonica": ("harmonica", "mouth organ", "blues harp"),
    "nylon guitar": ("nylon guitar", "classical guitar", "acoustic guitar", "spanish guitar",
                     "guitar"),
    "steel guitar": ("acoustic guitar", "steel string guitar", "guitar", "folk guitar",
                     "strummed guitar"),
    "jazz guitar": ("jazz guitar", "electric guitar", "guitar", "hollow body guitar"),
    "clean guitar": ("clean guitar", "electric guitar", "guitar"),
    "muted guitar": ("muted guitar", "electric guitar", "guitar", "chicken scratch guitar",
                     "rhythm guitar"),
    "double bass": ("double bass", "upright bass", "acoustic bass", "contrabass", "bass",
                    "standup bass", "bassist"),
    "bass guitar": ("bass guitar", "electric bass", "bass", "bassist"),
    "fretless bass": ("fretless bass", "electric bass", "bass"),
    "slap bass": ("slap bass", "slapped bass", "bass", "electric bass", "popping bass"),
    "synth bass": ("synth bass", "synthesizer bass", "bass", "bassline", "electronic bass"),
    "bass synth": ("bass synth", "sub bass", "bass", "bassline", "reese bass"),
    "violin": ("violin", "fiddle", "violinist"),
    "cello": ("cello", "cellist"),
    "harp": ("harp", "harpist"),
    "strings": ("strings", "string section", "string ensemble", "orchestra", "violins"),
    "slow strings": ("strings", "slow strings", "string section", "orchestra", "string pad"),
    "synth strings": ("synth strings", "strings", "string machine", "string synthesizer"),
    "choir": ("choir", "voices", "vocals", "singers", "human voices", "chorus", "choral singing",
              "oohs and aahs"),
    "trumpet": ("trumpet", "horn", "trumpeter"),
    "trombone": ("trombone", "trombonist"),
    "tuba": ("tuba", "low brass"),
    "french horn": ("french horn", "horn"),
    "brass section": ("brass section", "horns", "brass", "horn section", "horn stabs"),
    "synth brass": ("synth brass", "brass", "synthesizer brass", "brass synth"),
    "alto saxophone": ("alto saxophone", "sax", "saxophone", "alto sax", "saxophonist"),
    "tenor saxophone": ("tenor saxophone", "sax", "saxophone", "tenor sax", "saxophonist"),
    "oboe": ("oboe", "oboist"),
    "bassoon": ("bassoon", "bassoonist"),
    "clarinet": ("clarinet", "clarinettist"),
    "flute": ("flute", "flutist", "flautist"),
    "pan flute": ("pan flute", "panpipes", "flute"),
    "square synth": ("square synth", "square wave", "synth lead", "synth", "pulse wave",
                     "synthesizer"),
    "saw synth": ("saw synth", "sawtooth", "synth lead", "synth", "saw wave", "synthesizer"),
    "calliope synth": ("calliope", "synth", "synth lead", "fairground organ", "synthesizer"),
    "polysynth": ("polysynth", "synth", "synth chords", "analog synth", "synthesizer"),
    "warm pad": ("warm pad", "pads", "synth pad", "analogue pad"),
    "space pad": ("space pad", "pads", "synth pad", "spacey pad"),
    "halo pad": ("halo pad", "pads", "synth pad", "glowing pad"),
    "crystal synth": ("crystal synth", "bells", "synth bells", "glassy synth"),
    "kalimba": ("kalimba", "thumb piano", "mbira"),
}  # fmt: skip

_SYNTHS = ("square synth", "saw synth", "calliope synth", "polysynth", "crystal synth",
           "synth bass", "bass synth", "synth brass", "synth strings", "warm pad", "space pad",
           "halo pad")  # fmt: skip
_BASSES = ("double bass", "bass guitar", "fretless bass", "slap bass", "synth bass", "bass synth")
_GUITARS = ("nylon guitar", "steel guitar", "jazz guitar", "clean guitar", "muted guitar")
_WOODWINDS = ("alto saxophone", "tenor saxophone", "oboe", "bassoon", "clarinet", "flute",
              "pan flute")  # fmt: skip
_BRASS = ("trumpet", "trombone", "tuba", "french horn", "brass section", "synth brass")
_BOWED = ("violin", "cello", "strings", "slow strings", "synth strings")
_KEYBOARDS = ("piano", "electric piano", "clavinet")
_ORGANS = ("drawbar organ", "percussive organ", "church organ")


@dataclass(frozen=True)
class Group:
    """Instruments under one name: `of` deserve it; none of `of` and `near` may sound where it is
    said to be absent, no stem whose part is called `parts` either.
    """

    words: tuple[str, ...]
    of: tuple[str, ...]
    near: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


GROUPS = (
    Group(INSTRUMENT_WORDS["drums"] + ("beat", "cymbals", "snare", "hi hats", "kick drum"),
          ("drums",)),
    Group(("bass", "bassline", "bass line", "low end"), _BASSES, ("tuba",), ("bass",)),
    Group(("guitar", "guitars", "guitarist"), _GUITARS, ("bass guitar",)),
    Group(("keyboards", "keys", "keyboard"), _KEYBOARDS, (*_ORGANS, *_SYNTHS, "celesta")),
    Group(("piano", "pianos", "pianist"), ("piano", "electric piano"), ("kalimba", "clavinet")),
    Group(("organ", "organs", "organist"), _ORGANS, ("harmonica", "calliope synth")),
    Group(("mallets", "mallet instruments", "xylophone"), ("vibraphone", "kalimba"),
          ("celesta", "crystal synth", "drums")),
    Group(("bells", "chimes"), ("celesta", "crystal synth"), ("vibraphone", "kalimba")),
    Group(("strings", "string section", "violins", "bowed strings"), _BOWED, ("harp",)),
    Group(("vocals", "voices", "choir", "singing", "singers", "vocalist"), ("choir",),
          ("halo pad",)),
    Group(("brass", "horns", "horn section", "brass instruments"), _BRASS),
    Group(("woodwinds", "winds", "wind instruments"), _WOODWINDS, ("harmonica",)),
    Group(("saxophone", "sax", "saxes"), ("alto saxophone", "tenor saxophone")),
    Group(("flute", "flutes"), ("flute", "pan flute")),
    Group(("trumpet", "trumpets"), ("trumpet",), ("brass section", "synth brass")),
    Group(("synth", "synths", "synthesizers", "synthesizer", "electronic instruments",
           "synthesisers"), _SYNTHS),
    Group(("pads", "pad", "synth pads"), ("warm pad", "space pad", "halo pad"),
          ("synth strings", "slow strings", "polysynth"), ("pad",)),
)  # fmt: skip
"""Drums and bass stand first: they are what players ask to leave out."""

TEMPO_WORDS = (
    (0.0, 82.0, ("very slow", "really slow", "largo", "crawling", "downtempo")),
    (0.0, 98.0, ("slow", "slow tempo", "unhurried", "down tempo", "adagio", "leisurely", "slowly")),
    (90.0, 120.0, ("medium tempo", "mid tempo", "moderate", "moderate tempo", "walking pace",
                   "andante")),
    (116.0, 300.0, ("upbeat", "lively", "up tempo", "uptempo", "quick", "brisk", "allegro")),
    (135.0, 300.0, ("fast", "rapid", "speedy", "high tempo", "fast paced", "quickly")),
    (158.0, 300.0, ("very fast", "really fast", "presto", "high speed", "frenetic")),
)  # fmt: skip
"""(from, below) in bpm and what such tempi are called."""

NOT_TEMPO_WORDS = ((105.0, 300.0, ("slow",)), (0.0, 105.0, ("fast", "quick", "upbeat")))
"""Tempi and what they are not."""

BRIGHTNESS_WORDS = (
    (0.0, 480.0, ("dark", "muffled", "dull", "deep", "bassy", "murky", "dark sounding", "low",
                  "shadowy", "heavy")),
    (450.0, 900.0, ("warm", "round", "smooth", "soft", "rich")),
    (850.0, 1e9, ("bright", "brilliant", "crisp", "sparkling", "shiny", "sharp", "trebly",
                  "shimmering", "clear", "high")),
)  # fmt: skip
"""Spectral centroid in Hz."""

NOT_BRIGHTNESS_WORDS = (
    (0.0, 600.0, ("bright", "sharp", "shiny", "trebly")),
    (750.0, 1e9, ("dark", "muffled", "dull", "deep")),
)

DENSITY_WORDS = (
    (0.0, 5.5, ("sparse", "minimal", "empty", "airy", "thin", "minimalist", "few notes", "bare",
                "slow moving", "uncluttered", "simple")),
    (5.0, 12.0, ("flowing", "steady", "balanced", "even")),
    (12.0, 1e9, ("busy", "dense", "full", "packed", "intricate", "many notes", "complex",
                 "active", "lots of notes", "hectic")),
)  # fmt: skip
"""Note onsets a second."""

NOT_DENSITY_WORDS = (
    (0.0, 8.0, ("busy", "dense", "hectic", "complex")),
    (11.0, 1e9, ("sparse", "empty", "minimal", "thin")),
)

ENERGY_WORDS = (
    (0.0, 1.01, ("quiet", "calm", "breakdown", "restrained", "gentle", "low energy", "intro",
                 "stripped down", "soft", "intimate")),
    (2.6, 9.0, ("energetic", "powerful", "intense", "climax", "full band", "high energy",
                "full on", "exciting", "loud", "big", "wild")),
)  # fmt: skip
"""Mean energy of the sections, 0…3. The high words need a fast or dense window as well."""

MOOD_WORDS = {
    ("major", "slow"): ("hopeful", "tender", "warm hearted", "content", "sweet", "comforting",
                        "romantic"),
    ("major", "fast"): ("happy", "cheerful", "joyful", "uplifting", "sunny", "fun", "positive",
                        "merry", "optimistic", "feel good"),
    ("minor", "slow"): ("sad", "melancholic", "melancholy", "sombre", "wistful", "lonely",
                        "gloomy", "moody", "mournful", "sorrowful", "somber", "bittersweet"),
    ("minor", "fast"): ("tense", "moody", "dramatic", "serious", "brooding", "nervous",
                        "mysterious", "ominous", "gritty"),
}  # fmt: skip
"""Mode, and slower or faster than MOOD_BPM."""
MOOD_BPM = 104.0

INSTRUMENTAL_WORDS = ("instrumental", "instrumental music", "purely instrumental")
"""No voices."""

ONLY = ("only {}", "just {}", "nothing but {}", "solo {}", "{} only", "{} alone",
        "unaccompanied {}", "{} and nothing else")  # fmt: skip
NOT = ("not {}", "not too {}", "nothing {}", "never {}", "isn't {}")
NO = ("no {}", "no {}", "no {}", "without {}", "without {}", "without any {}", "no {} at all",
      "not any {}", "doesn't have {}", "does not have any {}", "lacking {}", "free of {}",
      "leave out the {}", "leave the {} out", "remove the {}", "skip the {}", "avoid {}",
      "{} absent", "zero {}", "minus the {}", "exclude {}", "don't use {}",
      "except {}")  # fmt: skip
NO_TWO = ("no {} or {}", "no {} and no {}", "without {} and {}", "no {}, no {}",
          "neither {} nor {}", "without {} or {}", "without {} and without {}")  # fmt: skip

PHRASES = (
    "drum and bass", "drum n bass", "hip hop", "trip hop", "lo fi", "8 bit", "16 bit",
    "new age", "laid back", "hi hats",
)  # fmt: skip
"""Words that mean something else together."""

_TOO_COMMON = ("a", "an", "the", "of", "in", "on", "at", "for", "is", "its", "s", "to", "e", "n",
               "d", "b", "r", "3", "4", "8", "16", "music", "from", "any", "all",
               "does", "have", "use", "do", "else", "too")  # fmt: skip


def known_words() -> tuple[str, ...]:
    """The list of known words, always in the same order."""
    alone = sorted({*_every_phrase(), "major minor dorian mixolydian key"})
    for phrase in PHRASES:  # whose words are known together only, unless they occur elsewhere
        alone = [name.replace("-", " ").replace(phrase, "") for name in alone]
    stems = stems_of(alone)
    for word in (*FUNCTION_WORDS, *_TOO_COMMON):
        stems = {stem: name for stem, name in stems.items() if name != word}
    singles = sorted(set(stems.values()) | set(FUNCTION_WORDS))
    return (*singles, *PHRASES, *BPM_WORDS, *TONIC_WORDS)


def _every_phrase() -> set[str]:
    """Whatever stands in the tables."""
    found = {name for names in INSTRUMENT_WORDS.values() for name in names}
    for style in STYLE_WORDS.values():
        found |= {*style.nouns, *style.adjectives, *style.scenes}
    for group in GROUPS:
        found |= set(group.words)
    for table in (TEMPO_WORDS, NOT_TEMPO_WORDS, BRIGHTNESS_WORDS, NOT_BRIGHTNESS_WORDS,
                  DENSITY_WORDS, NOT_DENSITY_WORDS, ENERGY_WORDS):  # fmt: skip
        found |= {name for row in table for name in row[2]}
    for names in (*MOOD_WORDS.values(), INSTRUMENTAL_WORDS,
                  ONLY, NOT, NO):  # fmt: skip
        found |= set(names)
    return found
