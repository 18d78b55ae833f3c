"""An archive as frames, parsed and sorted by the product's own sweep."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio

from bench.generate import Archive
from feefifod.config.settings import PipelineSettings
from feefifod.model import Frame
from feefifod.parse.pair import split_pair
from feefifod.sweep import Slab, Sweep, SweepFile, Window


def describe_files(archive: Archive) -> list[SweepFile]:
    """Return what the sweep has to know of each file; asset ids are made up."""
    names = [path.stem.rsplit("_", 1) for path in archive.paths]
    pairs = [split_pair(altname) for altname, _ in names]
    ids = {ticker: number for number, ticker in enumerate(sorted({pair.ticker for pair in pairs}), 1)}
    return [
        SweepFile(
            id=number,
            order=number,
            open=partial(os.open, str(path), os.O_RDONLY),
            size=path.stat().st_size,
            data_start=0,
            fields=7,
            asset_id=ids[pair.ticker],
            interval_minutes=int(interval),
            quote=pair.quote,
        )
        for number, (path, pair, (_, interval)) in enumerate(zip(archive.paths, pairs, names, strict=True), 1)
    ]


async def read_frames(archive: Archive) -> AsyncIterator[Frame]:
    """Yield the frames in the order of time."""
    pipeline = PipelineSettings()
    sweep = Sweep(
        describe_files(archive),
        {},
        None,
        pipeline.window_rows,
        pipeline.window_bytes,
        anyio.CapacityLimiter(pipeline.workers),
    )
    refused = await sweep.open()
    if refused:
        raise RuntimeError(f"the sweep refuses {refused}")
    slabs, slabs_in = anyio.create_memory_object_stream[Slab](0)
    windows, windows_in = anyio.create_memory_object_stream[Window](0)
    async with anyio.create_task_group() as stages, windows_in:
        stages.start_soon(sweep.read, slabs)
        stages.start_soon(sweep.merge, slabs_in, windows)
        async for window in windows_in:
            if window.frame is not None:
                yield window.frame
    sweep.close()


def name_sample(archive: Archive, rows: int) -> list[Path]:
    """Choose whole files that together hold about so many rows, spread over pairs and intervals."""
    paths = archive.paths
    chosen: list[Path] = []
    total = 0
    # A step that shares no factor with the number of files visits each of them once.
    for index in range(len(paths)):
        path = paths[index * 61 % len(paths)]
        if total + archive.rows[path.name] <= rows or not chosen:
            chosen.append(path)
            total += archive.rows[path.name]
    return sorted(chosen)
