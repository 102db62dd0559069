// Reads Kubernetes' published Go API types and generated.proto files and prints schema/schema.txt.
//
//	go run ./tools/schema_import ROOT... < roots.txt
//
// ROOT is an unpacked module: k8s.io/api, k8s.io/apimachinery, k8s.io/apiextensions-apiserver,
// k8s.io/kube-aggregator. Only facts are taken: names, types, numbers, tags and markers.
package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
)

type pkg struct {
	name   string // "core.v1"
	goPkg  string // "v1"
	types  map[string]*decl
	consts map[string]string
	proto  map[string]map[string]string // message → lower-cased field → tag
}
type decl struct {
	spec *ast.TypeSpec
	doc  string
	imps map[string]string // alias → import path
}

var pkgs = map[string]*pkg{} // by import path

var dirs = []struct{ path, name string }{
	{"k8s.io/api/admissionregistration/v1", "admissionregistration.v1"},
	{"k8s.io/api/apps/v1", "apps.v1"}, {"k8s.io/api/authentication/v1", "authentication.v1"},
	{"k8s.io/api/authorization/v1", "authorization.v1"}, {"k8s.io/api/autoscaling/v1", "autoscaling.v1"},
	{"k8s.io/api/autoscaling/v2", "autoscaling.v2"}, {"k8s.io/api/batch/v1", "batch.v1"},
	{"k8s.io/api/certificates/v1", "certificates.v1"}, {"k8s.io/api/coordination/v1", "coordination.v1"},
	{"k8s.io/api/core/v1", "core.v1"}, {"k8s.io/api/discovery/v1", "discovery.v1"},
	{"k8s.io/api/events/v1", "events.v1"}, {"k8s.io/api/flowcontrol/v1", "flowcontrol.v1"},
	{"k8s.io/api/networking/v1", "networking.v1"}, {"k8s.io/api/networking/v1beta1", "networking.v1beta1"},
	{"k8s.io/api/node/v1", "node.v1"}, {"k8s.io/api/policy/v1", "policy.v1"}, {"k8s.io/api/rbac/v1", "rbac.v1"},
	{"k8s.io/api/resource/v1", "resource.v1"}, {"k8s.io/api/scheduling/v1", "scheduling.v1"},
	{"k8s.io/api/storage/v1", "storage.v1"}, {"k8s.io/apimachinery/pkg/apis/meta/v1", "meta.v1"},
	{"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1", "apiextensions.v1"},
	{"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1", "apiregistration.v1"},
}

// What the tables treat as one value.
var scalars = map[string]string{
	"k8s.io/apimachinery/pkg/api/resource.Quantity": "quantity", "k8s.io/apimachinery/pkg/apis/meta/v1.Time": "time",
	"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime": "microtime", "k8s.io/apimachinery/pkg/apis/meta/v1.Duration": "duration",
	"k8s.io/apimachinery/pkg/util/intstr.IntOrString": "intorstring", "k8s.io/apimachinery/pkg/runtime.RawExtension": "raw",
	"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1": "raw", "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON": "raw",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray":       "props_or_array",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool":        "props_or_bool",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray": "props_or_strings",
	"k8s.io/apimachinery/pkg/types.UID":                                                     "string",
	"k8s.io/apimachinery/pkg/types.NodeName":                                                "string",
	"k8s.io/apimachinery/pkg/types.NamespacedName":                                          "string",
}
var basics = map[string]string{"string": "string", "bool": "bool", "int32": "i32", "int64": "i64", "int": "i64", "uint32": "i64", "float64": "f64", "byte": "u8"}

func load(dir, path, name string) {
	p := &pkg{name: name, types: map[string]*decl{}, consts: map[string]string{}, proto: map[string]map[string]string{}}
	pkgs[path] = p
	fset := token.NewFileSet()
	files, _ := filepath.Glob(dir + "/*.go")
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(filepath.Base(file), "zz_") || strings.HasSuffix(file, ".pb.go") {
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		if err != nil {
			panic(err)
		}
		p.goPkg = f.Name.Name
		imps := map[string]string{}
		for _, i := range f.Imports {
			ip := strings.Trim(i.Path.Value, `"`)
			alias := filepath.Base(ip)
			if i.Name != nil {
				alias = i.Name.Name
			}
			imps[alias] = ip
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if ok && g.Tok == token.CONST {
				loadConsts(p, g)
			}
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				ts := s.(*ast.TypeSpec)
				p.types[ts.Name.Name] = &decl{ts, g.Doc.Text() + ts.Doc.Text() + rawDoc(g.Doc), imps}
			}
		}
	}
	loadProto(p, dir+"/generated.proto")
}

// Defaults may name a constant: +default=ref(Name).
func loadConsts(p *pkg, g *ast.GenDecl) {
	for _, s := range g.Specs {
		v := s.(*ast.ValueSpec)
		for i, n := range v.Names {
			if i < len(v.Values) {
				if b, ok := v.Values[i].(*ast.BasicLit); ok && b.Kind == token.STRING {
					p.consts[n.Name] = b.Value
				}
			}
		}
	}
}

func rawDoc(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	s := ""
	for _, c := range g.List {
		s += strings.TrimLeft(c.Text, "/ ") + "\n"
	}
	return s
}

var fieldRE = regexp.MustCompile(`^\s*(?:optional|repeated|map<[^>]*>)\s*(?:\S+\s+)?(\S+) = (\d+)`)

func loadProto(p *pkg, file string) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	msg := ""
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, "message ") {
			msg = strings.Fields(line)[1]
			p.proto[msg] = map[string]string{}
		} else if m := fieldRE.FindStringSubmatch(line); m != nil && msg != "" {
			p.proto[msg][strings.ToLower(m[1])] = m[2]
		}
	}
}

type field struct {
	name, typ, tag, flags string
}

var done = map[string]string{} // emitted text by type name
var queue []string             // "path\x00Type"

type value struct {
	shape, typ, goType string
	ptr, structLike    bool
	embedPath          string
}

func resolve(e ast.Expr, path string, d *decl) value {
	switch t := e.(type) {
	case *ast.StarExpr:
		v := resolve(t.X, path, d)
		v.ptr = true
		return v
	case *ast.ArrayType:
		v := resolve(t.Elt, path, d)
		if v.typ == "u8" {
			return value{typ: "bytes", goType: "[]uint8"}
		}
		return value{shape: "[]" + v.shape, typ: v.typ, goType: "[]" + v.goType}
	case *ast.MapType:
		k, v := resolve(t.Key, path, d), resolve(t.Value, path, d)
		return value{shape: "map " + v.shape, typ: v.typ, goType: "map[" + k.goType + "]" + v.goType}
	case *ast.SelectorExpr:
		return named(d.imps[t.X.(*ast.Ident).Name], t.Sel.Name)
	case *ast.Ident:
		if b, ok := basics[t.Name]; ok {
			return value{typ: b, goType: t.Name}
		}
		return named(path, t.Name)
	}
	panic(fmt.Sprintf("%T", e))
}

func named(path, name string) value {
	if s, ok := scalars[path+"."+name]; ok {
		g := filepath.Base(path) + "." + name
		return value{typ: s, goType: g, structLike: s != "string"}
	}
	p := pkgs[path]
	if p == nil {
		panic(path + "." + name)
	}
	d := p.types[name]
	if d == nil {
		panic(path + "." + name)
	}
	if _, ok := d.spec.Type.(*ast.StructType); ok {
		queue = append(queue, path+"\x00"+name)
		return value{typ: p.name + "." + name, goType: p.goPkg + "." + name, structLike: true}
	}
	v := resolve(d.spec.Type, path, d)
	v.goType = p.goPkg + "." + name
	return v
}

func marker(doc, key string) []string {
	var out []string
	for _, l := range strings.Split(doc, "\n") {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "+"+key+"=") {
			out = append(out, strings.TrimPrefix(l, "+"+key+"="))
		} else if l == "+"+key {
			out = append(out, "")
		}
	}
	return out
}

// Fields of one struct; inlined ones come with the tags of the messages that hold them.
func structFields(path, name, outer string, protoMsg string) []field {
	p := pkgs[path]
	d := p.types[name]
	var out []field
	for _, f := range d.spec.Type.(*ast.StructType).Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		js, ok := tag.Lookup("json")
		if !ok || js == "-" {
			continue
		}
		parts := strings.Split(js, ",")
		doc := rawDoc(f.Doc)
		v := resolve(f.Type, path, d)
		opts := "," + strings.Join(parts[1:], ",") + ","
		if parts[0] == "" { // inlined
			base := v.typ[strings.LastIndex(v.typ, ".")+1:]
			if base == "TypeMeta" {
				out = append(out, field{"apiVersion", "string", "-", ""}, field{"kind", "string", "-", ""})
				continue
			}
			t := p.proto[name][strings.ToLower(base)]
			if pb := tag.Get("protobuf"); pb != "" {
				t = strings.Split(pb, ",")[1]
			}
			if t == "" {
				panic("no tag for inlined " + name + "." + base)
			}
			out = append(out, structFields(pathOf(v.typ), base, outer+t+".", base)...)
			continue
		}
		num := "-"
		if t := p.proto[name][strings.ToLower(parts[0])]; t != "" {
			num = outer + t
		} else if t := p.proto[name][strings.ToLower(protoName(tag.Get("protobuf")))]; t != "" {
			num = outer + t
		} else if pb := tag.Get("protobuf"); pb != "" {
			num = outer + strings.Split(pb, ",")[1]
		}
		fl := ""
		optional := len(marker(doc, "optional")) > 0 || strings.Contains(opts, ",omitempty,") || strings.Contains(opts, ",omitzero,")
		if len(marker(doc, "required")) > 0 {
			optional = false
		}
		if !optional {
			fl += " !"
		}
		if v.ptr {
			fl += " ptr"
		}
		collection := v.shape != "" || v.typ == "bytes"
		omit := strings.Contains(opts, ",omitempty,")
		if !v.ptr && !collection && !strings.Contains(opts, ",omitzero,") && (!omit || v.structLike) {
			fl += " always"
		}
		for _, m := range marker(doc, "default") {
			if strings.HasPrefix(m, "ref(") {
				m = p.consts[strings.TrimSuffix(m[4:], ")")]
			}
			if m != "" && (v.ptr || (m != "0" && m != `""`)) {
				fl += " =" + m
			}
		}
		for _, k := range []struct{ m, k string }{{"listType", "lt"}, {"listMapKey", "lk"}, {"mapType", "mt"}, {"structType", "mt"}} {
			if m := marker(doc, k.m); len(m) > 0 {
				fl += " " + k.k + "=" + strings.Join(m, ",")
			}
		}
		if s := tag.Get("patchStrategy"); s != "" {
			fl += " ps=" + s
		}
		if s := tag.Get("patchMergeKey"); s != "" {
			fl += " pk=" + s
		}
		if plain(v) != v.goType {
			fl += " go=" + v.goType
		}
		out = append(out, field{parts[0], v.shape + v.typ, num, fl})
	}
	return out
}

func protoName(tag string) string {
	for _, p := range strings.Split(tag, ",") {
		if strings.HasPrefix(p, "name=") {
			return p[5:]
		}
	}
	return ""
}

// The Go name that a reader of the tables can make up alone.
func plain(v value) string {
	base := map[string]string{"string": "string", "bool": "bool", "i32": "int32", "i64": "int64", "f64": "float64", "bytes": "[]uint8",
		"quantity": "resource.Quantity", "time": "v1.Time", "microtime": "v1.MicroTime", "intorstring": "intstr.IntOrString"}[v.typ]
	if base == "" {
		p := strings.Split(v.typ, ".")
		if len(p) < 3 {
			return v.goType
		}
		base = p[1] + "." + p[2]
	}
	s := v.shape
	s = strings.ReplaceAll(s, "map ", "map[string]")
	return s + base
}

func pathOf(typ string) string {
	want := typ[:strings.LastIndex(typ, ".")]
	for path, p := range pkgs {
		if p.name == want {
			return path
		}
	}
	panic(typ)
}

func emit(path, name string) {
	p := pkgs[path]
	full := p.name + "." + name
	if _, ok := done[full]; ok {
		return
	}
	done[full] = ""
	fs := structFields(path, name, "", name)
	sort.Slice(fs, func(i, j int) bool { return fs[i].name < fs[j].name })
	s := "T " + full
	if m := marker(p.types[name].doc, "structType"); len(m) > 0 && m[0] == "atomic" {
		s += " map=atomic"
	}
	s += "\n"
	for _, f := range fs {
		s += " " + f.name + " " + f.typ + " " + f.tag + f.flags + "\n"
	}
	done[full] = s
}

func main() {
	for _, d := range dirs {
		found := false
		for _, root := range os.Args[1:] { // NAME=DIR
			mod, dir, _ := strings.Cut(root, "=")
			if strings.HasPrefix(d.path, mod+"/") {
				load(dir+strings.TrimPrefix(d.path, mod), d.path, d.name)
				found = true
			}
		}
		if !found {
			panic("no module for " + d.path)
		}
	}
	for sc := bufio.NewScanner(os.Stdin); sc.Scan(); {
		t := strings.TrimSpace(sc.Text())
		if t == "" || t[0] == '#' {
			continue
		}
		queue = append(queue, pathOf(t)+"\x00"+t[strings.LastIndex(t, ".")+1:])
	}
	fmt.Println("# Kubernetes' API types as a table: facts of the Go types and generated.proto files (see README.md).")
	fmt.Println("# T = type. A field: name, type, protobuf tag (outer.inner for members of an inlined message, - for none), then:")
	fmt.Println("# ! required, ptr may be unset though zero is a value, always serialised even when zero, =default as JSON, lt list-type,")
	fmt.Println("# lk list-map-keys, mt map-type, ps/pk strategic-merge patch strategy/merge key, go the Go type when it is a named one")
	for len(queue) > 0 {
		path, name, _ := strings.Cut(queue[0], "\x00")
		queue = queue[1:]
		if name != "TypeMeta" {
			emit(path, name)
		}
	}
	var names []string
	for n := range done {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Print(done[n])
	}
}
