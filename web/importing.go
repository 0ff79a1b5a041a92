package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"drey/mesh"
)

// Imported counts the lines of an import so far.
type Imported struct {
	V       int               `json:"v"`
	Lines   uint64            `json:"lines"`
	Bytes   uint64            `json:"bytes"`
	New     uint64            `json:"new"`
	Known   uint64            `json:"known"`
	Refused map[string]uint64 `json:"refused"` // by error code
	Done    bool              `json:"done"`
}

// importNews is how often an import tells how far it is.
const importNews = time.Second

// importBatch is how many lines are taken between two waits for the disk.
const importBatch = 256

// postImport answers POST /v1/import: NIP-01 events, one per line, bare or in
// the record form of a stream, which keeps their topic. It answers with lines
// of progress, the last of which is done. A line that is refused is counted
// and does not end the import.
func (s *Server) postImport(w http.ResponseWriter, r *http.Request, c caller) error {
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	out := newLineWriter(w, r)
	if err := out.begin(); err != nil {
		return nil // the client is gone
	}
	count := Imported{V: Version, Refused: map[string]uint64{}}
	in := bufio.NewReaderSize(r.Body, 64<<10)
	told := time.Now()
	for {
		if err := rc.SetReadDeadline(time.Now().Add(bodyWithin)); err != nil {
			return nil
		}
		text, err := readLine(in, maxBody)
		if err != nil && err != io.EOF {
			out.end(errorOf(usage(fmt.Errorf("line %d: %w", count.Lines+1, err))), true)
			return nil
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			count.Lines++
			count.Bytes += uint64(len(text)) + 1
			if e := s.importLine(r.Context(), c, text, &count); e != nil {
				out.end(e, true)
				return nil
			}
		}
		ended := err == io.EOF
		tell := ended || time.Since(told) >= importNews
		if tell || count.Lines%importBatch == 0 {
			// Nobody is told of what a power cut could take back.
			if err := s.config.Node.Flush(r.Context()); err != nil {
				s.log.Error("import failed", "err", err)
				out.end(errorOf(err), true)
				return nil
			}
		}
		if ended {
			count.Done = true
			out.write(line{data: appendJSON(nil, count)})
			return nil
		}
		if tell {
			told = time.Now()
			if out.write(line{data: appendJSON(nil, count)}) != nil || out.flush() != nil {
				return nil
			}
		}
		select {
		case <-s.stopping:
			out.end(errStopping, true)
			return nil
		default:
		}
	}
}

// importLine takes one line and counts it; it returns an error that ends the
// import.
func (s *Server) importLine(ctx context.Context, c caller, text []byte, count *Imported) *Error {
	e, topic, err := parseImport(text)
	if err == nil {
		door := Door{Peer: c.peer, Topic: topic, Import: true, Later: true}
		if err = s.config.Node.Accept(ctx, e, door); errors.Is(err, mesh.ErrBusy) {
			door.Later = false // no room before the disk has caught up
			err = s.config.Node.Accept(ctx, e, door)
		}
	}
	switch {
	case err == nil:
		count.New++
	case errors.Is(err, mesh.ErrDuplicate):
		count.Known++
	default:
		told := errorOf(err)
		if told.Code == CodeInternal || told.Code == CodeStopping {
			s.log.Error("import failed", "err", err)
			return told
		}
		count.Refused[told.Code]++
	}
	return nil
}

// parseImport reads an event, bare or in the record form.
func parseImport(text []byte) (*mesh.Event, mesh.Topic, error) {
	var envelope struct {
		Topic string          `json:"topic"`
		Event json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return nil, "", fmt.Errorf("%w: %w", mesh.ErrInvalid, err)
	}
	if envelope.Event == nil {
		e, err := mesh.ParseJSON(text)
		return e, "", err
	}
	topic, err := mesh.ParseTopic(envelope.Topic)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", mesh.ErrInvalid, err)
	}
	e, err := mesh.ParseJSON(envelope.Event)
	return e, topic, err
}

// readLine reads a line of at most limit bytes without its end. io.EOF comes
// with the last one.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) > limit+1 {
			return nil, fmt.Errorf("longer than %d bytes", limit)
		}
		text = append(text, part...)
		switch {
		case err == nil:
			return text[:len(text)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return text, err
		}
	}
}
