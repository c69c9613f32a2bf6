"""Imported by the line in ``underthread.pth`` and by ``_children/sitecustomize.py``, when a process starts."""

from underthread import _install

_install.install_at_start()
