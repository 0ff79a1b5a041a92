package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"drey/mesh"
)

// A Following chooses messages to read.
type Following struct {
	Topics  []mesh.Topic // none: all
	Kinds   []mesh.Kind  // none: all
	Authors []mesh.PubKey
	Since   string // as the API reads it: "1h", an id, a date, "all"; "" begins now, or with the last 100
	Limit   int    // at most so many of the past; 0: no bound of its own

	Live      bool // go on with what comes in
	Reconnect bool // when the node goes away, wait for it and go on without gap or double
	// Connected, if set, is called each time the stream stands: from then on
	// nothing is missed.
	Connected func()
}

func (f Following) path(after uint64, resume bool) string {
	v := url.Values{"form": {"record"}}
	for _, t := range f.Topics {
		v.Add("topic", string(t))
	}
	for _, k := range f.Kinds {
		v.Add("kind", strconv.Itoa(int(k)))
	}
	for _, a := range f.Authors {
		v.Add("author", a.String())
	}
	if f.Live {
		v.Set("follow", "1")
	}
	switch {
	case resume:
		v.Set("after", strconv.FormatUint(after, 10))
	case f.Since != "":
		v.Set("since", f.Since)
	}
	if f.Limit > 0 && !resume {
		v.Set("limit", strconv.Itoa(f.Limit))
	}
	return "/v1/events?" + v.Encode()
}

// Pauses between attempts to reach a node that went away.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// Messages yields what f chooses, in order of receipt. Without Live it ends
// with the last one; with Live it ends with ctx's error, with the node's
// reason, or, with Reconnect, only with ctx or an error that waiting cannot
// mend. An error is the last thing it yields.
func (c *Client) Messages(ctx context.Context, f Following) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		var after uint64
		resume := false
		pause := leastPause
		began := time.Now()
		for {
			stopped := false
			err := c.read(ctx, f, after, resume, func(seq uint64, r *mesh.Record) bool {
				after, resume, pause = seq, true, leastPause
				if r == nil {
					return true
				}
				stopped = !yield(r, nil)
				return !stopped
			})
			switch {
			case stopped:
				return
			case ctx.Err() != nil:
				yield(nil, ctx.Err())
				return
			case err == nil && !f.Live:
				return
			case !f.Reconnect || err != nil && !passing(err):
				if err == nil {
					err = errEnded
				}
				yield(nil, err)
				return
			}
			select {
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, mostPause)
			if d, ok := parseSpan(f.Since); ok {
				f.Since = strconv.FormatInt(began.Add(-d).Unix(), 10) // "1h" still means the hour before the call
			}
		}
	}
}

var errEnded = NewError(CodeNotRunning, "the node ended the stream", "", "see 'drey status'", nil)

// passing reports whether an error may mend itself when the node is back.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == CodeNotRunning || e.Code == CodeStopping || e.Code == CodeBusy || e.Code == CodeTooFast
}

// read reads one stream. It calls each with the cursor where the stream begins
// (and no record), then with every record, until each returns false.
func (c *Client) read(ctx context.Context, f Following, after uint64, resume bool, each func(uint64, *mesh.Record) bool) error {
	req, err := c.request(ctx, "GET", f.path(after, resume), nil)
	if err != nil {
		return err
	}
	resp, err := c.do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// A history that begins earlier is resumed from its first line on.
	if seq, ok := number(resp.Header, seqHeader); ok && f.Since == "" && f.Limit == 0 && !resume {
		each(seq, nil)
	}
	if f.Connected != nil {
		f.Connected()
	}
	return c.lines(ctx, resp, func(text []byte) (bool, error) {
		var b recordBody
		if err := json.Unmarshal(text, &b); err != nil {
			return false, fmt.Errorf("the node sent a line that does not hold: %w", err)
		}
		r, err := b.record()
		if err != nil {
			return false, err
		}
		return each(r.Seq, r), nil
	})
}

// Steps yields the delivery history of a message, then what is new, until ctx
// ends.
func (c *Client) Steps(ctx context.Context, id mesh.EventID) iter.Seq2[mesh.Step, error] {
	return func(yield func(mesh.Step, error) bool) {
		req, err := c.request(ctx, "GET", "/v1/messages/"+id.String()+"?follow=1", nil)
		if err != nil {
			yield(mesh.Step{}, err)
			return
		}
		resp, err := c.do(req)
		if err != nil {
			yield(mesh.Step{}, err)
			return
		}
		defer resp.Body.Close()
		stopped := false
		err = c.lines(ctx, resp, func(text []byte) (bool, error) {
			var b stepBody
			if err := json.Unmarshal(text, &b); err != nil {
				return false, fmt.Errorf("the node sent a line that does not hold: %w", err)
			}
			stopped = !yield(b.step(), nil)
			return !stopped, nil
		})
		if stopped {
			return
		}
		if err == nil {
			err = errEnded
		}
		yield(mesh.Step{}, err)
	}
}

// lines calls each with every line of an NDJSON answer. A line that is an
// error ends it with that error.
func (c *Client) lines(ctx context.Context, resp *http.Response, each func([]byte) (bool, error)) error {
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		text, err := readLine(in, 2*maxBody)
		if err != nil && (err != io.EOF || len(text) == 0) {
			if err == io.EOF {
				return nil
			}
			return c.explain(ctx, err)
		}
		var fault errorBody
		if json.Unmarshal(text, &fault) == nil && fault.Error.Code != "" {
			return &Error{Problem: fault.Error}
		}
		if more, err := each(text); err != nil || !more {
			return err
		}
	}
}

// Import sends events, one per line, and calls progress with each count that
// comes back. It returns the last one.
func (c *Client) Import(ctx context.Context, events io.Reader, progress func(Imported)) (Imported, error) {
	var last Imported
	req, err := http.NewRequestWithContext(ctx, "POST", c.base+"/v1/import", events)
	if err != nil {
		return last, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	resp, err := c.do(req)
	if err != nil {
		return last, err
	}
	defer resp.Body.Close()
	err = c.lines(ctx, resp, func(text []byte) (bool, error) {
		if err := json.Unmarshal(text, &last); err != nil {
			return false, fmt.Errorf("the node sent a line that does not hold: %w", err)
		}
		if progress != nil {
			progress(last)
		}
		return true, nil
	})
	if err == nil && !last.Done {
		err = errEnded
	}
	return last, err
}
