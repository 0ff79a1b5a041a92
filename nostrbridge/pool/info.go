package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxInfo bounds a relay's document about itself, in bytes.
const maxInfo = 64 << 10

// An Info is what a relay says of itself (NIP-11). Zero limits were not said.
type Info struct {
	Name     string
	Software string
	NIPs     []int // sorted, at most 100

	MaxMessage int  // bytes
	MaxLimit   int  // events of one REQ
	SignIn     bool // it wants a key proved before anything else
	Payment    bool
	Restricted bool // not everybody may write
}

// parseInfo reads the document leniently: relays write numbers as texts, and
// texts as numbers.
func parseInfo(b []byte) (Info, error) {
	if len(b) > maxInfo {
		return Info{}, fmt.Errorf("document of more than %d bytes", maxInfo)
	}
	var raw map[string]any
	if err := json.Unmarshal(b, &raw); err != nil {
		return Info{}, errors.New("document is not a JSON object")
	}
	text := func(k string) string { s, _ := raw[k].(string); return clip(s) }
	i := Info{Name: text("name"), Software: strings.TrimSpace(text("software") + " " + text("version"))}
	if list, ok := raw["supported_nips"].([]any); ok {
		for _, v := range list {
			if n, ok := whole(v); ok && n > 0 && n < 10000 && len(i.NIPs) < 100 && !slices.Contains(i.NIPs, n) {
				i.NIPs = append(i.NIPs, n)
			}
		}
		slices.Sort(i.NIPs)
	}
	limits, _ := raw["limitation"].(map[string]any)
	number := func(k string) int { n, _ := whole(limits[k]); return max(n, 0) }
	yes := func(k string) bool { b, _ := limits[k].(bool); return b }
	i.MaxMessage, i.MaxLimit = number("max_message_length"), number("max_limit")
	i.SignIn, i.Payment, i.Restricted = yes("auth_required"), yes("payment_required"), yes("restricted_writes")
	return i, nil
}

func whole(v any) (int, bool) {
	switch v := v.(type) {
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) <= math.MaxInt32
	case string:
		n, err := strconv.Atoi(v)
		return n, err == nil && n <= math.MaxInt32 && n >= -math.MaxInt32
	}
	return 0, false
}

// askInfo fetches the document of the relay at a websocket's address.
func askInfo(ctx context.Context, client *http.Client, url string) (Info, error) {
	within, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(within, "GET", "http"+strings.TrimPrefix(url, "ws"), nil)
	if err != nil {
		return Info{}, err
	}
	q.Header.Set("Accept", "application/nostr+json")
	q.Header.Set("User-Agent", userAgent)
	a, err := client.Do(q)
	if err != nil {
		return Info{}, err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return Info{}, fmt.Errorf("answered %d", a.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, maxInfo+1))
	if err != nil {
		return Info{}, err
	}
	return parseInfo(b)
}

// learnEvery is how long a document counts as new: a relay that comes and goes
// is not asked each time.
const learnEvery = 6 * time.Hour

// learn asks the relay for its document, unless that is known.
func (c *conn) learn() {
	defer close(c.learnt)
	now := c.r.p.c.Clock()
	c.r.mu.Lock()
	fresh := now.Sub(c.r.mu.learnt) < learnEvery
	c.r.mu.Unlock()
	if fresh {
		return
	}
	i, err := askInfo(c.ctx, c.r.client(), c.r.url)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if err == nil {
		c.r.mu.info, c.r.mu.learnt = i, now
	}
}

// information returns what the relay said of itself.
func (r *relay) information() Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.info
}
