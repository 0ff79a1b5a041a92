package pubsub

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"drey/mesh"
)

// messageVersion is the first byte of a gossip message.
const messageVersion = 1

// errNewer reports a message of a version that this node does not know yet.
// Its sender did nothing wrong.
var errNewer = errors.New("message of a newer version")

// appendMessage appends the gossip message that carries e.
func appendMessage(b []byte, e *mesh.Event) []byte {
	return e.AppendBinary(append(b, messageVersion))
}

// parseMessage reads a gossip message: errNewer, or an error that wraps
// mesh.ErrInvalid. The signature is not checked.
func parseMessage(b []byte) (*mesh.Event, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: no bytes", mesh.ErrInvalid)
	}
	switch v := b[0]; {
	case v > messageVersion:
		return nil, errNewer
	case v < messageVersion:
		return nil, fmt.Errorf("%w: message version %d", mesh.ErrInvalid, v)
	}
	return mesh.ParseBinary(b[1:])
}

// messageID names a gossip message; see the package comment.
func messageID(m *pb.Message) string {
	h := sha256.Sum256(m.GetData())
	return string(h[:16])
}

// names turns topics into gossipsub's topics and back.
type names struct{ prefix string }

func namesOf(c mesh.Community) names { return names{"drey/1/" + c.Tag() + "/"} }

func (n names) of(t mesh.Topic) string { return n.prefix + string(t) }

// parse returns false for whatever is not a topic of this community.
func (n names) parse(s string) (mesh.Topic, bool) {
	rest, ok := strings.CutPrefix(s, n.prefix)
	if !ok {
		return "", false
	}
	t, err := mesh.ParseTopic(rest)
	return t, err == nil
}

// carried is the rule about what gossip and sync carry in a community. An open
// community has no members to keep sealed mail for each other, so gift wraps
// stay where they entered.
func carried(c mesh.Community, e *mesh.Event) bool {
	return !c.Open || !e.Kind().Sealed()
}

// viewerOf is what neighbours of a community may read of this node's archive.
func viewerOf(c mesh.Community) mesh.Viewer {
	if c.Open {
		return mesh.Viewer{Member: true} // all but gift wraps
	}
	return mesh.Viewer{Node: true}
}
