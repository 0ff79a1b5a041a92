package roster

import "testing"

// Decisions cross scarce media and fill the exchange of rosters: what they
// weigh is written down in docs/PROTOCOL.md.
func TestDecisionsStaySmall(t *testing.T) {
	w := newTown(t)
	found := w.book.Since(nil)[0]
	machine := w.admit(w.book, "founder", "a machine's name")
	d, err := w.book.DraftAdmitPerson(w.key("ben"), "a person's name", w.now())
	if err != nil {
		t.Fatal(err)
	}
	person := w.sign("founder", d)
	ban := w.ban(w.book, "founder", "a machine's name")
	for _, c := range []struct {
		name  string
		size  int
		limit int
	}{
		{"founding", len(found.AppendBinary(nil)), 640},
		{"admission of a machine", len(machine.AppendBinary(nil)), 660},
		{"admission of a person", len(person.AppendBinary(nil)), 320},
		{"ban", len(ban.AppendBinary(nil)), 400},
	} {
		t.Logf("%s: %d bytes", c.name, c.size)
		if c.size > c.limit {
			t.Errorf("%s: %d bytes, limit %d", c.name, c.size, c.limit)
		}
	}
}
