package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// Bounds of live streams.
const (
	maxStreams      = 500              // open at once by this machine's own programs
	maxGuestStreams = 900              // open at once by visitors
	streamBuffer    = 64               // items read ahead of a reader
	slowest         = 30 * time.Second // a reader that takes nothing for so long is cut off
	keepAlive       = 25 * time.Second // a comment, so that proxies and phones keep the stream
)

// counter bounds how many of something there are.
type counter struct {
	most int
	mu   sync.Mutex
	n    int
}

func (c *counter) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n >= c.most {
		return false
	}
	c.n++
	return true
}

func (c *counter) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// A line is one item of a stream, ready to be sent.
type line struct {
	event string // of a server-sent event; "" for "message"
	id    string // of a server-sent event; "" for none
	data  []byte // JSON without line breaks; of a server-sent event any text
}

// A lineWriter sends items as NDJSON or as server-sent events, whichever the
// client accepts.
type lineWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	sse   bool
	begun bool
}

func newLineWriter(w http.ResponseWriter, r *http.Request) *lineWriter {
	return &lineWriter{w: w, rc: http.NewResponseController(w), sse: wantsSSE(r)}
}

func wantsSSE(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// begin sends the headers, after which errors can only be told in the stream.
func (l *lineWriter) begin() error {
	if l.begun {
		return nil
	}
	l.begun = true
	kind := "application/x-ndjson"
	if l.sse {
		kind = "text/event-stream"
	}
	l.w.Header().Set("Content-Type", kind)
	l.w.Header().Set("X-Accel-Buffering", "no")
	l.w.WriteHeader(http.StatusOK)
	return l.flush()
}

func (l *lineWriter) write(item line) error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.patience(); err != nil {
		return err
	}
	if !l.sse {
		_, err := l.w.Write(append(item.data, '\n'))
		return err
	}
	var b []byte
	if item.id != "" {
		b = append(append(append(b, "id: "...), item.id...), '\n')
	}
	if item.event != "" {
		b = append(append(append(b, "event: "...), item.event...), '\n')
	}
	for part := range bytes.Lines(bytes.ReplaceAll(item.data, []byte{'\r'}, nil)) {
		b = append(append(append(b, "data: "...), bytes.TrimSuffix(part, []byte{'\n'})...), '\n')
	}
	_, err := l.w.Write(append(b, '\n'))
	return err
}

// alive tells the reader that the stream still lives, where the form allows.
func (l *lineWriter) alive() error {
	if !l.sse {
		return nil
	}
	if err := l.patience(); err != nil {
		return err
	}
	if _, err := l.w.Write([]byte(": \n\n")); err != nil {
		return err
	}
	return l.flush()
}

func (l *lineWriter) patience() error { return l.rc.SetWriteDeadline(time.Now().Add(slowest)) }

func (l *lineWriter) flush() error {
	if err := l.patience(); err != nil {
		return err
	}
	return l.rc.Flush()
}

// end closes a stream with the reason, in the forms that can carry one. A
// stream of bare events just ends.
func (l *lineWriter) end(e *Error, envelope bool) {
	// Also a stream that says nothing must get its last bytes out.
	if !l.begun || l.patience() != nil {
		return
	}
	b, err := json.Marshal(errorBody{Version, e.Problem})
	if err != nil {
		return
	}
	switch {
	case l.sse:
		fmt.Fprintf(l.w, "event: error\ndata: %s\n\n", b)
	case envelope:
		l.w.Write(append(b, '\n'))
	}
}

// stream sends what items yields until they end, the client goes away or the
// server stops. Follow says that items may take long to come. An error before
// the first item becomes an ordinary answer.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, c caller, follow, envelope bool, items func(context.Context) iter.Seq2[line, error]) {
	open := s.streams
	if c.scope < ScopeLocal {
		open = s.guestStreams
	}
	if !open.enter() {
		s.fail(w, r, NewError(CodeBusy, "too many streams are open", fmt.Sprintf("the limit is %d", open.most), "close one, or try again later", nil))
		return
	}
	defer open.leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := newLineWriter(w, r)
	if follow || r.Method == http.MethodHead {
		// The client knows from the headers that it misses nothing from now on.
		if err := out.begin(); err != nil {
			return
		}
	}
	if r.Method == http.MethodHead {
		return
	}
	type result struct {
		item line
		err  error
	}
	results := make(chan result, streamBuffer)
	var pump sync.WaitGroup
	defer pump.Wait()
	defer cancel()
	pump.Go(func() {
		defer close(results)
		for item, err := range items(ctx) {
			select {
			case results <- result{item, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for {
		var next result
		var ok bool
		select {
		case next, ok = <-results:
		default:
			if out.begun {
				if err := out.flush(); err != nil {
					return
				}
			}
			select {
			case next, ok = <-results:
			case <-beat.C:
				if out.alive() != nil {
					return
				}
				continue
			case <-s.stopping:
				if !out.begun {
					s.fail(w, r, errStopping)
					return
				}
				out.end(errStopping, envelope)
				return
			case <-ctx.Done():
				return
			}
		}
		switch {
		case !ok:
			out.begin()
			return
		case next.err != nil && !out.begun:
			s.fail(w, r, errorFor(c, next.err))
			return
		case next.err != nil:
			s.log.Debug("stream ended", "err", next.err)
			out.end(errorFor(c, next.err), envelope)
			return
		}
		if err := out.write(next.item); err != nil {
			return
		}
	}
}

var errStopping = NewError(CodeStopping, "the node is stopping", "", "try again when it is back", nil)

// lineOf renders a record: bare as its author signed it, byte for byte, or
// with what this node knows about it.
func lineOf(r *mesh.Record, envelope bool) line {
	seq := strconv.FormatUint(r.Seq, 10)
	if !envelope {
		return line{id: seq, data: r.Event.AppendJSON(nil)}
	}
	return line{id: seq, data: appendRecord(nil, r)}
}

// appendRecord appends a record as JSON. The event's bytes are written as they
// are: encoding/json would escape some of them.
func appendRecord(b []byte, r *mesh.Record) []byte {
	b = append(b, `{"v":1,"seq":`...)
	b = strconv.AppendUint(b, r.Seq, 10)
	b = append(b, `,"topic":`...)
	b = appendJSON(b, r.Topic)
	b = append(b, `,"received_ms":`...)
	b = strconv.AppendInt(b, r.Received.UnixMilli(), 10)
	b = append(b, `,"carrier":`...)
	b = appendJSON(b, r.Carrier)
	b = append(b, `,"flags":`...)
	b = appendJSON(b, flagNames(r.Flags))
	b = append(b, `,"event":`...)
	b = r.Event.AppendJSON(b)
	return append(b, '}')
}

func appendJSON(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, j...)
}

var flagWords = []struct {
	flag mesh.Flags
	word string
}{
	{mesh.FlagEmergency, "emergency"}, {mesh.FlagGuest, "guest"}, {mesh.FlagFuture, "future"}, {mesh.FlagOrphan, "orphan"},
}

func flagNames(f mesh.Flags) []string {
	names := []string{}
	for _, w := range flagWords {
		if f&w.flag != 0 {
			names = append(names, w.word)
		}
	}
	return names
}

func flagsOf(names []string) (f mesh.Flags) {
	for _, n := range names {
		for _, w := range flagWords {
			if w.word == n {
				f |= w.flag
			}
		}
	}
	return f
}
