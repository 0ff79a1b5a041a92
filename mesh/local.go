package mesh

// Tags that hold an event back.
const (
	tagLocal = "local" // and the medium whose sender asks for it
	tagScope = "scope" // "machine"
)

// LocalTag returns the tag of an event that was heard on a medium whose sender
// did not allow it on the internet, such as a Meshtastic text without the bit
// ok_to_mqtt.
func LocalTag(medium string) []string { return []string{tagLocal, medium} }

// OffInternet reports whether an event must be kept from public networks,
// because whoever said it did not allow it there. The community's own carriers
// may carry it.
func OffInternet(e *Event) bool {
	_, ok := e.Tag(tagLocal)
	return ok
}

// MachineTag returns the tag of an event that stays on the machine that made
// it.
func MachineTag() []string { return []string{tagScope, "machine"} }

// StaysHere reports whether an event stays on the machine that made it: no
// carrier takes it, and only those who belong to the machine see it.
func StaysHere(e *Event) bool {
	scope, ok := e.Tag(tagScope)
	return ok && scope == "machine"
}

// KindReading is ours: where a handheld is and what it measures, as a gateway
// heard it. It is ephemeral: the next one takes its place.
const KindReading Kind = 23740
