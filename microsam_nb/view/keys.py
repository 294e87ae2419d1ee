"""The keys, in one table; help is made from it. Those of volumes, movies and series do nothing elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..session import Tool
from ..session.wording import worded


class Command(StrEnum):
    """What a key or a button does."""

    POINT = "point"
    BOX = "box"
    ELLIPSE = "ellipse"
    POLYGON = "polygon"
    LASSO = "lasso"
    SCRIBBLE = "scribble"
    BRUSH = "brush"
    ERASER = "eraser"
    FILL = "fill"
    PICK = "pick"
    MERGE = "merge"
    SPLIT = "split"
    DELETE_TOOL = "delete-tool"
    CHOOSE = "choose"
    CLASSIFY = "classify"
    PARTS = "parts"
    DELETE_INSIDE = "delete-inside"
    HAND = "hand"
    TOGGLE = "toggle"
    SEGMENT = "segment"
    SEGMENT_OBJECT = "segment-object"
    STOP_HERE = "stop-here"
    COMMIT = "commit"
    CLEAR = "clear"
    REMOVE = "remove"
    FIND = "find"
    ACCEPT_ALL = "accept-all"
    REJECT_ALL = "reject-all"
    IMPROVE = "improve"
    DELETE = "delete"
    DELETE_HERE = "delete-here"
    NEXT_SUSPECT = "next-suspect"
    PREVIOUS_SUSPECT = "previous-suspect"
    LOOKS_RIGHT = "looks-right"
    FILL_HOLES = "fill-holes"
    SMOOTH = "smooth"
    GROW = "grow"
    SHRINK = "shrink"
    SPLIT_ALONE = "split-alone"
    NEXT = "next"
    PREVIOUS = "previous"
    UNDO = "undo"
    REDO = "redo"
    NEXT_PLANE = "next-plane"
    PREVIOUS_PLANE = "previous-plane"
    FIRST_PLANE = "first-plane"
    LAST_PLANE = "last-plane"
    DIVIDE = "divide"
    DAUGHTERS_DONE = "daughters-done"
    CUT_TRACK = "cut-track"
    END_TRACK = "end-track"
    ORPHAN = "orphan"
    JOIN = "join"
    SWAP = "swap"
    REPARENT = "reparent"
    NEXT_IMAGE = "next-image"
    PREVIOUS_IMAGE = "previous-image"
    DONE_IMAGE = "done-image"
    SKIP_IMAGE = "skip-image"
    LIVE = "live"
    BATCHED = "batched"
    FIT = "fit"
    CLOSER = "closer"
    FARTHER = "farther"
    LARGER = "larger"
    SMALLER = "smaller"
    SHOW_IMAGE = "show-image"
    SHOW_OBJECTS = "show-objects"
    SHOW_CANDIDATES = "show-candidates"
    SHOW_PROPOSAL = "show-proposal"
    SHOW_PROMPTS = "show-prompts"
    SHOW_NEIGHBOURS = "show-neighbours"
    CONTOURS = "contours"
    FAINTER = "fainter"
    STRONGER = "stronger"
    AS_MODEL = "as-model"
    SAVE = "save"
    ESCAPE = "escape"
    HELP = "help"


#: What there is only where there are several planes.
VOLUME = frozenset(
    {
        Command.NEXT_PLANE,
        Command.PREVIOUS_PLANE,
        Command.FIRST_PLANE,
        Command.LAST_PLANE,
        Command.SEGMENT_OBJECT,
        Command.STOP_HERE,
        Command.DELETE_HERE,
        Command.SHOW_NEIGHBOURS,
    }
)

#: What there is only in movies.
MOVIE = frozenset(
    {
        Command.DIVIDE,
        Command.DAUGHTERS_DONE,
        Command.CUT_TRACK,
        Command.END_TRACK,
        Command.ORPHAN,
        Command.JOIN,
        Command.SWAP,
        Command.REPARENT,
    }
)

#: What there is only in series of images.
SERIES = frozenset({Command.NEXT_IMAGE, Command.PREVIOUS_IMAGE, Command.DONE_IMAGE, Command.SKIP_IMAGE})

#: What the panel of proofreading does, beside its tools.
PROOFREADING = frozenset(
    {
        Command.NEXT_SUSPECT,
        Command.PREVIOUS_SUSPECT,
        Command.LOOKS_RIGHT,
        Command.FILL_HOLES,
        Command.SMOOTH,
        Command.GROW,
        Command.SHRINK,
        Command.SPLIT_ALONE,
    }
)

#: The tool that a command chooses.
TOOLS = {Command(tool.value) if tool is not Tool.DELETE else Command.DELETE_TOOL: tool for tool in Tool}


_WRITTEN = {"PageDown": "Page down", "PageUp": "Page up"}
_LOOSE = frozenset("+-?[],.<>012345/\\")
_REPEATED = frozenset(
    {
        Command.UNDO,
        Command.REDO,
        Command.NEXT,
        Command.PREVIOUS,
        Command.NEXT_SUSPECT,
        Command.PREVIOUS_SUSPECT,
        Command.NEXT_PLANE,
        Command.PREVIOUS_PLANE,
        Command.CLOSER,
        Command.FARTHER,
        Command.LARGER,
        Command.SMALLER,
        Command.FAINTER,
        Command.STRONGER,
    }
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key: ``name`` as the browser's KeyboardEvent.key, letters in lower case. Ctrl is Cmd on a Mac."""

    name: str
    command: Command
    help: str
    ctrl: bool = False
    shift: bool = False

    @property
    def loose(self) -> bool:
        """Whether the character needs the shift key on some keyboards, so that the shift key does not count."""
        return self.name in _LOOSE

    @property
    def repeats(self) -> bool:
        """Whether a key that is held down does its work again and again."""
        return self.command in _REPEATED

    @property
    def volume(self) -> bool:
        """Whether the key means something only where there are several planes."""
        return self.command in VOLUME

    @property
    def movie(self) -> bool:
        """Whether the key means something only in movies."""
        return self.command in MOVIE

    @property
    def series(self) -> bool:
        """Whether the key means something only in series of images."""
        return self.command in SERIES

    @property
    def text(self) -> str:
        """How the key is written on screen."""
        name = self.name.upper() if len(self.name) == 1 else _WRITTEN.get(self.name, self.name)
        return "-".join([*(["Ctrl"] if self.ctrl else []), *(["Shift"] if self.shift else []), name])


KEYS = (
    Key("p", Command.POINT, "Point tool: click on an object"),
    Key("b", Command.BOX, "Box tool: drag around an object"),
    Key("e", Command.ELLIPSE, "Ellipse tool: drag around an object"),
    Key("g", Command.POLYGON, "Polygon tool: click corner by corner, a double click or Enter ends"),
    Key("l", Command.LASSO, "Lasso tool: draw around an object"),
    Key("r", Command.SCRIBBLE, "Scribble tool: draw along an object"),
    Key("w", Command.BRUSH, "Brush: paint by hand"),
    Key("q", Command.ERASER, "Eraser: rub out"),
    Key("k", Command.FILL, "Fill holes and gaps"),
    Key("v", Command.PICK, "Pick tool: click on an object to work on it, Shift-click for several"),
    Key("m", Command.MERGE, "Merge tool: click on objects that belong together"),
    Key("x", Command.SPLIT, "Split tool: draw a line through an object"),
    Key("d", Command.DELETE_TOOL, "Delete tool: click on an object to remove it"),
    Key(
        "a",
        Command.CHOOSE,
        "Choose tool: click on a candidate to keep it, right-click to reject it, draw around several",
    ),
    Key("0", Command.CLASSIFY, "Classify tool: click on objects of a class, or draw over them; 1 to 5 choose a class"),
    Key("u", Command.PARTS, "Parts tool: click on each part of an object, Enter takes it apart", shift=True),
    Key("t", Command.DELETE_INSIDE, "Delete lasso: draw around objects to remove them", shift=True),
    Key("h", Command.HAND, "Hand: drag to move the image"),
    Key("t", Command.TOGGLE, "Switch between positive and negative prompts"),
    Key("s", Command.SEGMENT, "Segment: ask the model now"),
    Key("s", Command.SEGMENT_OBJECT, "Segment the object through all planes", shift=True),
    Key("x", Command.STOP_HERE, "Stop here: the object ends before this plane", shift=True),
    Key("c", Command.COMMIT, "Commit: keep the object"),
    Key("c", Command.CLEAR, "Clear the prompts", shift=True),
    Key("Backspace", Command.REMOVE, "Remove the newest prompt"),
    Key("u", Command.FIND, "Find all objects of the image"),
    Key("a", Command.ACCEPT_ALL, "Keep all candidates as objects", shift=True),
    Key("Backspace", Command.REJECT_ALL, "Reject all candidates", shift=True),
    Key("i", Command.IMPROVE, "Improve the picked object: its mask becomes a prompt"),
    Key("Delete", Command.DELETE, "Delete the picked objects"),
    Key("Delete", Command.DELETE_HERE, "Delete what the picked object has in this plane only", shift=True),
    Key("n", Command.NEXT, "Go to the next object"),
    Key("n", Command.PREVIOUS, "Go to the object before", shift=True),
    Key("/", Command.NEXT_SUSPECT, "Go to the next suspicious object"),
    Key("\\", Command.PREVIOUS_SUSPECT, "Go to the suspicious object before"),
    Key("v", Command.LOOKS_RIGHT, "The picked object looks right: go to the next suspicious one", shift=True),
    Key("h", Command.FILL_HOLES, "Fill the holes of the picked objects", shift=True),
    Key("r", Command.SMOOTH, "Smooth the outlines of the picked objects", shift=True),
    Key("g", Command.GROW, "Grow the picked objects", shift=True),
    Key("i", Command.SHRINK, "Shrink the picked objects", shift=True),
    Key("q", Command.SPLIT_ALONE, "Split the picked object at its waist", shift=True),
    Key("z", Command.NEXT_PLANE, "Next plane"),
    Key("PageDown", Command.NEXT_PLANE, "Next plane"),
    Key("z", Command.PREVIOUS_PLANE, "Plane before", shift=True),
    Key("PageUp", Command.PREVIOUS_PLANE, "Plane before"),
    Key("Home", Command.FIRST_PLANE, "First plane"),
    Key("End", Command.LAST_PLANE, "Last plane"),
    Key("d", Command.DIVIDE, "The picked track, or the object in hand, divides in this frame", shift=True),
    Key("f", Command.DAUGHTERS_DONE, "No more daughters: what is committed next has no mother", shift=True),
    Key("k", Command.CUT_TRACK, "Cut the picked track: from this frame on it is another one", shift=True),
    Key("e", Command.END_TRACK, "End the picked track: nothing of it from this frame on", shift=True),
    Key("o", Command.ORPHAN, "The picked track has no mother", shift=True),
    Key("j", Command.JOIN, "Join two picked tracks: the later one goes on with the earlier one", shift=True),
    Key("w", Command.SWAP, "Swap two picked tracks from this frame on", shift=True),
    Key("p", Command.REPARENT, "Of two picked tracks the second becomes the mother of the first", shift=True),
    Key("y", Command.DONE_IMAGE, "This image is done: go to the next one that is not"),
    Key("y", Command.SKIP_IMAGE, "Skip this image", shift=True),
    Key(">", Command.NEXT_IMAGE, "Next image"),
    Key("<", Command.PREVIOUS_IMAGE, "Image before"),
    Key("z", Command.UNDO, "Undo", ctrl=True),
    Key("z", Command.REDO, "Redo", ctrl=True, shift=True),
    Key("y", Command.REDO, "Redo", ctrl=True),
    Key("l", Command.LIVE, "Answer after every prompt, or only on S", shift=True),
    Key("b", Command.BATCHED, "Every point and box an object of its own", shift=True),
    Key("f", Command.FIT, "Fit the image to the window"),
    Key("+", Command.CLOSER, "Zoom in"),
    Key("-", Command.FARTHER, "Zoom out"),
    Key("]", Command.LARGER, "Larger brush"),
    Key("[", Command.SMALLER, "Smaller brush"),
    Key("1", Command.SHOW_IMAGE, "Show or hide the image"),
    Key("2", Command.SHOW_OBJECTS, "Show or hide the objects"),
    Key("3", Command.SHOW_CANDIDATES, "Show or hide the candidates"),
    Key("4", Command.SHOW_PROPOSAL, "Show or hide the proposal"),
    Key("5", Command.SHOW_PROMPTS, "Show or hide the prompts"),
    Key("j", Command.SHOW_NEIGHBOURS, "Show or hide the outlines of the object in the neighbouring planes"),
    Key("o", Command.CONTOURS, "Objects as outlines or filled"),
    Key(",", Command.FAINTER, "Objects more transparent"),
    Key(".", Command.STRONGER, "Objects more opaque"),
    Key("m", Command.AS_MODEL, "Show what the model sees", shift=True),
    Key("s", Command.SAVE, "Save the labels as TIFF", ctrl=True),
    Key("Escape", Command.ESCAPE, "Leave what is begun: a polygon, picked objects, work that runs"),
    Key("?", Command.HELP, "Show or hide this help"),
)


def command_for(
    key: str,
    *,
    ctrl: bool = False,
    shift: bool = False,
    volume: bool = False,
    movie: bool = False,
    series: bool = False,
) -> Command | None:
    """Return the command of a key press, or None.

    ``volume``, ``movie``, ``series``: also those of several planes, of tracks, and of several images.

    Characters that need the shift key on some keyboards ignore it.
    """
    name = key.lower() if len(key) == 1 else key
    name = "+" if name == "=" else name
    for one in shortcuts(volume=volume, movie=movie, series=series):
        if one.name == name and one.ctrl == ctrl and (one.shift == shift or one.loose):
            return one.command
    return None


def shortcuts(*, volume: bool, movie: bool = False, series: bool = False) -> list[Key]:
    """Return the keys of a single plane, of a volume, or of a movie; ``series``: with those of several images."""
    known = [one for one in KEYS if (volume or not one.volume) and (movie or not one.movie)]
    return [one for one in known if series or not one.series]


def key_of(command: Command) -> str:
    """Return the first key of a command as text."""
    return next(k.text for k in KEYS if k.command is command)


def help_rows(*, volume: bool = False, movie: bool = False, series: bool = False) -> list[tuple[str, str]]:
    """Return (keys, help) for every command, mouse first.

    ``volume``, ``movie``, ``series``: also what there is only there.
    """
    mouse = [
        ("Left click", "Add a point of the chosen kind"),
        ("Right click", "Add a negative point: this is not part of the object; on a prompt: remove it"),
        ("Right drag", "Scribble tool: beside the object; brush: rub out; choose tool: reject candidates inside"),
        ("Drag a prompt", "Move it; a corner changes its shape"),
        ("Shift-drag", "Draw a box, with any tool"),
        ("Drag", "Move the image, with tools that do not draw"),
        ("Middle drag, Space-drag", "Move the image, with any tool; on touch screens: two fingers"),
        ("Arrow keys", "Move the image"),
        ("Wheel, pinch", "Zoom at the pointer"),
        *([("Shift-wheel, Alt-wheel", "Go through the planes")] if volume else []),
        ("Enter", "Close the polygon; Backspace takes its last corner, Escape leaves it"),
    ]
    table: dict[str, list[str]] = {}
    for one in shortcuts(volume=volume, movie=movie, series=series):
        table.setdefault(one.help, []).append(one.text)
    rows = mouse + [(", ".join(texts), words) for words, texts in table.items()]
    return [(keys, worded(words, movie=movie)) for keys, words in rows]
