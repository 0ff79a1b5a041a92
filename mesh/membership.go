package mesh

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// A Secret is what all machines of a community share: from it follow the key
// of the private radio channel and the sealing of announcements. Nobody is let
// in for knowing it. It prints as "secret", never as itself.
type Secret [32]byte

// Format hides the secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "secret") }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("secret") }

// An Epoch is one secret of a community and its number; a rotation makes the
// next.
type Epoch struct {
	Number uint32
	Secret Secret
}

// MaxEpochs is how many secrets a node keeps: the newest, and older ones for
// those who missed a rotation.
const MaxEpochs = 4

// A Membership is what a node keeps about the community it belongs to. It
// holds secrets: its file is for the owner's eyes only.
type Membership struct {
	Community Community
	Nonce     [32]byte // with founder and name it makes the community's id; zero when open
	Epochs    []Epoch  // the one in force first, then those still listened for; 1 to MaxEpochs
}

// Secret returns the secret in force.
func (m *Membership) Secret() Secret { return m.Epochs[0].Secret }

// String hides the secrets.
func (m *Membership) String() string { return "membership of " + m.Community.Name }

// LogValue hides the secrets from logs.
func (m *Membership) LogValue() slog.Value { return slog.StringValue(m.String()) }

// membershipFile is the file's form: JSON, so that people can read which
// community it is, with every key of a fixed length in lower-case hexadecimal.
type membershipFile struct {
	Version int         `json:"v"`
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	Open    bool        `json:"open,omitempty"`
	Founder string      `json:"founder,omitempty"`
	Nonce   string      `json:"nonce,omitempty"`
	Epochs  []epochFile `json:"secrets"`
}

type epochFile struct {
	Number uint32 `json:"epoch"`
	Secret string `json:"secret"`
}

const membershipVersion = 1

// maxMembership bounds the file: four secrets, a name and the keys.
const maxMembership = 4 << 10

// Marshal returns the bytes of the membership's file.
func (m *Membership) Marshal() ([]byte, error) {
	f := membershipFile{
		Version: membershipVersion,
		ID:      hex.EncodeToString(m.Community.ID[:]),
		Name:    m.Community.Name,
		Open:    m.Community.Open,
	}
	if !m.Community.Open {
		f.Founder = m.Community.Founder.String()
		f.Nonce = hex.EncodeToString(m.Nonce[:])
	}
	for _, e := range m.Epochs {
		f.Epochs = append(f.Epochs, epochFile{e.Number, hex.EncodeToString(e.Secret[:])})
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	b = append(b, '\n')
	if _, err := ParseMembership(b); err != nil {
		return nil, err
	}
	return b, nil
}

// ParseMembership reads what Marshal wrote. It refuses unknown keys, and an id
// that does not follow from founder, name and nonce.
func ParseMembership(b []byte) (*Membership, error) {
	if len(b) > maxMembership {
		return nil, fmt.Errorf("membership: %d bytes, limit %d", len(b), maxMembership)
	}
	var f membershipFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("membership: more than one JSON object")
	}
	if f.Version != membershipVersion {
		return nil, fmt.Errorf("membership: version %d, known is %d", f.Version, membershipVersion)
	}
	if err := CheckName(f.Name); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	m := &Membership{Community: OpenCommunity(f.Name)}
	if f.Open {
		if f.Founder != "" || f.Nonce != "" {
			return nil, fmt.Errorf("membership: an open community has no founder and no nonce")
		}
	} else {
		var founder PubKey
		if err := unhex(founder[:], f.Founder); err != nil {
			return nil, fmt.Errorf("membership: founder: %w", err)
		}
		if err := unhex(m.Nonce[:], f.Nonce); err != nil {
			return nil, fmt.Errorf("membership: nonce: %w", err)
		}
		m.Community = Found(founder, f.Name, m.Nonce)
	}
	if f.ID != hex.EncodeToString(m.Community.ID[:]) {
		return nil, fmt.Errorf("membership: the id does not follow from the other fields; the file was changed by hand")
	}
	if len(f.Epochs) < 1 || len(f.Epochs) > MaxEpochs {
		return nil, fmt.Errorf("membership: %d secrets, allowed are 1 to %d", len(f.Epochs), MaxEpochs)
	}
	for i, e := range f.Epochs {
		var s Secret
		if err := unhex(s[:], e.Secret); err != nil {
			return nil, fmt.Errorf("membership: secret %d: wrong form", i+1) // the cause would quote it
		}
		if slices.ContainsFunc(m.Epochs, func(known Epoch) bool { return known.Secret == s }) {
			return nil, fmt.Errorf("membership: secret %d is there twice", i+1)
		}
		m.Epochs = append(m.Epochs, Epoch{e.Number, s})
	}
	return m, nil
}
