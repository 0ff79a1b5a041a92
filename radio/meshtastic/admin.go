package meshtastic

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The variants of an Admin message that are used here, by field number. What
// asks is answered by the variant after it.
const (
	AdminGetChannel   = 1  // number: index + 1
	AdminChannel      = 2  // bytes: a Channel
	AdminGetOwner     = 3  // bool
	AdminOwner        = 4  // bytes: a User
	AdminGetConfig    = 5  // number: section − 1
	AdminConfig       = 6  // bytes: a Config
	AdminGetModule    = 7  // number: section − 1
	AdminModule       = 8  // bytes
	AdminGetMetadata  = 12 // bool
	AdminMetadata     = 13 // bytes: a Metadata
	AdminSetOwner     = 32 // bytes: a User
	AdminSetChannel   = 33 // bytes: a Channel
	AdminSetConfig    = 34 // bytes: a Config
	AdminSetTime      = 43 // number: seconds since 1970
	AdminBeginEdit    = 64 // bool: keep what follows back until it is committed
	AdminCommitEdit   = 65 // bool
	adminPasskeyField = 101
)

// An Admin is one message on PortAdmin: a question about a radio's settings, an
// answer, or an order. A radio that is asked by another hands out a passkey
// with its answers, and takes orders only with it.
type Admin struct {
	Variant uint32 // field number; see the constants
	Number  uint64 // of variants that are numbers or bools
	Bytes   []byte // of variants that are messages or texts; nil for a number
	Passkey []byte // up to 8 bytes
}

// AppendAdmin appends a's protobuf form.
func AppendAdmin(b []byte, a *Admin) []byte {
	if a.Bytes != nil {
		b = appendMessage(b, protoNum(a.Variant), a.Bytes)
	} else {
		b = protowire.AppendTag(b, protoNum(a.Variant), protowire.VarintType)
		b = protowire.AppendVarint(b, a.Number)
	}
	return appendBytes(b, adminPasskeyField, a.Passkey)
}

// ParseAdmin reads an Admin message. It refuses one with no variant or several,
// which another reader might understand otherwise.
func ParseAdmin(b []byte) (*Admin, error) {
	a := new(Admin)
	err := eachField(b, func(f field) error {
		if f.num == adminPasskeyField {
			return f.copyBytes(&a.Passkey)
		}
		if a.Variant != 0 {
			return fmt.Errorf("%w: variants %d and %d", ErrMalformed, a.Variant, f.num)
		}
		a.Variant = uint32(f.num)
		switch f.typ {
		case protowire.VarintType:
			a.Number = f.bits
			return nil
		case protowire.BytesType:
			a.Bytes = append([]byte{}, f.bytes...)
			return nil
		}
		return fmt.Errorf("%w: variant %d has wire type %d", ErrMalformed, f.num, f.typ)
	})
	if err == nil && a.Variant == 0 {
		err = fmt.Errorf("%w: no variant", ErrMalformed)
	}
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return a, nil
}

// Asks reports whether the message only asks, and changes nothing.
func (a *Admin) Asks() bool {
	switch a.Variant {
	case AdminGetChannel, AdminGetOwner, AdminGetConfig, AdminGetModule, 10, AdminGetMetadata, 14, 16, 19, 44:
		return true
	}
	return false
}

// ParseChannel reads a Channel, as AdminChannel carries it.
func ParseChannel(b []byte) (*Channel, error) { return parseChannel(b) }

// AppendChannel appends c's protobuf form.
func AppendChannel(b []byte, c *Channel) []byte { return append(b, c.append(nil)...) }

// ParseConfig reads a Config, as AdminConfig carries it.
func ParseConfig(b []byte) (*Config, error) { return parseConfig(b) }

// AppendConfig appends c's protobuf form.
func AppendConfig(b []byte, c *Config) []byte { return append(b, c.append(nil)...) }
