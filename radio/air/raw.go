package air

import (
	"fmt"

	"drey/mesh"
)

// A raw event frame:
//
//	head  byte    0x40 | topic code
//	topic         where the code is 15: its length in a byte, and its name
//	event         binary form (mesh.Event.AppendBinary), to the end

// appendRaw appends an event's raw frame.
func appendRaw(b []byte, it Item) []byte {
	code, ok := topicCode(it.Topic)
	b = append(b, headRaw|code)
	if !ok {
		b = append(append(b, byte(len(it.Topic))), it.Topic...)
	}
	return it.Event.AppendBinary(b)
}

// parseRaw reads a raw frame; the signature is not checked.
func parseRaw(b []byte) (Item, error) {
	code := b[0] & 0x0f
	b = b[1:]
	var name string
	if code == topicNamed {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return Item{}, fmt.Errorf("%w: topic cut off", ErrForm)
		}
		name, b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	topic, err := topicOf(code, name)
	if err != nil {
		return Item{}, err
	}
	e, err := mesh.ParseBinary(b)
	if err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return Item{e, topic}, nil
}
