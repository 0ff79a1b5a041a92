package relaystest

import (
	"strings"

	"github.com/fiatjaf/eventstore/badger"
)

// OpenBadger opens a store on what a kill of its relay left. Badger makes a
// file first and gives it its size afterwards. Killed between the two, it
// refuses the next start with "Create a new file", though that very attempt has
// sized the file: nothing is lost, and the start after it succeeds. So a relay
// that somebody supervises comes up, and so does this one.
func OpenBadger(db *badger.BadgerBackend) error {
	var err error
	for range 4 { // a file of the memtable and one of the value log, at most
		if err = db.Init(); err == nil || !strings.Contains(err.Error(), "Create a new file") {
			return err
		}
	}
	return err
}
