package air

import (
	"fmt"
	"slices"

	"drey/mesh"
)

// The tables of packed frames. They are wire format: an entry never changes
// its place.

// topics are the topics with a code of their own, 0 to 14; code 15 means that
// the name follows.
var topics = [...]mesh.Topic{
	mesh.TopicCommons, mesh.TopicAlerts, mesh.TopicPeople, mesh.TopicMail, mesh.TopicRegistry, mesh.TopicRadio,
	"help", "health", "water", "weather", "market", "school", "news", "roads", "power",
}

const topicNamed = 15

// topicCode returns the topic's code, topicNamed and false for one without.
func topicCode(t mesh.Topic) (byte, bool) {
	if i := slices.Index(topics[:], t); i >= 0 {
		return byte(i), true
	}
	return topicNamed, false
}

// topicOf is the reverse of topicCode. It refuses a name where a code would do.
func topicOf(code byte, name string) (mesh.Topic, error) {
	if int(code) < len(topics) {
		return topics[code], nil
	}
	t, err := mesh.ParseTopic(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrForm, err)
	}
	if _, ok := topicCode(t); ok {
		return "", fmt.Errorf("%w: topic %s has a code", ErrForm, t)
	}
	return t, nil
}

// labels are the labels of shapeLabel, by mode.
var labels = [...]string{mesh.LabelEmergency, mesh.LabelUnsignedRadio, mesh.LabelGuest}

// relays are the relays that a reference names by number; 31 means that the
// name follows as a text.
var relays = [...]string{"", "wss://relay.damus.io", "wss://nos.lol", "wss://relay.primal.net"}

const relayNamed = 31

// words are the values that take one byte, from valueWord on.
var words = [...]string{
	"t", "e", "p", "d", "k", "a", "q", "h", "r", "l", "L", "i", "g", "x", "m", "-",
	"E", "A", "K", "P", "I", "expiration", "proxy", "meshtastic", "alt", "client", "subject", "relay", "emoji", "title", "summary", "name",
	"nonce", "root", "reply", "mention", "content-warning", "published_at", "imeta", "url", "size", "web", "drey", "emergency", "unsigned-radio", "guest", "sender", "gateway",
	"via", "mqtt", "local", "op", "c", "found", "admit", "promote", "demote", "remove", "ban", "rotate", "pass", "revoke", "until", "rate",
	"epoch", "machine", "node", "record", "bind", "channel", "lang", "location", "price", "image", "thumb", "zap", "amount", "challenge", "read", "write",
}
