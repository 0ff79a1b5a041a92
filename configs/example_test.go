package configs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the example files anew from the structs' comments")

// TestExamplesFollowTheComments holds every example file to what the structs
// say: run it with -update after a change.
func TestExamplesFollowTheComments(t *testing.T) {
	docs := structComments(t)
	var have []string
	for _, r := range Roles() {
		name := filepath.Join("examples", r.Name+".toml")
		have = append(have, name)
		want := render(r, docs)
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s does not follow the structs' comments: run go test ./configs -update\ngot:\n%s\nwant:\n%s", name, got, want)
		}
		c, err := Load(name, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(c, r.Config()) {
			t.Errorf("%s: loaded\n%s\nwant\n%s", name, c.TOML(), r.Config().TOML())
		}
	}
	files, _ := filepath.Glob("examples/*")
	if len(files) != len(have) {
		t.Errorf("examples holds %q, want exactly %q", files, have)
	}
}

// structComments returns the comments of structs ("Web") and of their fields
// ("Web.Listen") in this package's source.
func structComments(t *testing.T) map[string]string {
	t.Helper()
	var decls []ast.Decl
	for _, name := range []string{"configs.go", "nostr.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, f.Decls...)
	}
	docs := map[string]string{}
	for _, d := range decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range g.Specs {
			ts, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			docs[ts.Name.Name] = g.Doc.Text()
			for _, field := range st.Fields.List {
				docs[ts.Name.Name+"."+field.Names[0].Name] = field.Doc.Text()
			}
		}
	}
	return docs
}

// render writes a role's file. What is as it would be anyway stands in it as
// a comment, so that a file does not freeze the defaults of its day.
func render(r Role, docs map[string]string) []byte {
	var b strings.Builder
	c := r.Config()
	fmt.Fprintf(&b, "# %s\n#\n# Lines that begin with #name = … show the defaults. Settings marked (live) apply\n# on SIGHUP without interrupting anything.\n", r.About)
	at := map[string]string{} // "web.listen" to "Web.Listen"
	root := reflect.TypeFor[Config]()
	for i := range root.NumField() {
		s := root.Field(i)
		at[s.Tag.Get("toml")] = s.Name
		for j := range s.Type.NumField() {
			f := s.Type.Field(j)
			at[s.Tag.Get("toml")+"."+f.Tag.Get("toml")] = s.Name + "." + f.Name
		}
	}
	tableDocs := map[string]string{"topic": "RadioTopic.Topic", "channel": "RadioTopic.Channel", "form": "RadioTopic.Form"}
	section := ""
	for _, s := range c.Settings() {
		if s.Section != section {
			section = s.Section
			doc := strings.TrimPrefix(docs[at[section]], at[section]+" is ")
			fmt.Fprintf(&b, "\n%s[%s]\n", comment(strings.ToUpper(doc[:1])+doc[1:], false), section)
		}
		b.WriteString(comment(docs[at[s.Section+"."+s.Name]], s.Live))
		if s.Value != "" {
			if s.Default {
				b.WriteString("#")
			}
			fmt.Fprintf(&b, "%s = %s\n", s.Name, s.Value)
			continue
		}
		shown, mark := s.Tables, ""
		if len(shown) == 0 {
			example := Config{Radio: Radio{Topics: []RadioTopic{{"alerts", 0, "text"}}}}
			for _, e := range example.Settings() {
				if e.Section == s.Section && e.Name == s.Name {
					shown, mark = e.Tables, "#"
				}
			}
		}
		for i, t := range shown {
			fmt.Fprintf(&b, "%s[[%s.%s]]\n", mark, s.Section, s.Name)
			for _, in := range t {
				if i == 0 {
					b.WriteString(comment(docs[tableDocs[in.Name]], false))
				}
				fmt.Fprintf(&b, "%s%s = %s\n", mark, in.Name, in.Value)
			}
		}
	}
	return []byte(b.String())
}

func comment(doc string, live bool) string {
	var b strings.Builder
	lines := strings.Split(strings.TrimSpace(doc), "\n")
	for i, l := range lines {
		if live && i == len(lines)-1 {
			l += " (live)"
		}
		b.WriteString("# " + l + "\n")
	}
	return b.String()
}
