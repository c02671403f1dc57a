"""Executable models of the Go map, with the runtime's own names, and the mechanism that the article tells of.

``classic`` is the map of ``runtime/map.go`` (to 1.23, and with ``GOEXPERIMENT=noswissmap`` in 1.24 and 1.25), ``swiss``
that of ``internal/runtime/maps`` (from 1.24 on). Every model has the interface of ``interface.MapModel``;
``making.make`` makes one for a release. Given the same hash values a model's state after every operation is the
runtime's: ``tests/groundtruth/test_lab_model.py`` drives both.
"""
