"""Small Go programs with debug information, built once a session for each release."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapscope.lab.toolchains import PINNED, find, install

SOURCE = """package main

import (
	"fmt"
	"os"
	"strings"
)

type Inner struct {
	A int32
	B string
}

type Record struct {
	Inner
	Name  string
	List  []Inner
	Any   any
	Table map[string]*Record
	Fn    func(int) int
	Pipe  chan Inner
	Fixed [3][5]uint16
	Word  uintptr
}

type Celsius float64

const Answer = 42
const Negative = -7

var Global = map[string]*Record{"a": {Name: "x"}}
var Heat Celsius = 36.6

func main() {
	fmt.Fprintln(os.Stderr, Global, Heat, Answer, Negative, len(os.Args), strings.ToUpper("q"))
}
"""


def build(series: str, folder: Path, **options: object) -> Path:
    """The program built with the toolchain of ``series``; skips where Debian's old release is not installed."""
    toolchain = find(series)
    if toolchain is None:
        if not any(version.startswith(series + ".") for version in PINNED):
            pytest.skip(f"Go {series} is not installed and PyPI has none")
        toolchain = install(series)
    name = "-".join([series, *(str(value).strip("-").replace("=", "") for value in options.values())])
    target = folder / f"program-{name}"
    if not target.exists():
        source = folder / f"source-{name}"
        source.mkdir(parents=True, exist_ok=True)
        (source / "go.mod").write_text("module example.test/program\n\ngo 1.19\n")
        (source / "main.go").write_text(SOURCE)
        toolchain.build(source, target, **options)  # type: ignore[arg-type]
    return target
