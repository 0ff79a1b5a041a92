package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// A disk is a file layer under SQLite that takes down every write, cut and
// sync on its way to the system's layer. From its log it can make the files
// as they might look after the power went: what was synced is there, of the
// rest any part.
type disk struct {
	name  string // of the VFS
	fast  bool   // syncs are taken down but not made
	full  atomic.Bool
	lies  atomic.Bool  // syncs are neither made nor taken down
	fails atomic.Int32 // which of the next syncs fails; what it should have written is lost

	mu    sync.Mutex
	log   []access
	files map[uintptr]handle // by SQLite's pointer
	keep  bool               // write data into the log
	wear  wear

	vfs, base uintptr
	tables    map[uintptr]uintptr // ours by the system's
	funcs     []any               // keeps what SQLite points to
}

// A handle is an open file: its name, and the system's functions for it.
type handle struct {
	name string
	orig uintptr
}

// An access is one entry of the log.
type access struct {
	file string
	what byte // 'w'rite, 't'runcate, 's'ync, 'r'emove, 'l'ost
	at   int64
	data []byte
}

// wear counts what reaches the medium: pages of 4 kB, as the kernel writes
// them, each once between two syncs of its file.
type wear struct {
	dirty  map[string]map[int64]bool
	bytes  int64
	byFile map[string]int64
	frames map[uint32]int64 // frames of the write-ahead log by page
	pages  map[uint32]int64 // pages of the file
	syncs  int64
}

const osPage = 4096

// disks numbers the layers: SQLite's registry of them is one for the process.
var disks atomic.Int64

// newDisk registers a layer over the one that the store uses.
func newDisk(t testing.TB, keep bool) *disk {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the file layer of this test stands on the unix one")
	}
	tls := libc.NewTLS()
	t.Cleanup(tls.Close)
	d := &disk{name: fmt.Sprintf("drey-test-%d", disks.Add(1)), files: make(map[uintptr]handle), tables: make(map[uintptr]uintptr), keep: keep}
	d.wear.reset()
	excl, err := libc.CString("unix-excl")
	if err != nil {
		t.Fatal(err)
	}
	defer libc.Xfree(tls, excl)
	if d.base = sqlite3.Xsqlite3_vfs_find(tls, excl); d.base == 0 {
		t.Skip("SQLite has no layer unix-excl here")
	}
	name, err := libc.CString(d.name)
	if err != nil {
		t.Fatal(err)
	}
	d.vfs = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	v := at[sqlite3.Tsqlite3_vfs](d.vfs)
	*v = *at[sqlite3.Tsqlite3_vfs](d.base)
	v.FpNext, v.FzName = 0, name
	v.FxOpen = pointer(d, d.open)
	v.FxDelete = pointer(d, d.remove)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, d.vfs, 0); rc != 0 {
		t.Fatalf("register: %d", rc)
	}
	t.Cleanup(func() {
		sqlite3.Xsqlite3_vfs_unregister(tls, d.vfs)
		libc.Xfree(tls, name)
		libc.Xfree(tls, d.vfs)
		for _, p := range d.tables {
			libc.Xfree(tls, p)
		}
	})
	return d
}

func (w *wear) reset() {
	*w = wear{dirty: make(map[string]map[int64]bool), byFile: make(map[string]int64), frames: make(map[uint32]int64), pages: make(map[uint32]int64)}
}

// at sees memory of SQLite's, which does not move, as a T.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// pointer makes a Go function callable by SQLite, and keeps it.
func pointer[T any](d *disk, f T) uintptr {
	h := &struct{ f T }{f}
	d.funcs = append(d.funcs, h)
	return *(*uintptr)(unsafe.Pointer(h))
}

// function makes one of SQLite's callable by Go.
func function[T any](p uintptr) T {
	return *(*T)(unsafe.Pointer(&struct{ p uintptr }{p}))
}

func (d *disk) open(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](at[sqlite3.Tsqlite3_vfs](d.base).FxOpen)(tls, d.base, name, file, flags, out)
	f := at[sqlite3.Tsqlite3_file](file)
	if rc != 0 || f.FpMethods == 0 {
		return rc
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	orig := f.FpMethods
	if d.tables[orig] == 0 { // each kind of file has its own
		p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
		m := at[sqlite3.Tsqlite3_io_methods](p)
		*m = *at[sqlite3.Tsqlite3_io_methods](orig)
		m.FxWrite, m.FxTruncate, m.FxSync, m.FxClose = pointer(d, d.write), pointer(d, d.truncate), pointer(d, d.sync), pointer(d, d.close)
		d.tables[orig] = p
	}
	f.FpMethods = d.tables[orig]
	d.files[file] = handle{filepath.Base(libc.GoString(name)), orig}
	return rc
}

func (d *disk) remove(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	d.mu.Lock()
	d.log = append(d.log, access{file: filepath.Base(libc.GoString(name)), what: 'r'})
	d.mu.Unlock()
	return function[func(*libc.TLS, uintptr, uintptr, int32) int32](at[sqlite3.Tsqlite3_vfs](d.base).FxDelete)(tls, d.base, name, syncDir)
}

func (d *disk) write(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	if d.full.Load() {
		return sqlite3.SQLITE_FULL
	}
	data := unsafe.Slice(at[byte](buf), n)
	d.mu.Lock()
	h := d.files[file]
	name := h.name
	a := access{file: name, what: 'w', at: off}
	if d.keep {
		a.data = slices.Clone(data)
		d.log = append(d.log, a)
	}
	d.wear.write(name, off, data)
	d.mu.Unlock()
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](at[sqlite3.Tsqlite3_io_methods](h.orig).FxWrite)(tls, file, buf, n, off)
}

func (w *wear) write(name string, at int64, data []byte) {
	if w.dirty[name] == nil {
		w.dirty[name] = make(map[int64]bool)
	}
	for p := at / osPage; p <= (at+int64(len(data))-1)/osPage; p++ {
		w.dirty[name][p] = true
	}
	switch {
	case strings.HasSuffix(name, "-wal") && len(data) == 24: // the head of a frame
		w.frames[uint32(data[0])<<24|uint32(data[1])<<16|uint32(data[2])<<8|uint32(data[3])]++
	case !strings.HasSuffix(name, "-wal") && len(data) == pageSize:
		w.pages[uint32(at/pageSize)+1]++
	}
}

func (w *wear) sync(name string) {
	n := int64(len(w.dirty[name])) * osPage
	w.bytes += n
	w.byFile[name] += n
	w.dirty[name] = nil
	w.syncs++
}

// end counts what was never synced too: the kernel writes it some day.
func (w *wear) end() {
	for name := range w.dirty {
		w.sync(name)
	}
}

func (d *disk) truncate(tls *libc.TLS, file uintptr, size int64) int32 {
	d.mu.Lock()
	h := d.files[file]
	d.log = append(d.log, access{file: h.name, what: 't', at: size})
	d.mu.Unlock()
	return function[func(*libc.TLS, uintptr, int64) int32](at[sqlite3.Tsqlite3_io_methods](h.orig).FxTruncate)(tls, file, size)
}

func (d *disk) sync(tls *libc.TLS, file uintptr, flags int32) int32 {
	if d.lies.Load() {
		return 0
	}
	d.mu.Lock()
	h := d.files[file]
	d.mu.Unlock()
	if d.fails.Load() > 0 && d.fails.Add(-1) == 0 {
		d.forget(h.name)
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	if !d.fast {
		if rc := function[func(*libc.TLS, uintptr, int32) int32](at[sqlite3.Tsqlite3_io_methods](h.orig).FxSync)(tls, file, flags); rc != 0 {
			return rc
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, access{file: h.name, what: 's'})
	d.wear.sync(h.name)
	return 0
}

// forget loses what a file got since its last sync.
func (d *disk) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.log) - 1; i >= 0; i-- {
		switch a := &d.log[i]; {
		case a.file == name && a.what == 's':
			return
		case a.file == name:
			a.what = 'l'
		}
	}
}

func (d *disk) close(tls *libc.TLS, file uintptr) int32 {
	d.mu.Lock()
	h := d.files[file]
	delete(d.files, file)
	d.mu.Unlock()
	return function[func(*libc.TLS, uintptr) int32](at[sqlite3.Tsqlite3_io_methods](h.orig).FxClose)(tls, file)
}

// moment is a place in the log.
func (d *disk) moment() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// cut writes into dir the files as they might be if the power had gone at a
// moment: every access before the last sync of its file, and of the later ones
// a random part, writes torn at sectors of 512 bytes. A file that was removed
// stays away once any file was synced: SQLite syncs the folder with the first
// sync of each new file.
func (d *disk) cut(t testing.TB, moment int, rnd *rand.Rand, dir string) {
	t.Helper()
	d.mu.Lock()
	log := slices.Clone(d.log[:moment])
	d.mu.Unlock()
	last := make(map[string]int)
	latest := -1
	for i, a := range log {
		if a.what == 's' {
			last[a.file], latest = i, i
		}
	}
	files := make(map[string][]byte)
	keep := rnd.Float64() // how much of the rest was lucky
	for i, a := range log {
		if a.what == 'r' {
			if i < latest || rnd.Float64() < keep {
				delete(files, a.file)
			}
			continue
		}
		if synced, ok := last[a.file]; (!ok || i > synced) && rnd.Float64() > keep {
			continue
		}
		f := files[a.file]
		switch a.what {
		case 't':
			f = append(f, make([]byte, max(0, int(a.at)-len(f)))...)[:a.at]
		case 'w':
			data := a.data
			if synced, ok := last[a.file]; (!ok || i > synced) && len(data) > 512 && rnd.IntN(4) == 0 {
				data = data[:512*rnd.IntN(len(data)/512+1)]
			}
			f = append(f, make([]byte, max(0, int(a.at)+len(data)-len(f)))...)
			copy(f[a.at:], data)
		}
		files[a.file] = f
	}
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// owners sums counts of pages by the tree that each belongs to in the end.
func owners(t testing.TB, s *Store, counts map[uint32]int64) map[string]int64 {
	t.Helper()
	rows, err := s.r.Query("SELECT name, pageno FROM dbstat")
	if err != nil {
		t.Logf("cost by tree is not known: %v", err)
		return map[string]int64{"all": sum(counts)}
	}
	defer rows.Close()
	by := make(map[string]int64)
	rest := maps.Clone(counts)
	for rows.Next() {
		var name string
		var page uint32
		if err := rows.Scan(&name, &page); err != nil {
			t.Fatal(err)
		}
		by[name] += rest[page]
		delete(rest, page)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	by["free pages"] = sum(rest)
	return by
}

func sum(counts map[uint32]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}
