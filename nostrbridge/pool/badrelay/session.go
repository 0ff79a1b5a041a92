package badrelay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"drey/mesh"
	"drey/mesh/negentropy"
)

// waiting is how many messages may wait to be written on a connection.
const waiting = 4096

// A session is one connection.
type session struct {
	r   *Relay
	ws  *websocket.Conn
	out chan []byte
	ctx context.Context
	cut context.CancelFunc

	mu     sync.Mutex
	subs   map[string][]mesh.Filter
	signed bool
	syncs  map[string]*negentropy.Set // only read by the reader
}

const challenge = "prove it"

func (r *Relay) serve(w http.ResponseWriter, q *http.Request) {
	ws, err := websocket.Accept(w, q, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { return !r.behaviour().HalfOpen },
	})
	if err != nil {
		return
	}
	ws.SetReadLimit(1 << 20)
	s := &session{r: r, ws: ws, out: make(chan []byte, waiting), subs: map[string][]mesh.Filter{}, syncs: map[string]*negentropy.Set{}}
	s.ctx, s.cut = context.WithCancel(context.Background())
	r.mu.Lock()
	r.mu.conns[s] = true
	r.mu.Unlock()
	b := r.behaviour()
	if b.SignIn || b.Shy { // before the reader answers a ping
		ws.Write(s.ctx, websocket.MessageText, fmt.Appendf(nil, `["AUTH",%q]`, challenge))
	}
	var parts sync.WaitGroup
	parts.Go(func() { defer s.cut(); s.write() })
	parts.Go(func() { defer s.cut(); s.read() })
	for _, raw := range b.Raw {
		s.raw([]byte(raw))
	}
	<-s.ctx.Done()
	ws.CloseNow()
	parts.Wait()
	r.mu.Lock()
	delete(r.mu.conns, s)
	r.mu.Unlock()
}

func (s *session) write() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case b := <-s.out:
			if s.stuck() {
				return
			}
			if s.ws.Write(s.ctx, websocket.MessageText, b) != nil {
				return
			}
		}
	}
}

// stuck holds a half-open connection as it is, until it is cut or the relay is
// told otherwise by closing it.
func (s *session) stuck() bool {
	if !s.r.behaviour().HalfOpen {
		return false
	}
	<-s.ctx.Done()
	return true
}

func (s *session) read() {
	for {
		_, b, err := s.ws.Read(s.ctx)
		if err != nil || s.stuck() {
			return
		}
		var parts []json.RawMessage
		if json.Unmarshal(b, &parts) != nil || len(parts) < 2 {
			s.say("NOTICE", "what?")
			continue
		}
		var verb, name string
		json.Unmarshal(parts[0], &verb)
		json.Unmarshal(parts[1], &name)
		if d := s.r.behaviour().Delay; d > 0 {
			t := time.NewTimer(d)
			select {
			case <-t.C:
			case <-s.ctx.Done():
				return
			}
		}
		if !s.take(verb, name, parts) {
			return
		}
	}
}

// take handles one message, and reports whether the connection goes on.
func (s *session) take(verb, name string, parts []json.RawMessage) bool {
	switch verb {
	case "EVENT":
		return s.event(parts[1])
	case "AUTH":
		e, err := mesh.ParseJSON(parts[1])
		if err != nil {
			return true
		}
		said, _ := e.Tag("challenge")
		to, _ := e.Tag("relay")
		ok := e.Verify() == nil && said == challenge && to == s.r.URL && e.Kind() == 22242 && !s.r.behaviour().SignInNo
		s.mu.Lock()
		s.signed = s.signed || ok
		s.mu.Unlock()
		text := ""
		if !ok {
			text = "restricted: we do not know you"
		}
		s.say("OK", e.ID().String(), ok, text)
	case "REQ":
		s.req(name, parts[2:])
	case "CLOSE":
		s.mu.Lock()
		delete(s.subs, name)
		s.mu.Unlock()
	case "NEG-OPEN", "NEG-MSG", "NEG-CLOSE":
		s.sync(verb, name, parts[2:])
	}
	return true
}

func (s *session) event(raw json.RawMessage) bool {
	e, err := mesh.ParseJSON(raw)
	if err != nil {
		s.say("NOTICE", "invalid: "+err.Error())
		return true
	}
	id := e.ID()
	s.r.mu.Lock()
	s.r.mu.heard[id]++
	b := s.r.mu.b
	if b.Drop > 0 {
		s.r.mu.b.Drop--
	}
	s.r.mu.Unlock()
	if b.Drop > 0 {
		if b.DropKeeps {
			s.r.Put(e)
		}
		return false
	}
	if b.Mute {
		return true
	}
	if b.SignIn && !s.known() {
		s.say("OK", id.String(), false, "auth-required: who are you?")
		return true
	}
	no := s.r.verdict(e)
	if no == "" && !b.LieOK {
		s.r.Put(e)
	}
	s.say("OK", id.String(), no == "", no)
	return true
}

func (s *session) known() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signed
}

func (s *session) req(name string, raw []json.RawMessage) {
	s.r.mu.Lock()
	s.r.mu.asked++
	b := s.r.mu.b
	s.r.mu.Unlock()
	switch {
	case b.SignIn && !s.known():
		s.say("CLOSED", name, "auth-required: who are you?")
		return
	case b.Closes != "":
		s.say("CLOSED", name, b.Closes)
		return
	}
	var filters []mesh.Filter
	for _, f := range raw {
		filters = append(filters, parseFilter(f))
	}
	s.mu.Lock()
	s.subs[name] = filters
	s.mu.Unlock()
	for _, e := range b.Forged {
		s.send(name, e)
	}
	for i := range b.Flood {
		s.send(name, rubbish(i))
	}
	for _, e := range s.r.find(filters, b.MaxLimit) {
		if !b.Shy || s.known() || e.Kind() != mesh.KindGiftWrap {
			s.send(name, e)
		}
	}
	s.say("EOSE", name)
}

// rubbish makes an event that nobody signed.
func rubbish(i int) *mesh.Event {
	e, err := mesh.NewEvent(mesh.PubKey{1}, mesh.Signature{2}, mesh.Draft{CreatedAt: mesh.Unix(1_700_000_000 + i), Kind: mesh.KindNote, Content: strconv.Itoa(i)})
	if err != nil {
		panic(err)
	}
	return e
}

// tell sends an event to the subscriptions that choose it.
func (r *Relay) tell(e *mesh.Event) {
	r.mu.Lock()
	all := slices.Collect(maps.Keys(r.mu.conns))
	r.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		for name, filters := range s.subs {
			if slices.ContainsFunc(filters, func(f mesh.Filter) bool { return f.Matches(&mesh.Record{Event: e}) }) {
				s.offer(name, e)
			}
		}
		s.mu.Unlock()
	}
}

func message(sub string, e *mesh.Event) []byte {
	b := fmt.Appendf(nil, `["EVENT",%s,`, strconv.Quote(sub))
	return append(e.AppendJSON(b), ']')
}

func (s *session) send(sub string, e *mesh.Event) { s.raw(message(sub, e)) }

// offer sends an event unless the reader is too slow; then the connection ends.
func (s *session) offer(sub string, e *mesh.Event) {
	select {
	case s.out <- message(sub, e):
	default:
		s.cut()
	}
}

func (s *session) say(parts ...any) {
	b, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	s.raw(b)
}

// raw queues a message.
func (s *session) raw(b []byte) {
	select {
	case s.out <- b:
	case <-s.ctx.Done():
	}
}

// sync answers NIP-77.
func (s *session) sync(verb, name string, rest []json.RawMessage) {
	how := s.r.behaviour().Sync
	var text string
	if len(rest) > 0 {
		json.Unmarshal(rest[len(rest)-1], &text)
	}
	question, err := hex.DecodeString(text)
	s.r.mu.Lock()
	s.r.mu.told.WriteString(text + "\n")
	s.r.mu.Unlock()
	switch {
	case verb == "NEG-CLOSE":
		delete(s.syncs, name)
		return
	case how == SyncSilent, how == SyncNone:
		return
	case how == SyncRubbish:
		s.say("NEG-MSG", name, "61zz")
		return
	case how == SyncBig:
		s.say("NEG-ERR", name, "blocked: this query is too big")
		return
	case err != nil:
		s.say("NEG-ERR", name, "error: not hexadecimal")
		return
	}
	if verb == "NEG-OPEN" {
		s.r.mu.Lock()
		s.r.mu.syncs++
		s.r.mu.Unlock()
		f := parseFilter(rest[0])
		set := &negentropy.Set{}
		if how != SyncHides {
			for _, e := range s.r.find([]mesh.Filter{f}, 0) {
				set.Add(mesh.Item{CreatedAt: e.CreatedAt(), ID: e.ID()})
			}
		}
		if how == SyncLies {
			for i := range 50 {
				set.Add(mesh.Item{CreatedAt: f.Since + mesh.Unix(i), ID: sha256.Sum256([]byte{byte(i)})})
			}
		}
		set.Seal()
		s.syncs[name] = set
	}
	set := s.syncs[name]
	if set == nil {
		s.say("NEG-ERR", name, "closed: unknown")
		return
	}
	answer, err := negentropy.Answer(set, 16<<10, question)
	if err != nil {
		s.say("NEG-ERR", name, "error: "+err.Error())
		return
	}
	s.say("NEG-MSG", name, hex.EncodeToString(answer))
}

// parseFilter reads a filter, as far as clients of this project write them.
func parseFilter(b []byte) (f mesh.Filter) {
	var raw map[string]json.RawMessage
	json.Unmarshal(b, &raw)
	for k, v := range raw {
		var list []string
		json.Unmarshal(v, &list)
		switch {
		case k == "ids":
			f.IDs = []mesh.EventID{}
			for _, s := range list {
				if id, err := mesh.ParseEventID(s); err == nil {
					f.IDs = append(f.IDs, id)
				}
			}
		case k == "authors":
			f.Authors = []mesh.PubKey{}
			for _, s := range list {
				if a, err := mesh.ParsePubKey(s); err == nil {
					f.Authors = append(f.Authors, a)
				}
			}
		case k == "kinds":
			json.Unmarshal(v, &f.Kinds)
		case k == "since":
			json.Unmarshal(v, &f.Since)
		case k == "until":
			json.Unmarshal(v, &f.Until)
		case k == "limit":
			json.Unmarshal(v, &f.Limit)
		case strings.HasPrefix(k, "#"):
			if f.Tags == nil {
				f.Tags = map[string][]string{}
			}
			f.Tags[k[1:]] = list
		}
	}
	return f
}
