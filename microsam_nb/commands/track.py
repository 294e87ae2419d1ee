"""Find all objects of a movie and follow them, with divisions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .shared import add_finding, add_modes, add_option, progress_bar, read_job


def add(commands: Any) -> None:
    track = commands.add_parser(
        "track",
        help="find all objects of a movie and follow them, with divisions",
        description="Find all objects in every frame of a movie, or take labels, link them to tracks with divisions, "
        "and write these. What was segmented is kept until the tracks are written: the same command goes on.",
        epilog="Formats: ctc, a folder of the Cell Tracking Challenge; geff, a Zarr folder; trackmate, XML for Fiji; "
        "csv, a table for napari with the graph and the labels beside. Exit codes: 0 done, 1 nothing was found or it "
        "failed, 2 the command is wrong, 130 interrupted.",
    )
    track.add_argument("movie", type=Path, metavar="MOVIE", help="TIFF, .npy or zarr folder, time first: (t, y, x)")
    track.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER",
        help="folder for the tracks; or the name of a file that ends in .zarr, .xml or .csv",
    )  # fmt: skip
    track.add_argument("--format", help="ctc, geff, trackmate or csv (default: as the ending says, else ctc)")
    track.add_argument(
        "--labels", type=Path, metavar="PATH",
        help="take these labels instead of segmenting: a file (t, y, x), or a folder with one file per frame",
    )  # fmt: skip
    track.add_argument("--overwrite", action="store_true", help="also where there is a result")
    track.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no summary, only errors")
    add_finding(track)
    from ..engine.linking.settings import LinkSettings

    group = track.add_argument_group("linking")
    for one in LinkSettings.describe():
        add_option(group, one, "link_")
    track.set_defaults(run=run, settings=add_modes(track))


def run(options: argparse.Namespace) -> int:
    from ..annotators.track_files import place_of, track_file
    from ..core import SettingsError
    from ..engine.automatic.batches import is_out_of_memory
    from ..engine.linking.settings import LinkSettings
    from ..files.tracks import TrackFormat, check_tracks_path
    from ..session.wording import counted

    if options.format not in (None, *TrackFormat):
        raise SettingsError(f"There is no format {options.format!r} of tracks.", f"Use {', '.join(TrackFormat)}.")
    place, kind = place_of(options.output, None if options.format is None else TrackFormat(options.format))
    given = {
        one.name: value
        for one in LinkSettings.describe()
        if (value := getattr(options, f"link_{one.name}")) is not None
    }
    linking = LinkSettings().changed(given)
    chosen = {name: value for name in options.settings if (value := getattr(options, name)) is not None}
    if options.labels is not None and chosen:
        raise SettingsError(f"--labels leaves {', '.join(chosen)} without use.", "Leave one of them out.")
    if not options.overwrite and (place.is_file() or (place.is_dir() and any(place.iterdir()))):
        check_tracks_path(place, kind)
        if not options.quiet:
            print(f"{place}: skipped, there is a result; --overwrite makes it anew.")  # noqa: T201
        return 0
    try:
        job = None if options.labels is not None else read_job(options, chosen)
        with progress_bar(options.movie.name, options.quiet) as told:
            found = track_file(
                options.movie, place, job, linking, kind,
                labels=options.labels, axes=options.axes, key=options.key, told=told,
            )  # fmt: skip
    except (MemoryError, RuntimeError) as error:
        why = "The memory does not suffice. Use --tile, a smaller model, or cut the movie."
        said = why if is_out_of_memory(error) else f"{error.__class__.__name__}: {error}"
        print(f"microsam-nb: {options.movie}: {said}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command to go on.", file=sys.stderr)  # noqa: T201
        return 130
    if not options.quiet:
        frames, height, width = found.shape
        print(  # noqa: T201
            f"{options.movie.name}: {counted(frames, 'frame')} of {height} x {width}, "
            f"{counted(found.objects, 'object')}, {counted(found.tracks, 'track')}, "
            f"{counted(found.divisions, 'division')}, {counted(found.gaps, 'frame')} bridged, {found.seconds:.1f} s\n"
            f"{kind}: {place}"
        )
    return 0 if found.tracks else 1
