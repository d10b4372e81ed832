"""A small program that decodes the files that people send: pictures, videos and sounds.

Parsers of media files crash, and small files can expand to gigabytes. So decoding happens in a separate process, with
an empty environment and limits on memory, CPU time and open files. A file that breaks it breaks nothing else.

    client.py       the bot's side: starts the processes, gives them requests, stops them
    waiting.py      which file is next: fair between people
    protocol.py     the messages between both, and their frames
    limits.py       what is accepted, and what a process may use
    worker.py       the main loop of the process
    normalise.py    turns attached pictures into plain PNGs
    pieces.py       a file as pieces of another one, to change it without reading it whole
    containers.py   the parts of picture and video files
    metadata.py     removes the workflow and other metadata from results
    mark.py         marks results as made by a machine
    compress.py     makes results small enough for Discord
    video.py        re-encodes videos, if the extra `video` is installed
"""
