"""Writes ``src/mapscope/goruntime/layouts/goX.Y[-experiment]-ARCH.json`` from real Go toolchains.

    python tools/make_layouts.py              # every table
    python tools/make_layouts.py 1.26 1.27    # those of some series

For each release and architecture a small program that touches every part of the runtime worth knowing is built with
debug information. Structs and arrays come from its DWARF and data; integer constants from Go's own type checker, run
over the release's source (DWARF lacks unsigned constants above 2^63 and those of packages that were not linked). The
tables are deterministic: the same toolchain gives the same bytes. Toolchains are found, and brought where missing, by
``mapscope.lab.toolchains``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.elf import ElfFile
from mapscope.binary.structs import StructLayout
from mapscope.goruntime.layout import SCHEMA
from mapscope.lab.toolchains import Toolchain, find, install

HERE = Path(__file__).resolve().parent
LAYOUTS = HERE.parent / "src" / "mapscope" / "goruntime" / "layouts"
SERIES = ("1.19", "1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27")
ARCHES = ("amd64", "arm64")
EXPERIMENTS = {
    "1.24": ("noswissmap",),
    "1.25": ("noswissmap", "greenteagc"),
    "1.26": ("nogreenteagc",),
    "1.27": ("nogreenteagc",),
}
"""Experiments that change a struct of the runtime, by series. A table of its own for each."""

_ANY = r"interface {},interface {}"
WANTED = [
    re.compile(pattern)
    for pattern in (
        # the heap
        r"runtime\.(mheap|mspan|mSpanList|heapArena|arenaHint|arenaIdx|mcache|mcentral|pageAlloc|addrRange|gcBits|spanSet)",
        r"runtime\.(spanInlineMarkBits|spanScanOwnership|mSpanStateBox|notInHeap|checkmarksMap|stackfreelist|limiterEvent)",
        # goroutines, threads, processors, stacks
        r"runtime\.(g|gobuf|stack|m|p|schedt|libcall|sudog|waitq|hchan|timer|timers|timeHistogram|coro|_defer|_panic)",
        r"runtime\.(stackObjectRecord|stackmap|bitvector|stkframe|gcWork|workbuf|workbufhdr|gList|gQueue|mutex|note)",
        # the program: modules, functions
        r"runtime\.(moduledata|pcHeader|functab|_func|funcInfo|funcInl|textsect|inlinedCall|findfuncbucket|modulehash)",
        r"runtime\.(ptabEntry|initTask|itabTableType|traceback|name)",
        # specials, finalizers, cleanups
        r"runtime\.special\w*",
        r"runtime\.(finalizer|fin[bB]lock|cleanupQueue|cleanupBlock|cleanupBlockHeader|cleanupFn)",
        # statistics
        r"runtime\.(mstats|heapStatsDelta|consistentHeapStats|gcControllerState|sysMemStat|workType|sweepdata|activeSweep)",
        r"runtime\.(bucket|memRecord|memRecordCycle|synctestBubble|synctestGroup)",
        # maps
        r"runtime\.(hmap|mapextra|bmap|hiter|maptype)",
        r"internal/runtime/maps\.(Map|table|groupsReference|groupReference|Iter|ctrlGroup|bitset)",
        r"reflect\.(hiter|MapIter|Value)",
        # type descriptors and interfaces
        r"internal/abi\.(Type|MapType|OldMapType|SwissMapType|PtrType|SliceType|ArrayType|ChanType|StructType|StructField)",
        r"internal/abi\.(InterfaceType|Imethod|FuncType|UncommonType|Method|ITab|Name|EmptyInterface|NonEmptyInterface)",
        r"runtime\.(_type|ptrtype|slicetype|arraytype|chantype|structtype|structfield|interfacetype|imethod|functype)",
        r"runtime\.(uncommontype|method|itab|iface|eface|slice|stringStruct)",
        # sync.Map of each generation, and what its fields are made of
        r"sync\.(Map|readOnly|entry|Mutex)",
        rf"(internal/sync|internal/concurrent)\.(HashTrieMap|node|indirect|entry)\[{_ANY}\]",
        r"unique\.(Handle|uniqueMap|canonMap|indirect|node|canonEntry)\[string\]",
    )
]
CONSTANTS = {
    "runtime": r"heapArenaBytes|logHeapArenaBytes|heapArenaWords|heapArenaBitmapBytes|heapArenaBitmapWords"
    r"|pagesPerArena|arenaL[12]Bits|arenaL1Shift|arenaBaseOffset|heapAddrBits|maxAlloc|pageSize|_PageSize|_PageShift|pageShift"
    r"|_?NumSizeClasses|numSpanClasses|tinySpanClass|_?maxTinySize|_?TinySize|_TinySizeClass|tinySizeClass|maxTinySize"
    r"|minSizeForMallocHeader|mallocHeaderSize|maxSmallSize|_?MaxSmallSize|smallSizeMax|smallSizeDiv|largeSizeDiv|wordSize"
    r"|_K[iI][nN][dD][sS]pecial\w+|_Kindspecial\w*|_G\w+|mSpan\w+|_FixedStack|fixedStack|stackMin|_StackMin|_StackGuard|_WorkbufSize"
    r"|bucketCnt|bucketCntBits|loadFactorNum|loadFactorDen|maxKeySize|maxElemSize|empty\w+|evacuated\w+|minTopHash|noCheck"
    r"|iterator|oldIterator|hashWriting|sameSizeGrow|pcbucketsize|minfunc|_?PCDATA_\w+|_?FUNCDATA_\w+|funcID_\w+"
    r"|kindMask|kind[A-Z]\w+|tflag\w+|traceback\w+|_Timer\w*|ptrSize|sweepMinHeapDistance|userArenaChunkBytes|_?[fF]inBlockSize|cleanupBlockSize",
    "internal/abi": r"Kind\w+|TFlag\w+|(Old|Swiss)?Map\w+|PCDATA_\w+|FUNCDATA_\w+|FuncID\w+|Func(Tab)\w+"
    r"|MINFUNC|StackObject\w*|MaxPtrmaskBytes|ZeroValSize|NoFloat|IMethod\w*|UNSAFE\w*",
    "internal/goarch": r"PtrSize|MinFrameSize|StackAlign|PCQuantum|DefaultPhysPageSize|BigEndian",
    "internal/runtime/gc": r"\w+",
    "internal/runtime/maps": r"ctrl\w+|max\w+|load\w+|[a-z]*[gG]roup\w*|debugLog",
}
"""By package, the names of the integer constants to keep where the release has them."""

ARRAYS = {"class_to_size": ("runtime.class_to_size", "internal/runtime/gc.SizeClassToSize")}
GLOBALS = (
    "runtime.mheap_", "runtime.allgs", "runtime.allglen", "runtime.allm", "runtime.allp", "runtime.sched",
    "runtime.memstats", "runtime.gcController", "runtime.work", "runtime.firstmoduledata", "runtime.lastmoduledatap",
    "runtime.modulesSlice", "runtime.allfin", "runtime.finq", "runtime.finc", "runtime.gcCleanups", "runtime.gcphase",
    "runtime.writeBarrier", "runtime.waitReasonStrings", "runtime.buildVersion", "runtime.g0", "runtime.m0",
    "runtime.emptymspan", "runtime.mcache0", "runtime.zeroVal", "runtime.physPageSize", "runtime.gcBlackenEnabled",
    "runtime.itabTable", "runtime.worldStopped",
)  # fmt: skip
"""Variables of the runtime that a reader of its memory looks for; the table says which of them the release has."""

PROBE = {
    "go.mod": "module probe\n\ngo 1.19\n",
    "main.go": """
package main

import ("fmt"; "os"; "reflect"; "runtime"; "runtime/debug"; "runtime/pprof"; "sync"; "time"; "errors"; "strings")

type pair struct { key string; value any }
type speaker interface { Speak() string }

func (p *pair) Speak() string { return p.key }

var (
	byName  = map[string]*pair{}
	byID    = map[uint64]uint64{}
	big     = map[[40]int][40]int{}
	shared  sync.Map
	channel = make(chan speaker, 4)
	sink    any
)

func main() {
	for i := 0; i < 100; i++ {
		p := &pair{fmt.Sprint(i), i}
		byName[p.key] = p
		byID[uint64(i)] = uint64(i)
		big[[40]int{i}] = [40]int{i}
		shared.Store(p.key, p)
		runtime.SetFinalizer(p, func(q *pair) { fmt.Fprintln(os.Stderr, q.key) })
	}
	for k, v := range byName { delete(byName, k); channel <- v; (<-channel).Speak() }
	shared.Range(func(k, v any) bool { shared.Delete(k); return true })
	shared.LoadOrStore("a", 1)
	for it := reflect.ValueOf(byID).MapRange(); it.Next(); { sink = it.Value().Interface() }
	t := reflect.TypeOf(big)
	sink = reflect.MakeMapWithSize(reflect.MapOf(t.Key(), t.Elem()), 3).Interface()
	sink = reflect.MakeFunc(reflect.TypeOf(main), func([]reflect.Value) []reflect.Value { return nil }).Interface()
	sink = reflect.StructOf([]reflect.StructField{{Name: "A", Type: t}})
	sink = reflect.New(reflect.ArrayOf(3, reflect.ChanOf(reflect.BothDir, t))).Interface()
	if t.NumMethod() > 0 { sink = t.Method(0) }
	select { case s := <-channel: s.Speak(); case <-time.After(time.Millisecond): }
	timer := time.AfterFunc(time.Hour, func() {})
	timer.Stop()
	go func() { defer func() { sink = recover() }(); panic(errors.New(strings.Repeat("x", 3))) }()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
	pprof.Lookup("heap").WriteTo(os.Stderr, 1)
	debug.WriteHeapDump(os.Stderr.Fd())
	buffer := make([]runtime.StackRecord, 10)
	runtime.GoroutineProfile(buffer)
	newer()
	fmt.Fprintln(os.Stderr, sink, stats.HeapAlloc)
}
""",
    "old.go": "//go:build !go1.21\n\npackage main\n\nfunc newer() {}\n",
    "pinner.go": '//go:build go1.21\n\npackage main\n\nimport "runtime"\n\n'
    "func newer() { var p runtime.Pinner; p.Pin(&big); p.Unpin(); newest() }\n",
    "before24.go": "//go:build !go1.24\n\npackage main\n\nfunc newest() {}\n",
    "go24.go": '//go:build go1.24\n\npackage main\n\nimport ("iter"; "maps"; "runtime"; "unique"; "weak")\n\n'
    "func newest() {\n\tp := &pair{}\n\truntime.AddCleanup(p, func(i int) { sink = i }, 1)\n\tw := weak.Make(p)\n"
    '\tsink = w.Value()\n\tsink = unique.Make("x")\n\tnext, stop := iter.Pull(maps.Keys(byID))\n'
    "\tnext()\n\tstop()\n}\n",
}

CHECKER = {
    "go.mod": "module checker\n\ngo 1.19\n",
    "main.go": """
package main

import ("encoding/json"; "go/constant"; "go/importer"; "go/token"; "go/types"; "os")

// Prints the integer constants of the packages named as arguments, exported or not, as {"package.name": "value"}.
func main() {
	from := importer.ForCompiler(token.NewFileSet(), "source", nil)
	found := map[string]string{}
	for _, path := range os.Args[1:] {
		pkg, err := from.Import(path)
		if err != nil { println(path, err.Error()); continue }
		for _, name := range pkg.Scope().Names() {
			if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok {
				if v := constant.ToInt(c.Val()); v.Kind() == constant.Int { found[path+"."+name] = v.ExactString() }
			}
		}
	}
	json.NewEncoder(os.Stdout).Encode(found)
}
""",
}


def _write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def structs_of(dwarf: Dwarf) -> dict[str, StructLayout]:
    """The structs worth keeping that this executable describes."""
    found = {}
    for name in dwarf.struct_names():
        if any(pattern.fullmatch(name) for pattern in WANTED):
            layout = dwarf.struct(name)
            if layout is not None and layout.size:
                found[name] = layout
    return found


def constants_of(toolchain: Toolchain, checker: Path, arch: str, experiment: str) -> dict[str, int]:
    """The wanted constants of one release, by full name, as Go's type checker computes them."""
    packages = [path for path in CONSTANTS if (toolchain.goroot / "src" / path).is_dir()]
    environment = toolchain.environment(goarch=arch, experiment=experiment)
    done = subprocess.run(
        [checker, *packages], env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    found: dict[str, int] = {}
    for full, value in sorted(json.loads(done.stdout).items()):
        package, _, name = full.rpartition(".")
        if re.fullmatch(CONSTANTS[package], name):
            found[full] = int(value)
    return found


def arrays_of(elf: ElfFile, dwarf: Dwarf) -> dict[str, list[int]]:
    """Tables of numbers in the executable's data."""
    found = {}
    by_name = {variable.name: variable for variable in dwarf.globals}
    for key, names in ARRAYS.items():
        for name in names:
            if name in by_name:
                kind = dwarf.type(by_name[name].type)
                data = elf.read(by_name[name].address, kind.size)
                if data is None or kind.count == 0:
                    raise SystemExit(f"{name} is not in {elf.path}")
                width = kind.size // kind.count
                found[key] = [int.from_bytes(data[i : i + width], "little") for i in range(0, kind.size, width)]
    return found


def render(document: dict[str, object]) -> str:
    """JSON with one struct, and each other value, on a line of its own."""

    def line(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    parts = []
    for key, value in document.items():
        if key == "structs" and isinstance(value, dict):
            rows = ",\n".join(f"{line(name)}:{line(struct)}" for name, struct in value.items())
            parts.append(f'"structs":{{\n{rows}}}')
        else:
            parts.append(f"{line(key)}:{line(value)}")
    return "{" + ",\n".join(parts) + "}\n"


def make(toolchain: Toolchain, arch: str, experiment: str, scratch: Path) -> Path:
    """Writes one table; its path."""
    name = f"go{toolchain.series}{'-' + experiment if experiment else ''}-{arch}"
    program = toolchain.build(scratch / "probe", scratch / name, goarch=arch, experiment=experiment, trimpath=True)
    checker = scratch / f"checker-{toolchain.version}"
    if not checker.exists():
        toolchain.build(scratch / "checker", checker, trimpath=True)
    with ElfFile.open(program) as elf:
        dwarf = Dwarf.from_elf(elf)
        if dwarf is None:
            raise SystemExit(f"{program} has no DWARF")
        structs = structs_of(dwarf)
        present = {variable.name for variable in dwarf.globals}
        document: dict[str, object] = {
            "schema": SCHEMA,
            "go": f"go{toolchain.version}",
            "arch": arch,
            "experiment": experiment,
            "command": f"python tools/make_layouts.py {toolchain.series}",
            "globals_of_interest": [variable for variable in GLOBALS if variable in present],
            **arrays_of(elf, dwarf),
            "constants": constants_of(toolchain, checker, arch, experiment),
            "structs": {
                key: {
                    "size": struct.size,
                    # Fields of no size (noCopy, lock ranks, NotInHeap) say nothing about where anything lies.
                    "fields": {f: [at.offset, at.size, at.type] for f, at in struct.fields.items() if at.size},
                }
                for key, struct in structs.items()
            },
        }
    target = LAYOUTS / f"{name}.json"
    target.write_text(render(document), encoding="utf-8")
    program.unlink()
    return target


def main(series: list[str]) -> None:
    """Makes the tables of ``series``, or all."""
    LAYOUTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        _write(scratch / "probe", PROBE)
        _write(scratch / "checker", CHECKER)
        for one in series or SERIES:
            toolchain = find(one) or install(one)
            for experiment in ("", *EXPERIMENTS.get(one, ())):
                for arch in ARCHES:
                    target = make(toolchain, arch, experiment, scratch)
                    print(f"{target.name}: {target.stat().st_size} bytes, from go{toolchain.version}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
