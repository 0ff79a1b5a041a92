package mesh

import "fmt"

// A Rumor is an event that nobody signs (NIP-59): a private message before it is
// sealed, so that its reader cannot prove to others who wrote it. It has passed
// the same checks of form as an Event, and its id names the message whichever way
// it travels; but it is no Event and never becomes one. Rumors are immutable and
// safe for concurrent use.
type Rumor struct{ unsigned *Event }

// NewRumor checks the form of what an author says in private and names it.
func NewRumor(author PubKey, d Draft) (*Rumor, error) {
	e, err := NewEvent(author, Signature{}, d)
	if err != nil {
		return nil, err
	}
	return &Rumor{e}, nil
}

// ID returns the message's name.
func (r *Rumor) ID() EventID { return r.unsigned.id }

// Author returns who the message says wrote it. The seal proves it.
func (r *Rumor) Author() PubKey { return r.unsigned.author }

// CreatedAt returns the time the author claims.
func (r *Rumor) CreatedAt() Unix { return r.unsigned.created }

// Kind returns the message's kind.
func (r *Rumor) Kind() Kind { return r.unsigned.kind }

// Tags returns the message's own tags; the caller must not change them.
func (r *Rumor) Tags() [][]string { return r.unsigned.tags }

// Content returns the message's text.
func (r *Rumor) Content() string { return r.unsigned.content }

// Tag returns the first value of the first tag called name, as Event.Tag does.
func (r *Rumor) Tag(name string) (string, bool) { return r.unsigned.Tag(name) }

// TagValues returns the first value of every tag called name that has one.
func (r *Rumor) TagValues(name string) []string { return r.unsigned.TagValues(name) }

// AppendJSON appends the object that is sealed: an event's without "sig".
func (r *Rumor) AppendJSON(b []byte) []byte {
	return append(r.unsigned.appendUnsigned(b), '}')
}

// ParseRumor reads what AppendJSON wrote. An id that is given must be right; one
// that is not is computed. A signature refuses it: whoever signed a private
// message made something that could be shown to everybody.
func ParseRumor(b []byte) (*Rumor, error) {
	o, err := parseObject(b)
	if err != nil {
		return nil, err
	}
	if o.Sig != nil && *o.Sig != "" {
		return nil, fmt.Errorf("%w: a rumor is not signed", ErrInvalid)
	}
	e, err := o.event(Signature{})
	if err != nil {
		return nil, err
	}
	if o.ID != nil && *o.ID != e.id.String() {
		return nil, fmt.Errorf("%w: id %.70s is not the hash of the rumor, %s", ErrInvalid, *o.ID, e.id)
	}
	return &Rumor{e}, nil
}
