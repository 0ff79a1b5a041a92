package mesh

import "fmt"

// A Topic names a conversation, such as "town/alerts": 1 to 64 bytes of
// lower-case ASCII letters, digits, '-' and '/'.
type Topic string

// The topics every community has.
const (
	TopicCommons  Topic = "commons"  // what belongs nowhere else
	TopicAlerts   Topic = "alerts"   // what everybody should hear
	TopicPeople   Topic = "people"   // profiles and lists
	TopicMail     Topic = "mail"     // gift wraps
	TopicRegistry Topic = "registry" // roster, passes, peer records, topics
	TopicRadio    Topic = "radio"    // what a radio without a mapping hears
)

// BuiltinTopics lists the topics that exist without being registered.
func BuiltinTopics() []Topic {
	return []Topic{TopicCommons, TopicAlerts, TopicPeople, TopicMail, TopicRegistry, TopicRadio}
}

// ParseTopic checks a topic's name.
func ParseTopic(s string) (Topic, error) {
	if len(s) < 1 || len(s) > 64 {
		return "", fmt.Errorf("topic %.70q has %d letters, allowed are 1 to 64", s, len(s))
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '/' {
			return "", fmt.Errorf("topic %q: %q is not allowed, only a-z 0-9 - and /", s, c)
		}
	}
	return Topic(s), nil
}

// TopicFor decides the topic of an event that enters the network at this node;
// once set it travels in the envelope and is never decided again. registered
// tells which topics exist; parent tells the topic of an event it refers to,
// when that is known. Orphan reports that e answers an event whose topic is
// not known: such an event stays off the radio and public relays.
func TopicFor(e *Event, registered func(Topic) bool, parent func(EventID) (Topic, bool)) (t Topic, orphan bool) {
	switch k := e.Kind(); {
	case k.Sealed():
		return TopicMail, false
	case k == KindRoster, k == KindPass, k == KindTopic, k == KindPeerRecord, k == KindGateway:
		return TopicRegistry, false
	case k == KindProfile, k == KindContacts, k >= 10000 && k < 10100:
		return TopicPeople, false
	}
	for _, v := range e.TagValues("t") {
		if registered(Topic(v)) {
			return Topic(v), false
		}
	}
	for _, v := range e.TagValues("e") {
		id, err := ParseEventID(v)
		if err != nil {
			continue
		}
		if t, ok := parent(id); ok {
			return t, false
		}
		orphan = true
	}
	return TopicCommons, orphan
}
