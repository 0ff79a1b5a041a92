package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"drey/mesh"
)

// A Message is what Publish sends.
type Message struct {
	Topic   mesh.Topic
	Text    string
	Urgent  bool
	ReplyTo string        // an id, or ""
	Guest   string        // speak as a visitor of this name; "" as the operator
	Key     string        // Idempotency-Key; "" for none
	Wait    Wait          // "" means WaitSaved
	Timeout time.Duration // of the wait; 0 means 30 s
}

// Publish has the node sign and send a text. It returns when the text is on
// disk and has come as far as m.Wait asks, or when the timeout is over: see
// Receipt.Outcome.
func (c *Client) Publish(ctx context.Context, m Message) (*Receipt, error) {
	body := struct {
		Text    string `json:"text"`
		Urgent  bool   `json:"urgent,omitempty"`
		ReplyTo string `json:"reply_to,omitempty"`
		Name    string `json:"name,omitempty"`
	}{m.Text, m.Urgent, m.ReplyTo, m.Guest}
	return c.post(ctx, topicPath(m.Topic), body, m.Key, m.Wait, m.Timeout)
}

// Send hands over an event that is signed already.
func (c *Client) Send(ctx context.Context, e *mesh.Event, wait Wait, timeout time.Duration) (*Receipt, error) {
	return c.post(ctx, "/v1/events", json.RawMessage(e.AppendJSON(nil)), "", wait, timeout)
}

func (c *Client) post(ctx context.Context, path string, body any, key string, wait Wait, timeout time.Duration) (*Receipt, error) {
	v := url.Values{}
	if wait != "" {
		v.Set("wait", string(wait))
	}
	if timeout > 0 {
		v.Set("timeout", timeout.String())
	}
	if len(v) > 0 {
		path += "?" + v.Encode()
	}
	req, err := c.request(ctx, "POST", path, body)
	if err != nil {
		return nil, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return receive[Receipt](c, req)
}

func topicPath(t mesh.Topic) string { return "/v1/topics/" + string(t) + "/messages" }

// A Log is a message and what became of it on one machine.
type Log struct {
	ID     mesh.EventID
	Record *mesh.Record // nil where the message is gone
	Gone   string       // why; "" while it is held
	Steps  []mesh.Step  // oldest first
	Mail   *MailMessage // instead of Record: a private message that this node wrote or opened
}

// Log returns what became of a message, named by its id or the first eight
// digits and more of it.
func (c *Client) Log(ctx context.Context, id string) (*Log, error) {
	r, err := call[struct {
		ID     string
		Gone   string
		Record *recordBody
		Steps  []stepBody
		Mail   *MailMessage
	}](ctx, c, "GET", "/v1/messages/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	l := &Log{Gone: r.Gone, Mail: r.Mail}
	if l.ID, err = mesh.ParseEventID(r.ID); err != nil {
		return nil, err
	}
	if r.Record != nil {
		if l.Record, err = r.Record.record(); err != nil {
			return nil, err
		}
	}
	for _, st := range r.Steps {
		l.Steps = append(l.Steps, st.step())
	}
	return l, nil
}

func (b stepBody) step() mesh.Step {
	return mesh.Step{At: time.UnixMilli(b.AtMS), Carrier: b.Carrier, Target: b.Target, State: b.State}
}

// recordBody is a record as a stream carries it.
type recordBody struct {
	Seq        uint64          `json:"seq"`
	Topic      mesh.Topic      `json:"topic"`
	ReceivedMS int64           `json:"received_ms"`
	Carrier    string          `json:"carrier"`
	Flags      []string        `json:"flags"`
	Event      json.RawMessage `json:"event"`
}

func (b *recordBody) record() (*mesh.Record, error) {
	e, err := mesh.ParseJSON(b.Event)
	if err != nil {
		return nil, fmt.Errorf("the node sent an event that does not hold: %w", err)
	}
	return &mesh.Record{Event: e, Topic: b.Topic, Received: time.UnixMilli(b.ReceivedMS), Seq: b.Seq, Carrier: b.Carrier, Flags: flagsOf(b.Flags)}, nil
}
