package mesh

import "fmt"

// A Priority orders what waits for a carrier. Lower values go first.
type Priority uint8

// The priorities, most urgent first.
const (
	Emergency Priority = iota // composed by a member, young and rare
	Direct                    // from one person to another
	Chat                      // what people say in topics
	Sync                      // history that somebody missed
	Beacon                    // what machines say about themselves
)

var priorityNames = [...]string{"emergency", "direct", "chat", "sync", "beacon"}

// String returns the priority's name.
func (p Priority) String() string {
	if int(p) < len(priorityNames) {
		return priorityNames[p]
	}
	return fmt.Sprintf("priority(%d)", uint8(p))
}

// PriorityOf returns the priority that e's form asks for. Whether an emergency
// is granted also depends on its author, age and number: the hub decides.
func PriorityOf(e *Event) Priority {
	switch e.Kind() {
	case KindGiftWrap, KindLetter, KindOutward:
		return Direct
	case KindRoster, KindPass:
		return Direct // belonging is small and everything waits for it
	case KindPeerRecord, KindTaken:
		return Beacon
	}
	if Urgent(e) {
		return Emergency
	}
	return Chat
}

// Labels of ours (NIP-32), in the namespace "drey".
const (
	labelSpace         = "drey"
	LabelEmergency     = "emergency"      // the author asks for everybody's attention
	LabelUnsignedRadio = "unsigned-radio" // a gateway vouches that it heard this, not for who said it
	LabelGuest         = "guest"          // a node posted this for a visitor
)

// LabelTags returns the tags that put a label of ours on an event.
func LabelTags(label string) [][]string {
	return [][]string{{"L", labelSpace}, {"l", label, labelSpace}}
}

// Labelled reports whether e carries a label of ours.
func Labelled(e *Event, label string) bool {
	for _, t := range e.Tags() {
		if len(t) >= 3 && t[0] == "l" && t[1] == label && t[2] == labelSpace {
			return true
		}
	}
	return false
}

// Urgent reports whether e asks to be an emergency. A translation cannot ask:
// nobody signed its words.
func Urgent(e *Event) bool {
	_, translated := ProxyOf(e)
	return !translated && Labelled(e, LabelEmergency)
}

// A Proxy names the thing on another network that an event translates (NIP-48).
type Proxy struct {
	ID       string // such as "!a1b2c3d4:9f3c21aa"
	Protocol string // such as "meshtastic"
}

// ProxyOf returns the origin of a translated event.
func ProxyOf(e *Event) (Proxy, bool) {
	for _, t := range e.Tags() {
		if len(t) >= 3 && t[0] == "proxy" {
			return Proxy{t[1], t[2]}, true
		}
	}
	return Proxy{}, false
}
