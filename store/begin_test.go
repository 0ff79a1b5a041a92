package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

// twins returns two events whose ids begin with the same eight digits.
func twins(t *testing.T) []*mesh.Event {
	t.Helper()
	seen := make(map[string]*mesh.Event)
	for n := range 1_000_000 {
		e := storetest.Event(t, 1, 1, 1000, fmt.Sprint(n))
		head := e.ID().String()[:shortest]
		if other := seen[head]; other != nil {
			return []*mesh.Event{e, other}
		}
		seen[head] = e
	}
	t.Fatal("no twins among a million")
	return nil
}

// openByHand opens a store whose tables are written when the test says so: Run
// would do it at a time of its own.
func openByHand(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "drey.db")})
	if err != nil {
		t.Fatal(err)
	}
	if s.writer.insert, err = s.w.Prepare(insertBatch); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.writer.insert.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestBeginning(t *testing.T) {
	for _, folds := range []int{0, 1, 2} { // into the tables, after so many saves
		t.Run(fmt.Sprintf("%d in the tables", folds), func(t *testing.T) {
			s := openByHand(t)
			both := twins(t)
			var ids []mesh.EventID
			for i, e := range both {
				ids = append(ids, e.ID())
				if err := s.Save(t.Context(), storetest.Received(e, mesh.TopicCommons, time.Unix(1000, 0)), nil, false); err != nil {
					t.Fatal(err)
				}
				if i+1 == folds {
					if err := s.foldNow(); err != nil {
						t.Fatal(err)
					}
				}
			}
			slices.SortFunc(ids, compareIDs)
			one := ids[0].String()
			differ := shortest
			for one[differ] == ids[1].String()[differ] {
				differ++
			}
			for prefix, want := range map[string][]mesh.EventID{
				one[:shortest]:             ids,
				one[:differ+1]:             ids[:1],
				one:                        ids[:1],
				one[:shortest-1]:           nil,
				strings.ToUpper(one):       nil,
				one + "0":                  nil,
				"%_______":                 nil,
				strings.Repeat("f", 12):    nil,
				ids[1].String()[:differ+1]: ids[1:],
			} {
				if got, err := s.Beginning(t.Context(), prefix, 10); err != nil || !slices.Equal(got, want) {
					t.Errorf("Beginning(%s) = %v, %v, want %v", prefix, got, err, want)
				}
			}
			if got, err := s.Beginning(t.Context(), one[:shortest], 1); err != nil || !slices.Equal(got, ids[:1]) {
				t.Errorf("the first of two = %v, %v, want %v", got, err, ids[:1])
			}
			if err := s.Bury(t.Context(), ids[0], 0, mesh.ReasonPruned); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Beginning(t.Context(), one[:differ+1], 10); err != nil || !slices.Equal(got, ids[:1]) {
				t.Errorf("of what is gone = %v, %v, want %v", got, err, ids[:1])
			}
		})
	}
}
