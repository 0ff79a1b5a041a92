package web

import (
	"testing"

	"drey/web/lang"
)

// TestEveryAnswerHasWords: each code of an error, and each line of a history,
// has a text.
func TestEveryAnswerHasWords(t *testing.T) {
	for code := range statuses {
		if !lang.English().Has("errors.code-" + code) {
			t.Errorf("the error %s has no text", code)
		}
	}
	for _, s := range states {
		if !lang.English().Has("delivery." + s.key) {
			t.Errorf("%q has no text", s.prefix)
		}
	}
}

// TestTell puts errors into words that the catalogues have, and keeps what they
// do not have beside what the code means.
func TestTell(t *testing.T) {
	set, err := lang.Load()
	if err != nil {
		t.Fatal(err)
	}
	es, _ := set.Lookup("es")
	en, _ := set.Lookup("en")
	for _, c := range []struct {
		name  string
		words *lang.Catalogue
		e     *Error
		want  toldProblem
	}{
		{"a key of its own", es, NewError(CodeForbidden, "x", "y", "z", nil).in("guest-urgent"),
			toldProblem{Code: CodeForbidden, What: "Los invitados no pueden enviar mensajes urgentes", Fix: "Pide a un miembro que lo envíe"}},
		{"recognised whole", es, NewError(CodeRefused, "the list of relays is full", "", "'drey relays rm' makes room", nil),
			toldProblem{Code: CodeRefused, What: "la lista de relés está llena", Fix: "`drey relays rm` hace sitio"}},
		{"recognised but for the cause", es, NewError(CodeUsage, "this is no relay", "parse: x", "", nil),
			toldProblem{Code: CodeUsage, What: "esto no es un relé", Original: "this is no relay: parse: x"}},
		{"by its code", es, NewError(CodeTimeout, "the squirrel sleeps", "", "wake it", nil),
			toldProblem{Code: CodeTimeout, What: "Tardó demasiado", Original: "the squirrel sleeps. wake it"}},
		{"a code that nobody knows", es, NewError("new", "the squirrel sleeps", "", "wake it", nil),
			toldProblem{Code: "new", What: "the squirrel sleeps", Foreign: true, Original: "the squirrel sleeps. wake it"}},
		{"in English", en, NewError(CodeTimeout, "the squirrel sleeps", "late", "run 'drey doctor'", nil),
			toldProblem{Code: CodeTimeout, What: "the squirrel sleeps", Why: "late", Fix: "run `drey doctor`"}},
	} {
		if got := tell(c.words, c.e); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
	ar, _ := set.Lookup("ar")
	p := sayProblem(ar, Problem{Code: "home-permissions", What: "x", Fix: "x", Said: lang.Say("checks.home-open", "path", "/home/ana/identity")})
	if commands := commandsIn(p.Fix); len(commands) != 1 || commands[0] != "chmod 600 /home/ana/identity" {
		t.Errorf("commands in %q: %q", p.Fix, commands)
	}
	if got := rich("do `ls \u2068<x>\u2069` now"); got != `do <code dir="ltr">ls &lt;x&gt;</code> now` {
		t.Errorf("rich: %s", got)
	}
}
