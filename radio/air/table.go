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
