package relay

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// replyMost and replyBytes are how much of what a client asked for waits for
	// it; then the relay stops reading from it. Live events have Limits.Queue.
	replyMost  = 32
	replyBytes = 64 << 10
	// writeFor is how long a client may take to receive one message.
	writeFor = 10 * time.Second
	// writeBatch is how many messages are taken out of the queue at once.
	writeBatch = 16
)

// A frame is one message to a client. Events are held once for all who get
// them, so a frame of one names the subscription apart.
type frame struct {
	sub  string // set: body is the event of ["EVENT", sub, body]
	body []byte
}

func (f frame) appendTo(b []byte) []byte {
	if f.sub == "" {
		return append(b, f.body...)
	}
	b = append(b, `["EVENT",`...)
	name, _ := json.Marshal(f.sub) // strings always marshal
	b = append(b, name...)
	b = append(b, ',')
	b = append(b, f.body...)
	return append(b, ']')
}

// An outbox is what waits to be written to one client. Its writer runs only
// while there is something to write.
type outbox struct {
	ws   *websocket.Conn // set by begin
	net  *corked         // below ws; set by begin
	most int             // immutable; live events that may wait
	dead func()          // immutable; called when the client cannot be written to
	room chan struct{}   // holds one: there may be room for a reply
	pump sync.WaitGroup

	mu struct {
		sync.Mutex
		frames  []frame
		bytes   int
		writing bool
		shut    bool // nothing more is taken
		code    websocket.StatusCode
		reason  string // set: the connection is to be closed with it
		slow    bool   // the client does not read
		dropped uint64
	}
}

func newOutbox(most int, dead func()) *outbox {
	return &outbox{most: most, dead: dead, room: make(chan struct{}, 1)}
}

// begin lets the outbox write to ws; what came before goes first.
func (o *outbox) begin(ws *websocket.Conn, net *corked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ws, o.net = ws, net
	if len(o.mu.frames) > 0 || o.mu.reason != "" {
		o.wakeLocked()
	}
}

// reply queues an answer, and waits until the client has read what it got
// before.
func (o *outbox) reply(ctx context.Context, f frame) error {
	for {
		o.mu.Lock()
		if o.mu.shut {
			o.mu.Unlock()
			return context.Canceled
		}
		if len(o.mu.frames) < replyMost && o.mu.bytes < replyBytes {
			o.addLocked(f)
			o.mu.Unlock()
			return nil
		}
		o.mu.Unlock()
		select {
		case <-o.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// live queues a message that nobody waits to hand over. A client that has too
// many waiting is to be closed: it would miss something without knowing.
func (o *outbox) live(f frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.shut {
		return
	}
	if len(o.mu.frames) >= o.most {
		o.mu.slow = true
		o.closeLocked(websocket.StatusPolicyViolation, "too slow: too many events wait for you")
		return
	}
	o.addLocked(f)
}

// force queues an answer whose number is bounded elsewhere.
func (o *outbox) force(f frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.mu.shut {
		o.addLocked(f)
	}
}

// close ends the connection with a reason once what is being written is out.
// What waits is dropped.
func (o *outbox) close(code websocket.StatusCode, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.mu.shut {
		o.closeLocked(code, reason)
	}
}

func (o *outbox) closeLocked(code websocket.StatusCode, reason string) {
	o.mu.code, o.mu.reason = code, reason
	o.mu.shut = true
	o.mu.dropped += uint64(len(o.mu.frames))
	o.mu.frames, o.mu.bytes = nil, 0
	o.wakeLocked()
	nudge(o.room)
}

func (o *outbox) addLocked(f frame) {
	o.mu.frames = append(o.mu.frames, f)
	o.mu.bytes += len(f.body)
	o.wakeLocked()
}

func (o *outbox) wakeLocked() {
	if !o.mu.writing && o.ws != nil {
		o.mu.writing = true
		o.pump.Go(o.write)
	}
}

// fail gives up on a client that cannot be written to.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	o.mu.shut = true
	o.mu.slow = o.mu.slow || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	o.mu.dropped += uint64(len(o.mu.frames))
	o.mu.frames, o.mu.bytes = nil, 0
	o.mu.Unlock()
	o.dead()
}

// bye waits until a good-bye that was ordered is out.
func (o *outbox) bye() {
	o.mu.Lock()
	ordered := o.mu.reason != ""
	o.mu.Unlock()
	if ordered {
		o.pump.Wait()
	}
}

// end takes nothing more, waits for the writer and tells whether the client
// was too slow, and how much it missed.
func (o *outbox) end() (slow bool, dropped uint64) {
	o.mu.Lock()
	o.mu.shut = true
	o.mu.frames, o.mu.bytes = nil, 0
	o.mu.Unlock()
	o.pump.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.slow, o.mu.dropped
}

// take returns what is to be written next; nothing when the writer is to end.
func (o *outbox) take(batch []frame) []frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := copy(batch[:writeBatch], o.mu.frames)
	for _, f := range batch[:n] {
		o.mu.bytes -= len(f.body)
	}
	left := copy(o.mu.frames, o.mu.frames[n:])
	clear(o.mu.frames[left:])
	o.mu.frames = o.mu.frames[:left]
	if left == 0 {
		o.mu.frames = nil // an idle connection holds nothing
	}
	if n == 0 {
		o.mu.writing = false
	}
	return batch[:n]
}

// write writes until nothing waits.
func (o *outbox) write() {
	buf := make([]byte, 0, 2048)
	batch := make([]frame, writeBatch)
	for {
		o.mu.Lock()
		code, reason := o.mu.code, o.mu.reason
		o.mu.Unlock()
		if reason != "" {
			o.ws.Close(code, reason) // waits a few seconds for the client's good-bye
			o.dead()
			return
		}
		some := o.take(batch)
		if len(some) == 0 {
			return
		}
		if err := o.sendAll(some, &buf); err != nil {
			o.fail(err)
			return
		}
		nudge(o.room)
	}
}

// sendAll sends some messages in as few pieces as they fit.
func (o *outbox) sendAll(some []frame, buf *[]byte) error {
	if len(some) > 1 {
		o.net.cork()
	}
	for _, f := range some {
		*buf = f.appendTo((*buf)[:0])
		if err := o.send(*buf); err != nil {
			return err
		}
	}
	if len(some) > 1 {
		return o.net.uncork()
	}
	return nil
}

func (o *outbox) send(b []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeFor)
	defer cancel()
	return o.ws.Write(ctx, websocket.MessageText, b)
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
