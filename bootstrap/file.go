package bootstrap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"drey/mesh"
)

const (
	fileMost    = 4096            // records of one file
	fileBytes   = 4 << 20         // of one file
	filesMost   = 64              // of one folder
	fileLook    = 3 * time.Second // how often it is looked for changes
	fileSuffix  = ".drey"         // of files in a folder
	fileComment = "# peers of drey: 'drey peers import FILE' takes this in; files may be joined end to end"
)

// A File finds machines by records in files: on a stick, from a mail, in a
// folder that something else fills. A path may be a file, or a folder whose
// files end in .drey; it need not be there yet, as a stick need not.
type File struct {
	paths []string
	look  time.Duration
}

// NewFile makes a finder that watches these paths.
func NewFile(paths []string) *File { return &File{paths: paths, look: fileLook} }

// Name returns FinderFile.
func (*File) Name() string { return FinderFile }

// Run reads what is there, and again what has changed, until ctx ends.
func (f *File) Run(ctx context.Context, found func(Candidate)) error {
	type look struct {
		size int64
		at   time.Time
	}
	seen := map[string]look{}
	for {
		for _, path := range f.files() {
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() {
				delete(seen, path)
				continue
			}
			is := look{info.Size(), info.ModTime()}
			if seen[path] == is {
				continue
			}
			var failed *fs.PathError
			if err := readFile(path, found); !errors.As(err, &failed) {
				seen[path] = is // a stick that is being pulled out is read again, a bad file is not
			}
		}
		wait := time.NewTimer(f.look)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// files lists what to read now.
func (f *File) files() []string {
	var all []string
	for _, path := range f.paths {
		entries, err := os.ReadDir(path)
		if err != nil {
			all = append(all, path)
			continue
		}
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !strings.HasSuffix(e.Name(), fileSuffix) })
		for _, e := range entries[:min(len(entries), filesMost)] {
			all = append(all, filepath.Join(path, e.Name()))
		}
	}
	return all
}

func readFile(path string, found func(Candidate)) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	records, _, err := ReadRecords(r)
	for _, b := range records {
		found(Candidate{Record: b})
	}
	return err
}

// ReadRecords reads a file of records: one on a line as text, "drey1:…". Empty
// lines and those that begin with # do not count; other lines are counted as
// bad and left out. Of a record nothing is checked but its length.
func ReadRecords(r io.Reader) (records [][]byte, bad int, err error) {
	limited := &io.LimitedReader{R: r, N: fileBytes}
	lines := bufio.NewScanner(limited)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// Mail programs quote with '>'.
		b, err := mesh.ParseRecordText(strings.TrimLeft(line, "> "))
		if err != nil {
			bad++
			continue
		}
		if len(records) == fileMost {
			return records, bad, fmt.Errorf("more than %d records", fileMost)
		}
		records = append(records, b)
	}
	if err := lines.Err(); err != nil {
		return records, bad, err
	}
	if limited.N == 0 {
		return records, bad, fmt.Errorf("more than %d bytes", fileBytes)
	}
	return records, bad, nil
}

// AppendRecords appends a file of records, each in the form that is given.
func AppendRecords(b []byte, records [][]byte) []byte {
	var text bytes.Buffer
	text.WriteString(fileComment + "\n")
	for _, r := range records {
		text.WriteString(mesh.RecordText(r) + "\n")
	}
	return append(b, text.Bytes()...)
}
