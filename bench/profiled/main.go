// Command profiled type-checks packages of the standard library from their source, keeps what it found in maps, as a
// language server does, and writes its heap profile at the usual rate.
//
// It serves net/http/pprof in name only: the import makes the executable as large as that of a small service.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
)

func main() {
	out := flag.String("o", "heap.pb.gz", "where to write the profile")
	packages := flag.String("packages", "net/http,go/types,encoding/json,text/template", "what to check, by comma")
	flag.Parse()
	files := token.NewFileSet()
	checker := importer.ForCompiler(files, "source", nil)
	uses := map[string]map[string]types.Object{}
	for _, path := range strings.Split(*packages, ",") {
		checked, err := checker.Import(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		index(uses, checked, map[*types.Package]bool{})
	}
	runtime.GC()
	file, err := os.Create(*out)
	if err != nil {
		panic(err)
	}
	if err := pprof.WriteHeapProfile(file); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
	fmt.Println(len(uses))
	runtime.KeepAlive(uses)
	runtime.KeepAlive(checker)
}

// index keeps every exported name of a package and of those that it imports.
func index(uses map[string]map[string]types.Object, checked *types.Package, seen map[*types.Package]bool) {
	if seen[checked] {
		return
	}
	seen[checked] = true
	names := map[string]types.Object{}
	for _, name := range checked.Scope().Names() {
		if ast.IsExported(name) {
			names[name] = checked.Scope().Lookup(name)
		}
	}
	uses[checked.Path()] = names
	for _, one := range checked.Imports() {
		index(uses, one, seen)
	}
}
