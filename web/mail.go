package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"drey/mesh"
)

// Mailing is the private mail of a node's own key. Its methods answer an *Error
// that says more where there is one.
type Mailing interface {
	// SendMail writes a message and returns when it is on disk. With a wait for
	// WaitAcknowledged it returns when every reader has opened it, or with ctx's
	// error and the message as it is then.
	SendMail(ctx context.Context, p MailPost) (*MailMessage, error)
	// Mail yields what was written and opened here after a message's Seq, then,
	// with follow, what comes.
	Mail(ctx context.Context, after uint64, follow bool) iter.Seq2[*MailMessage, error]
	// MailNamed returns the message with an id, or the only one whose id begins
	// so; mesh.ErrNotFound where there is none.
	MailNamed(ctx context.Context, id string) (*MailMessage, error)
	// MailFile returns the payload of a message; mesh.ErrNotFound where it has
	// none.
	MailFile(ctx context.Context, id string) (*MailFile, error)
	// MailLog tells what became of a message.
	MailLog(ctx context.Context, id string) ([]mesh.Step, error)
}

// MailStatus says how much private mail is here. Guests are not told.
type MailStatus struct {
	Messages    int    `json:"messages"`     // written or opened with this node's key
	Kept        int    `json:"kept"`         // sealed, of all readers
	KeptBytes   int64  `json:"kept_bytes"`   // about, of those
	KeptDropped uint64 `json:"kept_dropped"` // there was no room for, since the start
	Unanswered  int    `json:"unanswered"`   // written here, and not acknowledged by a machine yet
}

// call gives author and readers the names in names, by npub.
func (m *MailMessage) call(names map[string]string) {
	m.From.call(names)
	m.To = slices.Clone(m.To)
	for i := range m.To {
		m.To[i].call(names)
	}
}

// call gives somebody the name in names. Who has none there may call himself like
// anybody, and with letters that disturb what stands around them.
func (r *MailReader) call(names map[string]string) {
	if name, ok := names[r.NPub]; ok {
		r.Name = cmp.Or(name, r.Name)
	} else if name, err := parseGuestName(r.Name); err != nil || r.Name == "" {
		r.Name = ""
	} else {
		r.Name = withKey(name, r.NPub)
	}
}

// callIn gives author and readers of a message their names. Where members cannot
// be read now, everybody has his key beside his name.
func (s *Server) callIn(ctx context.Context, m *MailMessage) {
	members, err := s.members(ctx)
	if err != nil {
		s.log.Debug("names", "err", err)
	}
	m.call(Distinct(members))
}

// WaitAcknowledged waits until every reader's own device has opened a message.
const WaitAcknowledged Wait = "acknowledged"

// A MailPost asks for a private message.
type MailPost struct {
	To        []string  `json:"to"`                 // npubs, keys in hexadecimal, or names of members
	Text      string    `json:"text,omitempty"`     // absent with a file
	Subject   string    `json:"subject,omitempty"`  // of the conversation
	ReplyTo   string    `json:"reply_to,omitempty"` // id of the message that it answers
	File      *MailFile `json:"file,omitempty"`
	Wait      Wait      `json:"wait,omitempty"`       // WaitSaved, which "" is, or WaitAcknowledged
	TimeoutMS int64     `json:"timeout_ms,omitempty"` // of the wait; 0 means 30 s
}

// A MailFile is an opaque payload of up to 64 kB.
type MailFile struct {
	Name  string `json:"name,omitempty"`
	Type  string `json:"type,omitempty"`
	Size  int    `json:"size,omitempty"` // of what came; ignored when sent
	Bytes []byte `json:"bytes,omitempty"`
}

// A MailMessage is one that this node's key wrote or opened.
type MailMessage struct {
	V          int          `json:"v"`
	Seq        uint64       `json:"seq"` // order of arrival here
	ID         string       `json:"id"`  // the same, whichever way it came
	From       MailReader   `json:"from"`
	To         []MailReader `json:"to"`
	Out        bool         `json:"out"`         // written here
	At         int64        `json:"at"`          // unix seconds, by its author's clock
	ReceivedMS int64        `json:"received_ms"` // unix milliseconds, by this node's clock
	Via        string       `json:"via,omitempty"`
	Kind       mesh.Kind    `json:"kind"`
	Text       string       `json:"text,omitempty"`
	Subject    string       `json:"subject,omitempty"`
	ReplyTo    string       `json:"reply_to,omitempty"`
	File       *MailFile    `json:"file,omitempty"` // without its bytes
	State      string       `json:"state,omitempty"`
	Outcome    string       `json:"outcome,omitempty"` // of a wait: Reached or TimedOut
}

// A MailReader is an author or a reader of a message.
type MailReader struct {
	NPub           string `json:"npub"`
	Name           string `json:"name,omitempty"`            // with the beginning of the key, where several are called so, and of who is not on the roster
	Member         bool   `json:"member"`                    // of the community
	AcknowledgedMS int64  `json:"acknowledged_ms,omitempty"` // when its device said that it has opened the message; absent when never
}

// Bounds of what comes in and goes out.
const (
	maxMailBody  = 160 << 10 // a file of 64 kB in base64, and readers
	defaultMail  = 100       // messages, where nobody said from when
	maxMailNames = 10
)

// postMail answers POST /v1/dm: writes a private message in this node's name.
func (s *Server) postMail(w http.ResponseWriter, r *http.Request, c caller) error {
	b, err := readBody(w, r, maxMailBody)
	if err != nil {
		return err
	}
	var p MailPost
	if err := strictJSON(b, &p); err != nil {
		return usage(fmt.Errorf("body: %w", err))
	}
	timeout := time.Duration(p.TimeoutMS) * time.Millisecond
	switch {
	case len(p.To) == 0 || len(p.To) > maxMailNames:
		return NewError(CodeUsage, fmt.Sprintf("to: %d readers, allowed are 1 to %d", len(p.To), maxMailNames), "", "", nil)
	case p.Wait != "" && p.Wait != WaitSaved && p.Wait != WaitAcknowledged:
		return NewError(CodeUsage, fmt.Sprintf("wait: %.20q, allowed are saved and acknowledged", p.Wait), "", "", nil)
	case timeout < 0 || timeout > mostWait:
		return NewError(CodeUsage, fmt.Sprintf("timeout_ms: allowed are 0 to %d", mostWait.Milliseconds()), "", "", nil)
	case p.Text == "" && p.File == nil:
		return NewError(CodeUsage, "there is neither text nor file", "", "", nil)
	case p.Text != "" && p.File != nil:
		return NewError(CodeUsage, "a message has a text or a file, not both", "", "send two", nil)
	}
	if timeout == 0 {
		timeout = defaultWait
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	m, err := s.config.Node.SendMail(ctx, p)
	if err != nil && (m == nil || !errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	if m.Outcome = Reached; err != nil {
		m.Outcome = TimedOut
	}
	m.V = Version
	s.callIn(r.Context(), m)
	return sendJSON(w, http.StatusAccepted, m)
}

// getInbox answers GET /v1/inbox: private messages of this node's own key, in and
// out, in the order in which they came here.
func (s *Server) getInbox(w http.ResponseWriter, r *http.Request, c caller) error {
	q, err := s.inboxQuery(r)
	if err != nil {
		return err
	}
	if q.last > 0 {
		if q.after, err = s.lastMail(r.Context(), q.last); err != nil {
			return err
		}
	}
	members, err := s.members(r.Context())
	if err != nil {
		return err
	}
	names := Distinct(members)
	s.stream(w, r, c, q.follow, true, func(ctx context.Context) iter.Seq2[line, error] {
		return func(yield func(line, error) bool) {
			n := 0
			for m, err := range s.config.Node.Mail(ctx, q.after, q.follow) {
				if err != nil {
					yield(line{}, err)
					return
				}
				if m.ReceivedMS < q.from {
					continue
				}
				m.V = Version
				m.call(names)
				if !yield(line{id: strconv.FormatUint(m.Seq, 10), data: appendJSON(nil, m)}, nil) {
					return
				}
				if n++; n == q.limit {
					return
				}
			}
		}
	})
	return nil
}

// An inboxQuery is what a request for mail asks for.
type inboxQuery struct {
	after  uint64
	from   int64 // unix milliseconds
	last   int   // so many at the end; 0: not asked
	limit  int
	follow bool
}

func (s *Server) inboxQuery(r *http.Request) (q inboxQuery, err error) {
	given := false
	for name, values := range r.URL.Query() {
		value := values[len(values)-1]
		switch name {
		case "since":
			var at since
			if at, err = parseSince(value, s.now()); err != nil {
				break
			}
			given = true
			if !at.from.IsZero() {
				q.from = at.from.UnixMilli()
			}
			if at.isID {
				m, err := s.config.Node.MailNamed(r.Context(), at.id.String())
				if err != nil {
					return q, noMail(at.id.String(), err)
				}
				q.after = m.Seq
			}
		case "after":
			q.after, err = strconv.ParseUint(value, 10, 63)
			given = true
		case "limit":
			if q.limit, err = strconv.Atoi(value); err == nil && (q.limit < 1 || q.limit > mostLimit) {
				err = fmt.Errorf("limit: %d, allowed are 1 to %d", q.limit, mostLimit)
			}
		case "follow":
			q.follow, err = parseFlag(value)
		default:
			err = fmt.Errorf("parameter %.40q is not known; there are since, after, limit and follow", name)
		}
		if err != nil {
			return q, usage(err)
		}
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if n, err := strconv.ParseUint(last, 10, 63); err == nil {
			q.after, given = n, true
		}
	}
	if wantsSSE(r) {
		q.follow = true
	}
	if !given {
		q.last = defaultMail
		if q.limit > 0 && !q.follow {
			q.last, q.limit = q.limit, 0
		}
	}
	return q, nil
}

// lastMail returns after which message only so many are left.
func (s *Server) lastMail(ctx context.Context, n int) (uint64, error) {
	ring := make([]uint64, 0, n+1)
	for m, err := range s.config.Node.Mail(ctx, 0, false) {
		if err != nil {
			return 0, err
		}
		if ring = append(ring, m.Seq); len(ring) > n+1 {
			ring = ring[1:]
		}
	}
	if len(ring) <= n {
		return 0, nil
	}
	return ring[0], nil
}

// getMailFile answers GET /v1/inbox/{id}/file: the payload of a message.
func (s *Server) getMailFile(w http.ResponseWriter, r *http.Request, _ caller) error {
	f, err := s.config.Node.MailFile(r.Context(), r.PathValue("id"))
	if err != nil {
		return noMail(r.PathValue("id"), err)
	}
	w.Header().Set("Content-Type", "application/octet-stream") // whatever its sender calls it
	w.Header().Set("Content-Length", strconv.Itoa(len(f.Bytes)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(f.Name))
	w.Write(f.Bytes)
	return nil
}

func noMail(id string, err error) error {
	if errors.Is(err, mesh.ErrNotFound) {
		return NewError(CodeNotFound, "no such private message here", "none that this node wrote or opened is "+fmt.Sprintf("%.70q", id), "'drey inbox --json' lists their ids", err)
	}
	return err
}

// mailLog answers GET /v1/messages/{id} for the id of a private message that the
// admin's node wrote or opened; false where there is none.
func (s *Server) mailLog(w http.ResponseWriter, r *http.Request, c caller) (answered bool, err error) {
	if c.scope < ScopeAdmin {
		return false, nil
	}
	m, err := s.config.Node.MailNamed(r.Context(), r.PathValue("id"))
	if errors.Is(err, mesh.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	steps, err := s.config.Node.MailLog(r.Context(), m.ID)
	if err != nil {
		return false, err
	}
	m.V = Version
	s.callIn(r.Context(), m)
	body := struct {
		V     int          `json:"v"`
		ID    string       `json:"id"`
		Mail  *MailMessage `json:"mail"`
		Steps []stepBody   `json:"steps"`
	}{Version, m.ID, m, []stepBody{}}
	for _, st := range steps {
		body.Steps = append(body.Steps, stepJSON(st))
	}
	return true, sendJSON(w, http.StatusOK, body)
}

// SendMail writes a private message; see Server.postMail.
func (c *Client) SendMail(ctx context.Context, p MailPost) (*MailMessage, error) {
	return call[MailMessage](ctx, c, "POST", "/v1/dm", p)
}

// Inbox yields private messages: from since ("1h", a date, an id, "all"; "" means
// the last hundred), then, with follow, what comes until ctx ends.
func (c *Client) Inbox(ctx context.Context, since string, limit int, follow bool) iter.Seq2[*MailMessage, error] {
	return func(yield func(*MailMessage, error) bool) {
		v := url.Values{"follow": {strconv.FormatBool(follow)}}
		if since != "" {
			v.Set("since", since)
		}
		if limit > 0 {
			v.Set("limit", strconv.Itoa(limit))
		}
		req, err := c.request(ctx, "GET", "/v1/inbox?"+v.Encode(), nil)
		if err != nil {
			yield(nil, err)
			return
		}
		resp, err := c.do(req)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		dec := json.NewDecoder(resp.Body)
		for {
			var item struct {
				MailMessage
				Error *Problem `json:"error"`
			}
			err := dec.Decode(&item)
			switch {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, c.explain(ctx, err))
				return
			case item.Error != nil:
				yield(nil, &Error{Problem: *item.Error})
				return
			}
			if !yield(&item.MailMessage, nil) {
				return
			}
		}
	}
}

// MailFile returns the payload of a private message.
func (c *Client) MailFile(ctx context.Context, id string) ([]byte, error) {
	req, err := c.request(ctx, "GET", "/v1/inbox/"+url.PathEscape(id)+"/file", nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxMailBody))
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return b, nil
}
