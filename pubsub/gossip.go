package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	ps "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
)

// Sizes of gossip's queues. What does not fit is dropped and counted; history
// sync brings it.
const (
	outboundQueue   = 256  // messages waiting for one neighbour
	validationQueue = 4096 // messages waiting to be checked
	validating      = 256  // messages being checked
	maxTopics       = 4096 // joined here
	maxForeign      = 4096 // topics of neighbours that are not known here
	maxMessage      = mesh.MaxEventSize + 2<<10
	seenFor         = 10 * time.Minute // the hub remembers longer
)

// A gossip is the part of a run that moves news.
type gossip struct {
	run  *run
	ps   *ps.PubSub
	stop context.CancelFunc

	joining sync.Mutex // held while joining, which waits for gossipsub's loop

	mu struct { // held for moments only: gossipsub's loop takes it too
		sync.Mutex
		joined map[mesh.Topic]*ps.Topic
		mesh   map[string]map[peer.ID]struct{} // by gossipsub's topic
	}
}

func newGossip(ctx context.Context, r *run) (*gossip, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g := &gossip{run: r, stop: cancel}
	g.mu.joined = make(map[mesh.Topic]*ps.Topic)
	g.mu.mesh = make(map[string]map[peer.ID]struct{})
	var err error
	g.ps, err = ps.NewGossipSub(ctx, r.host, g.options()...)
	if err != nil {
		cancel()
		return nil, err
	}
	return g, nil
}

// options are the settings measured for nodes 10 to 80 ms apart. Long history
// lets a node that was away for 15 s get all it missed; flood publishing
// reaches neighbours that are connected but not yet in the mesh.
func (g *gossip) options() []ps.Option {
	p := ps.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dout, p.Dscore = 6, 4, 12, 2, 4
	p.HeartbeatInterval = time.Second
	p.HistoryLength, p.HistoryGossip = 30, 28
	p.Connectors = 0 // peers are found elsewhere; none are taken from prunes
	return []ps.Option{
		ps.WithGossipSubParams(p),
		ps.WithFloodPublish(true),
		ps.WithMessageIdFn(messageID),
		ps.WithMessageSignaturePolicy(ps.StrictNoSign),
		ps.WithNoAuthor(),
		ps.WithSeenMessagesTTL(seenFor),
		ps.WithMaxMessageSize(maxMessage),
		ps.WithPeerOutboundQueueSize(outboundQueue),
		ps.WithValidateQueueSize(validationQueue),
		ps.WithValidateThrottle(validating),
		ps.WithDefaultValidator(g.validate, ps.WithValidatorConcurrency(validating)),
		ps.WithSubscriptionFilter(&allowed{g: g}),
		ps.WithBlacklist(g.run.cut),
		ps.WithPeerFilter(func(p peer.ID, _ string) bool { return !g.run.cut.Contains(p) }),
		ps.WithPeerScore(scores()),
		ps.WithRawTracer(tracer{g}),
	}
}

// scores punish invalid messages and bad manners, nothing else: in a town some
// nodes are simply slow, and addresses cost nothing.
func scores() (*ps.PeerScoreParams, *ps.PeerScoreThresholds) {
	return &ps.PeerScoreParams{
			SkipAtomicValidation:      true,
			Topics:                    map[string]*ps.TopicScoreParams{}, // by join
			AppSpecificScore:          func(peer.ID) float64 { return 0 },
			BehaviourPenaltyWeight:    -10,
			BehaviourPenaltyThreshold: 6,
			BehaviourPenaltyDecay:     ps.ScoreParameterDecay(invalidWindow),
			DecayInterval:             time.Second,
			DecayToZero:               0.01,
			RetainScore:               invalidWindow,
			SeenMsgTTL:                2 * time.Minute,
		}, &ps.PeerScoreThresholds{
			SkipAtomicValidation: true,
			GossipThreshold:      -100,
			PublishThreshold:     -500,
			GraylistThreshold:    -1000,
			AcceptPXThreshold:    1e9,
		}
}

func topicScores() *ps.TopicScoreParams {
	return &ps.TopicScoreParams{
		SkipAtomicValidation:           true,
		TopicWeight:                    1,
		TimeInMeshQuantum:              time.Second,
		InvalidMessageDeliveriesWeight: -10,
		InvalidMessageDeliveriesDecay:  ps.ScoreParameterDecay(invalidWindow),
	}
}

// close ends gossipsub. Streams that neighbours opened would keep their readers
// alive until the next message, so they are reset.
func (g *gossip) close() {
	for _, id := range ps.GossipSubDefaultProtocols {
		g.run.host.RemoveStreamHandler(id)
	}
	g.stop()
	for _, c := range g.run.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			if slices.Contains(ps.GossipSubDefaultProtocols, s.Protocol()) {
				_ = s.Reset()
			}
		}
	}
}

// topic returns a joined topic, or nil.
func (g *gossip) topic(t mesh.Topic) *ps.Topic {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.joined[t]
}

// join takes part in a topic, once.
func (g *gossip) join(t mesh.Topic) (*ps.Topic, error) {
	if topic := g.topic(t); topic != nil {
		return topic, nil
	}
	g.joining.Lock()
	defer g.joining.Unlock()
	if topic := g.topic(t); topic != nil {
		return topic, nil
	}
	topic, err := g.enter(t)
	if err != nil {
		return nil, fmt.Errorf("join topic %s: %w", t, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.joined[t] = topic
	return topic, nil
}

func (g *gossip) enter(t mesh.Topic) (*ps.Topic, error) {
	if n, _ := g.sizes(); n >= maxTopics {
		return nil, fmt.Errorf("more than %d topics", maxTopics)
	}
	topic, err := g.ps.Join(g.run.c.names.of(t))
	if err != nil {
		return nil, err
	}
	if err := topic.SetScoreParams(topicScores()); err != nil {
		return nil, err
	}
	// A relay, not a subscription: the validator has handed the event to the
	// hub before it is delivered, so there is nothing left to queue.
	if _, err := topic.Relay(); err != nil {
		return nil, err
	}
	return topic, nil
}

// topicsLook is how often the topics are looked at where nobody tells of changes.
const topicsLook = 5 * time.Second

// follow takes part in every topic that the node knows, and in those that every
// community has.
func (g *gossip) follow(ctx context.Context) error {
	look := time.NewTicker(topicsLook)
	defer look.Stop()
	for {
		var changed <-chan struct{}
		if g.run.c.changed != nil {
			look.Stop()
			changed = g.run.c.changed()
		}
		for _, t := range append(mesh.BuiltinTopics(), g.run.c.topics()...) {
			if _, err := g.join(t); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				g.run.c.log.Warn("topic left out", "topic", t, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-look.C:
		}
	}
}

// How long a new run waits to hear which topics its neighbours take part in.
const (
	hearFor  = 2 * time.Second
	hearLook = 10 * time.Millisecond
)

// hear returns when a neighbour has told its topics, when there is none, or
// when that takes too long.
func (g *gossip) hear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hearFor)
	defer cancel()
	look := time.NewTicker(hearLook)
	defer look.Stop()
	for g.run.hasNeighbour() && !g.heard() {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

func (g *gossip) heard() bool {
	for _, t := range g.run.c.topics() {
		if len(g.ps.ListPeers(g.run.c.names.of(t))) > 0 {
			return true
		}
	}
	return false
}

// publish sends off what the hub owes to this carrier.
func (g *gossip) publish(ctx context.Context) error {
	g.hear(ctx)
	for {
		d, err := g.run.port.Next(ctx)
		if err != nil {
			return err
		}
		if err := g.send(ctx, d); err != nil {
			return err
		}
	}
}

func (g *gossip) send(ctx context.Context, d *mesh.Delivery) error {
	if !carried(g.run.c.community, d.Event) {
		d.Done(errors.New("an open community holds no sealed mail"))
		return nil
	}
	topic, err := g.join(d.Topic)
	if err == nil {
		err = topic.Publish(ctx, appendMessage(nil, d.Event))
	}
	if ctx.Err() != nil {
		d.Release()
		return ctx.Err()
	}
	if err != nil {
		d.Done(err)
		return nil
	}
	g.run.counts.published.Add(1)
	there := topic.ListPeers()
	if len(there) == 0 {
		d.Report("no neighbour now: history sync will bring it")
	} else {
		d.Report(fmt.Sprintf("gossiped to %d", len(there)))
	}
	d.Done(nil)
	g.tellOthers(there)
	return nil
}

// tellOthers lets sync bring what was published to neighbours who do not know
// the topic yet.
func (g *gossip) tellOthers(there []peer.ID) {
	all := g.ps.ListPeers("")
	if len(all) <= len(there) {
		return
	}
	for _, p := range all {
		if !slices.Contains(there, p) {
			g.run.plan.soon(p, spread, "not in a topic yet")
		}
	}
}

// validate hands a message to the hub; its answer decides whether gossipsub
// passes it on.
func (g *gossip) validate(ctx context.Context, from peer.ID, m *ps.Message) ps.ValidationResult {
	r := g.run
	if m.ReceivedFrom == r.host.ID() {
		return ps.ValidationAccept // the hub sent it
	}
	if r.cut.blocked(from) {
		return ps.ValidationIgnore
	}
	t, ok := r.c.names.parse(m.GetTopic())
	if !ok {
		return ps.ValidationIgnore
	}
	e, err := parseMessage(m.GetData())
	if err == nil && !carried(r.c.community, e) {
		return ps.ValidationIgnore
	}
	if err == nil {
		err = r.port.Receive(ctx, e, mesh.Origin{Peer: from.String(), Topic: t})
	}
	switch {
	case err == nil:
		return ps.ValidationAccept
	case errors.Is(err, mesh.ErrInvalid):
		r.blame(from)
		return ps.ValidationReject
	case errors.Is(err, mesh.ErrBusy):
		r.plan.soon(from, again, "busy when it came by gossip")
	}
	// Known, expired, refused, of an author not known yet: no fault of the
	// neighbour's, which may know more or less than this node.
	return ps.ValidationIgnore
}

// sizes counts the topics and, by topic, the neighbours in the mesh.
func (g *gossip) sizes() (topics int, sizes map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sizes = make(map[string]int, len(g.mu.joined))
	for t := range g.mu.joined {
		sizes[string(t)] = len(g.mu.mesh[g.run.c.names.of(t)])
	}
	return len(g.mu.joined), sizes
}
