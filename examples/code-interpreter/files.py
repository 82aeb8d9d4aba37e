"""Files of the session: /files/<name> below the workspace."""

import os
from urllib.parse import unquote

from web import MAX_BODY_BYTES, Refusal


def list_files(workspace):
    found = []
    for directory, _, names in os.walk(workspace):
        for name in names:
            path = os.path.join(directory, name)
            found.append({"name": os.path.relpath(path, workspace), "bytes": os.lstat(path).st_size})
    return {"files": sorted(found, key=lambda file: file["name"])}


def read_file(workspace, raw_name):
    path = _inside(workspace, raw_name)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BODY_BYTES + 1)
    except OSError as problem:
        raise Refusal(404, f"Cannot read {unquote(raw_name)}: {problem.strerror}.") from None
    if len(data) > MAX_BODY_BYTES:
        raise Refusal(413, f"The file is larger than {MAX_BODY_BYTES} bytes. Read it in pieces with code.")
    return data


def write_file(workspace, raw_name, data):
    path = _inside(workspace, raw_name)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    except OSError as problem:
        raise Refusal(409, f"Cannot write {unquote(raw_name)}: {problem.strerror}.") from None
    return {"name": os.path.relpath(path, workspace), "bytes": len(data)}


def _inside(workspace, raw_name):
    """The path that is meant, links followed; refuses names that lead out of the workspace."""
    name = unquote(raw_name)
    if not name or "\0" in name or len(name) > 1024:
        raise Refusal(400, "A file needs a name of up to 1024 characters.")
    root = os.path.realpath(workspace)
    path = os.path.realpath(os.path.join(root, name))
    if not path.startswith(root + os.sep):
        raise Refusal(400, f"{name} is outside of the workspace.")
    return path
