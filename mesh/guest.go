package mesh

// nameTag carries the name that a visitor chose.
const nameTag = "name"

// GuestTags returns the tags of a note that a node signs for a visitor: the
// label "guest" and the name the visitor chose, which proves nothing.
func GuestTags(name string) [][]string {
	return append(LabelTags(LabelGuest), []string{nameTag, name})
}

// GuestName returns the name under which a visitor spoke through a node, and
// whether e is such a note.
func GuestName(e *Event) (string, bool) {
	if !Labelled(e, LabelGuest) {
		return "", false
	}
	return e.Tag(nameTag)
}
